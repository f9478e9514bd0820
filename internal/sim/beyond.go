package sim

import (
	"slices"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// In one seed of twenty more disks are lost, from some moment on, than the ensemble can do without: wiped, or damaged. At least one voter's disk that knows of
// the birth is kept. What is promised then:
//
//   - Nothing is born beside a disk that is kept: nobody is of another ensemble (Z20).
//   - Whoever lost its memory does not count before it is readmitted, by a quorum that counts (Z10, Z20). So when those that count are no quorum any more nobody
//     leads, commits or confirms: the ensemble halts, for ever. It is brought back from a backup, by an operator.
//   - What only the lost disks held is lost, and nobody says otherwise: there is no answer that the one history does not bear out, no read of a state that
//     there never was, no other history in place of it. All invariants hold as before; a disk that was lost counts for them as holding what it held.
//
// There is no progress to be demanded of an ensemble that has halted. One that has not, since what was lost had just been made good, must go on like any other.

// drawBeyond says from when on nothing is spared.
func (c *Config) drawBeyond(at func(n int) int) {
	if at(20) != 0 || c.Voters < 2 {
		return
	}
	c.Beyond = c.Warm + Time(at(int(c.Chaos/c.Tick)))*c.Tick
	c.Faults[fWipe], c.Faults[fDamage] = max(8, c.Faults[fWipe]), max(8, c.Faults[fDamage])
	c.Faults[fSpoil] = 0 // digests can tell who is right only while most are
}

// mayLose reports whether n may lose its disk: the ensemble can do without it, or need not.
func (w *World) mayLose(n *node) bool {
	if w.mayWipe(n) {
		return true
	}
	if w.cfg.Beyond == 0 || w.now < w.cfg.Beyond || w.healed != 0 {
		return false
	}
	return slices.ContainsFunc(w.nodes[:w.cfg.Voters], func(m *node) bool { return m != n && m.disk.mark.Born })
}

// losing counts that n loses its disk, if that is more than the ensemble can do without.
func (w *World) losing(n *node) {
	if !w.mayWipe(n) {
		w.cover("disk lost beyond the budget")
	}
}

// halted reports whether those that count, durably, are no quorum of an ensemble that is born.
func (w *World) halted() bool {
	return w.cfg.Beyond != 0 && w.counting.born && !w.verifier.Contains(func(id quorum.ID) bool { return w.nodes[id-1].disk.mark.Counts })
}

// sameEnsemble checks a mark that becomes durable: since the birth there is one ensemble.
func (w *World) sameEnsemble(n *node, m zab.Mark) {
	c := &w.counting
	switch {
	case m.Ensemble == zab.EnsembleID{}:
	case m.Born && c.ensemble == zab.EnsembleID{}:
		c.ensemble = m.Ensemble
	case c.ensemble != zab.EnsembleID{} && m.Ensemble != c.ensemble:
		w.fail("inv/Z20", "member %d is of ensemble %x, and there is %x", n.id, m.Ensemble, c.ensemble)
	}
}

// standstill is what does not grow any more when an ensemble has halted, and had its time to find that out.
type standstill struct{ committed, confirmed int }

func (w *World) still() standstill {
	return standstill{len(w.log), w.covered[goalIndex["sync"]] + w.covered[goalIndex["session renewed"]]}
}

// halts demands of an ensemble that has halted that it has: nobody leads, nobody is ready, and nothing was committed or confirmed since the faults ended and
// every message had its time.
func (w *World) halts() {
	if l := w.leader(); l != nil {
		w.fail("inv/Z20", "member %d leads epoch %d, and those that count are no quorum", l.id, l.m.Zab().Epoch())
	}
	for _, n := range w.nodes {
		if n.up && n.status.Ready {
			w.fail("inv/Z20", "member %d is ready, and those that count are no quorum", n.id)
		}
	}
	switch now := w.still(); {
	case now.committed != w.frozen.committed:
		w.fail("inv/Z10", "%d entries were committed when those that count were no quorum", now.committed-w.frozen.committed)
	case now.confirmed != w.frozen.confirmed:
		w.fail("inv/C6", "a sync or a renewal was confirmed when those that count were no quorum")
	}
	w.cover("halted for good")
	for _, k := range w.calls {
		if k.done && k.err == nil && k.req != nil && k.req.act == 0 && (k.want == nil || k.want.zxid == 0) {
			w.fail("inv/C1", "request %d was acknowledged and is not in the log", k.id)
		}
	}
	w.ended = true
}
