package sim

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

// Two members of three lose their power together, wherever they are, again and again, while clients write: whatever was acknowledged is there afterwards, at the
// leader and on a quorum of disks.
func TestPowerLoss(t *testing.T) {
	const worlds, rounds = 10, 20
	var sum Outcome
	acknowledged, looked := 0, 0
	seed := uint64(0)
	for range worlds {
		for seed++; newConfig(seed).Voters != 3 || newConfig(seed).Segment == 0; {
			seed++
		}
		c := newConfig(seed)
		c.Observers, c.Faults, c.DiskStall, c.Drift = 0, [faultKinds]int{}, 0, c.Drift[:3]
		c.Chaos = 1 << 60 // the test ends it
		w := newWorld(seed, Options{Config: &c, Actions: []Action{}})
		o := w.guarded(func() {
			w.start()
			for round := range rounds {
				acked := losePower(w)
				looked += acked
				if round == rounds-1 {
					acknowledged += acked
				}
			}
			w.push(event{at: w.now, kind: evPhase})
			w.finish()
		})
		if o.Err != nil {
			t.Fatalf("world %d: %v", seed, o.Err)
		}
		sum.Steps += o.Steps
		sum.Writes += o.Writes
		sum.Calls += o.Calls
		for i := range o.Cover {
			sum.Cover[i] += o.Cover[i]
		}
	}
	t.Logf("%d rounds in %d worlds: %d writes were acknowledged before the last of their world, and looked for %d times in all; %d entries, %d events", worlds*rounds, worlds, acknowledged, looked, sum.Writes, sum.Steps)
	for _, name := range []string{"torn tail cut", "power loss in the middle of an append", "unclean start carried records over", "call unknown after a crash"} {
		n := sum.Cover[goalIndex[name]]
		t.Logf("reached %5d  %s", n, name)
		if n == 0 {
			t.Errorf("too tame: no %s", name)
		}
	}
	if acknowledged < worlds*rounds {
		t.Error("too tame: hardly anything was acknowledged")
	}
}

// losePower takes the power from two members at a random moment, looks for all writes that had been acknowledged, and returns how many that were.
func losePower(w *World) int {
	w.until("a leader and all others", w.settled)
	for range w.media.IntN(600) {
		w.next()
	}
	var acked []*call
	for _, k := range w.calls {
		if k.done && k.err == nil {
			acked = append(acked, k)
		}
	}
	spared := w.media.IntN(3)
	for i, n := range w.nodes {
		if i != spared {
			w.down(n, thenNoPower)
		}
	}
	w.until("a leader", w.serves)
	l := w.leader()
	for _, k := range acked {
		z := k.want.zxid
		if i, ok := w.place(z); !ok || i == 0 || !l.image.holds(z) {
			w.fail("inv/C1", "the write acknowledged at %v is gone", z)
		}
		if !w.verifier.Contains(func(id quorum.ID) bool { return w.nodes[id-1].disk.holds(z) }) {
			w.fail("inv/Z10", "the write acknowledged at %v is on no quorum of disks", z)
		}
	}
	w.powerLossNow()
	return len(acked)
}

// until has things happen until ok.
func (w *World) until(what string, ok func() bool) {
	for limit := w.now + 2*liveTimeouts*w.cfg.timeout(); !ok(); {
		if w.now > limit {
			w.fail("inv/LIVE", "no %s: %s", what, w.describe())
		}
		w.next()
	}
}
