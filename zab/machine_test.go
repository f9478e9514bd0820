package zab

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

// However often a peer asks before this member has decided, it waits once, with its last attempt.
func TestWaitingIsBounded(t *testing.T) {
	v, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}})
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{Self: 3, Verifier: v, InitLimit: 9, SyncLimit: 9, MaxTail: 1, Window: 1, MaxBatch: 1, MaxCounter: 9}, Recovered{Mark: Mark{Member: 3, Counts: true}}, nil)
	for i := range 100 {
		m.Receive(1, &FollowerInfo{Session: Session(2*i + 1)})
		m.Receive(2, &FollowerInfo{Session: Session(2*i + 2)})
	}
	if len(m.waiting) != 2 || m.waiting[0].info.Session != 199 || m.waiting[1].info.Session != 200 {
		t.Errorf("%d wait: %+v", len(m.waiting), m.waiting)
	}
	if m.Receive(1, &Refuse{Session: 1}); len(m.waiting) != 2 {
		t.Error("the goodbye of a former attempt ends the present one")
	}
}

// What looks at a machine from outside gets copies.
func TestLookingAtIt(t *testing.T) {
	mark := Mark{Member: 1, Counts: true, Promised: 3, Joined: 2}
	entries := []Entry{{Zxid: MakeZxid(1, 1)}, {Zxid: MakeZxid(2, 1), Prev: MakeZxid(1, 1)}}
	v, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}})
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{Self: 1, Verifier: v}, Recovered{Mark: mark, Entries: entries, Pos: 2}, nil)
	list := m.Entries()
	list[0].Zxid = 0
	if m.Mark() != mark || m.Durable() != mark || m.Base() != 0 || len(list) != 2 || m.Entries()[0].Zxid != MakeZxid(1, 1) {
		t.Errorf("%+v, %+v, base %v, %+v", m.Mark(), m.Durable(), m.Base(), m.Entries())
	}
	if m.Last() != MakeZxid(2, 1) || m.LastDurable() != m.Last() || m.Committed() != 0 || m.Applied() != 0 || m.Acked(2) != 0 || m.Confirmed() != 0 || m.Epoch() != 0 || m.Leader() != 0 {
		t.Error("it is not what was recovered")
	}
	id := m.Write(func(k *Mark) { k.Born = true })
	if !m.Mark().Born || m.Durable().Born || m.Settled() {
		t.Error("a mark that is issued is durable")
	}
	if m.Persisted(id); !m.Durable().Born || !m.Settled() {
		t.Error("a mark that is persisted is not durable")
	}
}
