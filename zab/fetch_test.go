package zab

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

// ten is a state of ten chunks.
type ten struct{ at int }

func (*ten) Zxid() Zxid { return MakeZxid(1, 1) }
func (r *ten) Next() ([]byte, bool, error) {
	r.at++
	return []byte{byte(r.at)}, r.at == 10, nil
}
func (*ten) Close() {}

type hostOfTen struct{ nothing }

func (hostOfTen) Snapshot() SnapshotReader { return &ten{} }

// A learner that goes on with a snapshot, and says in one session that it has nothing and then that it has all that was ever sent, is sent what follows that.
func TestFetchThatJumps(t *testing.T) {
	three, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}})
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	m := New(Config{
		Self: 1, Verifier: three, InitLimit: 10, SyncLimit: 10, Window: 1 << 20, MaxBatch: 1 << 16, MaxCounter: 1 << 20,
		NextSession: func() Session { return 1 },
	}, Recovered{Mark: Mark{Member: 1, Counts: true, Born: true}, Snapshot: &Snapshot{Zxid: MakeZxid(1, 1), Spans: []Span{{1, 1}}}}, hostOfTen{})
	m.Collect(&out)
	step := func(msg Message) {
		m.Receive(2, msg)
		m.Persisted(m.issued)
	}
	follow := func(s Session) {
		step(&FollowerInfo{Session: s, Counts: true})
		m.Persisted(m.issued)
		step(&AckEpoch{Session: s, Epoch: 1, Promise: s == 1, Counts: true})
		m.Persisted(m.issued)
	}
	chunks := func() (list []uint32) {
		for _, x := range out.Sends {
			if c, ok := x.Message.(*Chunk); ok {
				list = append(list, c.Index)
			}
		}
		out = Output{}
		m.Collect(&out)
		return list
	}
	m.Lead()
	follow(1)
	step(&Fetch{Session: 1, Upto: chunksAhead})
	if n := len(chunks()); n != chunksAhead {
		t.Fatalf("%d chunks in flight", n)
	}
	end := Position{}
	for i := range chunksAhead {
		end = end.After([]byte{byte(i + 1)})
	}
	m.Lost(2)
	follow(2)
	step(&Fetch{Session: 2})
	if n := len(chunks()); n != 0 {
		t.Fatalf("%d chunks that nobody has asked for", n)
	}
	step(&Fetch{Session: 2, At: end, Upto: end.Chunk + chunksAhead})
	if got := chunks(); len(got) != 2 || got[0] != chunksAhead {
		t.Errorf("chunks %v come after %d", got, chunksAhead)
	}
}
