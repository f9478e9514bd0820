package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// served is how a host serves the tree: readers take a View only when they want one, so that none is pinned by each step.
type served struct{ *Znodes }

func (s served) View() *datatree.Tree { return s.Tree() }

// BenchmarkStep is one write through a member that is an ensemble of its own: the request and the news that it is durable, so
// two steps, with Prepare, Apply and the answer.
func BenchmarkStep(b *testing.B) {
	m := New[*datatree.Tree, Result](Config{
		Self: 1, Members: []quorum.Member{{ID: 1}}, InitLimit: 100, SyncLimit: 10, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20,
		ChunkSize: 1 << 16, Incarnation: zab.Incarnation{1}, Ensemble: zab.EnsembleID{1}, Run: zab.Incarnation{1},
	}, Recovered{}, served{NewZnodes(1 << 20)})
	var out Output[*datatree.Tree, Result]
	step := func(in Input) {
		m.Step(in, &out)
		for len(out.Writes) > 0 {
			upto := out.LastWrite
			out.Writes = out.Writes[:0]
			m.Step(&Persisted{upto}, &out)
		}
	}
	for range 10 {
		step(&Tick{Wall: 1})
	}
	if !m.Status().Ready {
		b.Fatalf("not ready: %+v", m.Status())
	}
	payload, err := datatree.AppendOps(nil, []datatree.Op{datatree.SetOp{Path: "/zookeeper/quota", Data: make([]byte, 128)}}, false, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		step(&Request{Ticket: 1, Payload: payload, Wall: 1})
		if len(out.Replies) != 1 {
			b.Fatalf("%d replies", len(out.Replies))
		}
	}
}
