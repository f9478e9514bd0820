package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// A snapshot that is taken between two steps is of exactly the state that is applied, whatever comes after; a member that begins with it, and with the
// entries after it, ends where the other is.
func TestSnapshotToBeKept(t *testing.T) {
	cfg := Config{
		Self: 1, Members: []quorum.Member{{ID: 1}}, InitLimit: 100, SyncLimit: 10, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20,
		ChunkSize: 64, Incarnation: zab.Incarnation{1}, Ensemble: zab.EnsembleID{1}, Run: zab.Incarnation{1},
	}
	sm := NewZnodes(1 << 20)
	m := New[*datatree.View, Result](cfg, Recovered{}, sm)
	var log []zab.Record
	var out Output[*datatree.View, Result]
	step := func(in Input) {
		m.Step(in, &out)
		for len(out.Writes) > 0 {
			log = append(log, out.Writes...)
			upto := out.LastWrite
			out.Writes = out.Writes[:0]
			m.Step(&Persisted{upto}, &out)
		}
	}
	if s, r := m.Snapshot(); r != nil {
		t.Errorf("of nothing: %+v", s)
	}
	for range 10 {
		step(&Tick{Wall: 1})
	}
	create := func(path string) {
		payload, err := datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: path, Data: make([]byte, 100)}}, false, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		step(&Request{Ticket: 1, Payload: payload, Wall: 1})
	}
	for _, p := range []string{"/a", "/b", "/c"} {
		create(p)
	}
	s, r := m.Snapshot()
	if r == nil || s.Zxid != m.Status().Applied || r.Zxid() != s.Zxid {
		t.Fatalf("%+v of %v", s, m.Status().Applied)
	}
	digest := sm.Digest()
	create("/d") // while it is being written
	for {
		chunk, last, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if s.Chunks = append(s.Chunks, chunk); last {
			break
		}
	}
	r.Close()

	rec := Recovered{Snapshot: &s}
	for _, x := range log {
		switch {
		case x.Kind == zab.RecordMark:
			rec.Mark = x.Mark
		case x.Entry.Zxid > s.Zxid:
			rec.Entries = append(rec.Entries, x.Entry)
		}
		rec.Pos = max(rec.Pos, x.Pos)
	}
	again := NewZnodes(1 << 20)
	cfg.Run[0] = 2
	m2 := New[*datatree.View, Result](cfg, rec, again)
	if m2.Err() != nil || again.Digest() != digest || m2.Status().Applied != s.Zxid {
		t.Fatal(m2.Err(), m2.Status())
	}
	m, log = m2, nil
	for range 10 {
		step(&Tick{Wall: 1})
	}
	if _, ok := again.View().Get("/d"); !ok || !m.Status().Ready {
		t.Errorf("%+v", m.Status())
	}
	rec.Snapshot.Chunks = rec.Snapshot.Chunks[1:]
	if m := New[*datatree.View, Result](cfg, rec, NewZnodes(1<<20)); m.Err() == nil {
		t.Error("began with half of a snapshot")
	} else if _, r := m.Snapshot(); r != nil {
		t.Error("and keeps it")
	}
}
