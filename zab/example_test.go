package zab_test

import (
	"fmt"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// journal is a state machine of three lines: it remembers what was applied.
type journal []string

func (j *journal) Apply(e zab.Entry)            { *j = append(*j, string(e.Data)) }
func (j *journal) Install(state any)            { *j = state.(journal) }
func (j *journal) Snapshot() zab.SnapshotReader { return nil } // the histories here are short: none is needed

// member joins the pieces. Its log is its memory, so everything is persisted at once.
type member struct {
	journal journal
	vote    *election.Machine
	zab     *zab.Machine
	votes   election.Output
	out     zab.Output
}

// Three members elect a leader among themselves, which replicates two words. Nothing here is a goroutine or a network: what a
// machine wants to send is handed to its addressee by the loop.
func Example() {
	voters, _ := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}})
	members := map[quorum.ID]*member{}
	session := zab.Session(0)
	for id := quorum.ID(1); id <= 3; id++ {
		m := &member{}
		m.vote = election.New(election.Config{Self: id, Verifier: voters})
		m.zab = zab.New(zab.Config{
			Self: id, Verifier: voters, InitLimit: 100, SyncLimit: 10, MaxTail: 1 << 20, Window: 1 << 20, MaxBatch: 1 << 16,
			MaxCounter: 1 << 20, NextSession: func() zab.Session { session++; return session },
		}, zab.Recovered{Mark: zab.Mark{Member: id, Counts: true, Born: true}}, &m.journal)
		members[id] = m
	}
	settle := func() {
		for busy := true; busy; {
			busy = false
			for id := quorum.ID(1); id <= 3; id++ {
				m := members[id]
				votes, out := m.votes, m.out
				m.votes, m.out = election.Output{}, zab.Output{}
				m.zab.Collect(&m.out)
				switch votes.Elected {
				case 0:
				case id:
					m.zab.Lead()
					m.vote.Settle(election.Leading, id, 0, &m.votes)
				default:
					m.zab.Follow(votes.Elected)
					m.vote.Settle(election.Following, votes.Elected, 0, &m.votes)
				}
				for _, s := range votes.Sends {
					to := members[s.To]
					to.vote.Receive(id, s.Notification, &to.votes)
				}
				for _, s := range out.Sends {
					members[s.To].zab.Receive(id, s.Message)
				}
				if n := len(out.Writes); n > 0 {
					m.zab.Persisted(out.Writes[n-1].ID)
				}
				busy = busy || votes.Elected != 0 || len(votes.Sends)+len(out.Sends)+len(out.Writes) > 0
			}
		}
	}
	for id := quorum.ID(1); id <= 3; id++ {
		m := members[id]
		m.zab.Collect(&m.out)
		for peer := quorum.ID(1); peer <= 3; peer++ {
			m.vote.Linked(peer, &m.votes)
		}
		m.vote.Look(election.Vote{Leader: id}, true, &m.votes)
	}
	settle()
	leader := members[3].zab
	fmt.Println("3 is", leader.Role(), "epoch", leader.Epoch(), "established", leader.Established())
	leader.Propose([]byte("hello"))
	leader.Propose([]byte("world"))
	settle()
	for id := quorum.ID(1); id <= 3; id++ {
		fmt.Println(id, members[id].zab.Applied(), members[id].journal)
	}
	// Output:
	// 3 is leading epoch 1 established true
	// 1 1.2 [hello world]
	// 2 1.2 [hello world]
	// 3 1.2 [hello world]
}
