package sim

import (
	"fmt"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
)

// A member crashes in the middle of a snapshot, and nobody writes: what its disk has of it is not asked for again. Seeds hardly come to this, since the leader's
// state has mostly changed by then.
func TestPartOfEarlierRun(t *testing.T) {
	c := newConfig(1)
	c.Groups, c.Weights, c.Beyond = nil, nil, 0
	c.Voters, c.Observers, c.Bootstrap, c.Drift, c.Warm, c.Chaos = 3, 0, true, make([]int, 3), 1000*s, 1000*s
	c.Segment, c.KeepEvery, c.MaxTail, c.ReadsLog, c.ChunkSize, c.Window = 4096, 0, 256, false, 4096, 1<<20
	c.Clients, c.Watchers = 0, 0
	w := newWorld(1, Options{Config: &c, Actions: []Action{}})
	w.maxData = 1 << 20
	until := func(what string, so func() bool) {
		for limit := w.now + 500*c.timeout(); !so(); w.next() {
			if w.now > limit {
				w.fail("inv/LIVE", "there is not %s: %s", what, w.describe())
			}
		}
	}
	used := goalIndex["part of an earlier run used again"]
	if o := w.guarded(func() {
		w.start()
		until("a leader", w.settled)
		l := w.leader()
		n := w.nodes[int(l.id)%3]
		for i := range 100 { // more than is written in one go
			ops := []datatree.Op{datatree.CreateOp{Path: fmt.Sprint("/large", i), Data: make([]byte, 10<<10)}}
			payload, err := datatree.AppendOps(envelope(nil, nil), ops, false, w.maxData)
			if err != nil {
				t.Fatal(err)
			}
			answered := false
			k := w.newCall(l, callWrite)
			k.answer = func(reply) { answered = true }
			l.put(w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.Request{Ticket: k.ticket, Payload: payload}})
			until("an answer", func() bool { return answered })
		}
		w.down(n, thenWipe)
		w.quiet = true
		for try := 0; try < 20 && w.covered[used] == 0; try++ {
			until("a part of a snapshot", func() bool { return n.up && n.receives.at.Chunk > 150 || n.up && n.status.Ready })
			if n.status.Ready {
				w.fail("inv/SCN", "the snapshot came at once")
			}
			w.down(n, thenRestart)
		}
		until("the member back", func() bool { return w.settled() })
	}); o.Err != nil {
		t.Fatal(o.Err)
	}
	if w.covered[used] == 0 {
		t.Fatal("all of it was asked for again")
	}
}
