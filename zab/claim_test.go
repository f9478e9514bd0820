package zab

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

// A member that claims to have promised an epoch above which there is none is left out, and the others go on in theirs.
func TestClaimedEpoch(t *testing.T) {
	three, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}})
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	sessions := Session(100)
	newMachine := func() *Machine {
		m := New(Config{
			Self: 1, Verifier: three, InitLimit: 10, SyncLimit: 10, MaxTail: 1 << 20, Window: 1 << 20, MaxBatch: 1 << 16,
			NextSession: func() Session { sessions++; return sessions },
		}, Recovered{Mark: Mark{Member: 1, Counts: true, Born: true}}, nothing{})
		m.Collect(&out)
		return m
	}
	info := func(s Session, promised uint32) *FollowerInfo {
		return &FollowerInfo{Session: s, Promised: promised, Counts: true}
	}
	refused := func(to quorum.ID, s Session) bool {
		for _, x := range out.Sends {
			if r, ok := x.Message.(*Refuse); ok && x.To == to && r.Session == s {
				return true
			}
		}
		return false
	}
	persisted := func(m *Machine) { m.Persisted(m.issued) }
	for _, claim := range []uint32{MaxEpoch, MaxEpoch + 1, 1<<32 - 1} {
		m := newMachine()
		m.Receive(3, info(31, claim)) // before this member leads
		m.Lead()
		m.Receive(3, info(32, claim)) // while epochs are gathered
		m.Receive(2, info(21, 0))
		persisted(m)
		if m.Role() != Leading || m.Epoch() != 1 || !refused(3, 31) || !refused(3, 32) {
			t.Fatalf("claim %d: %v in epoch %d, promised %d", claim, m.Role(), m.Epoch(), m.Mark().Promised)
		}
		m.Receive(2, &AckEpoch{Session: 21, Epoch: 1, Promise: true, Counts: true})
		persisted(m)
		m.Receive(2, &Ack{Session: 21, Epoch: 1, Joined: true, Counts: true})
		if !m.Established() {
			t.Fatal("the epoch is not established")
		}
		m.Receive(3, info(33, claim)) // while it is served
		m.Receive(3, info(34, 0))     // and by one that says so later
		m.Receive(3, &Refuse{Session: 34, Promised: claim})
		persisted(m)
		for range 5 { // ticks, in which a leader that was outbid stands again
			m.Receive(2, &Ack{Session: 21, Epoch: 1, Zxid: m.Last(), Joined: true, Counts: true})
			m.Tick()
			persisted(m)
		}
		if m.Role() != Leading || !m.Established() || m.Epoch() != 1 || m.Mark().Promised != 1 || !refused(3, 33) {
			t.Errorf("claim %d: %v in epoch %d, promised %d", claim, m.Role(), m.Epoch(), m.Mark().Promised)
		}
		m.Stop()
	}
	// Nor is such an epoch promised to whoever leads.
	m := newMachine()
	m.Follow(2)
	m.Receive(2, &LeaderInfo{Session: sessions, Epoch: MaxEpoch + 1})
	m.Receive(3, &LeaderInfo{Session: sessions, Epoch: MaxEpoch}) // nobody follows 3
	if m.Mark().Promised != 0 || m.Role() != Looking {
		t.Errorf("promised %d to a leader, %v", m.Mark().Promised, m.Role())
	}
	// Whoever makes a leader promise the last epoch first, and then claims more, takes nothing back: there is no epoch that it could renew in.
	m = newMachine()
	m.Lead()
	m.Receive(3, info(41, MaxEpoch-1))
	persisted(m)
	if m.Role() != Leading || m.Mark().Promised != MaxEpoch {
		t.Fatalf("%v, promised %d", m.Role(), m.Mark().Promised)
	}
	m.Receive(3, &Refuse{Session: 41, Promised: 1<<32 - 1})
	persisted(m)
	m.Receive(2, info(22, 1<<32-1))
	persisted(m)
	if m.Role() != Looking || m.Mark().Promised != MaxEpoch {
		t.Errorf("%v, promised %d", m.Role(), m.Mark().Promised)
	}
}
