package zab

import (
	"slices"
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

// What is to be kept of the applied state: with all that a start wants to know, and never one that is empty or known to be wrong.
func TestStateToBeKept(t *testing.T) {
	one, err := quorum.New([]quorum.Member{{ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Self: 1, Verifier: one}
	if s, ok := New(cfg, Recovered{}, nothing{}).State(); ok {
		t.Errorf("of nothing: %+v", s)
	}
	z := MakeZxid(2, 5)
	begin := &Snapshot{Zxid: z, Spans: []Span{{1, 7}, {2, 5}}, Members: []Readmitted{{1, Incarnation{1}}}}
	rec := Recovered{Mark: Mark{Member: 1, Counts: true}, Snapshot: begin, Entries: []Entry{{Zxid: z + 1, Prev: z}}, Pos: 9}
	m := New(cfg, rec, nothing{})
	s, ok := m.State()
	if !ok || s.Zxid != z || !slices.Equal(s.Spans, begin.Spans) || !slices.Equal(s.Members, begin.Members) { // the entry is not known to be committed
		t.Errorf("%+v, %v", s, ok)
	}
	s.Spans[0], s.Members[0] = Span{}, Readmitted{}
	if again, _ := m.State(); !slices.Equal(again.Spans, begin.Spans) || !slices.Equal(again.Members, begin.Members) {
		t.Error("it is not a copy")
	}
	m.Hold(true)
	if _, ok := m.State(); ok {
		t.Error("kept while it differs from what others have")
	}
	m.Hold(false)
	m.Renounce(Incarnation{2})
	if _, ok := m.State(); ok {
		t.Error("kept though it was given up")
	}
}
