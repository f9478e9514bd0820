package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
)

// Action is one fault of the recorded list. X decides the rest when its time comes, so that removing one shifts no other.
type Action struct {
	At   Time
	Kind int
	X    uint64
	Dur  Time
}

// String is how a report shows it.
func (a Action) String() string {
	return fmt.Sprintf("%v %s x=%#x for %v", a.At/ms, faultNames[a.Kind], a.X, a.Dur/ms)
}

func drawActions(c *Config, r *rand.Rand) []Action {
	sum := 0
	for _, x := range c.Faults {
		sum += x
	}
	var list []Action
	at := c.Warm
	if r.IntN(2) == 0 {
		at = 0 // during birth and the first election too
	}
	for range c.Faults[fAmbush] / 20 { // the first steps are taken once only
		list = append(list, Action{0, fAmbush, r.Uint64(), between(r, c.Tick, 8*c.Tick)})
	}
	for {
		at += between(r, c.FaultEvery/4, 2*c.FaultEvery)
		if at >= c.Warm+c.Chaos {
			return list
		}
		k, x := 0, r.IntN(sum)
		for x >= c.Faults[k] {
			x -= c.Faults[k]
			k++
		}
		dur := between(r, c.Tick, 8*c.Tick)
		if r.IntN(3) == 0 {
			dur = between(r, 8*c.Tick, 40*c.Tick)
		}
		list = append(list, Action{at, k, r.Uint64(), dur})
	}
}

// count adds a fault; -1 is a restart.
func (w *World) count(kind int) {
	if w.healed != 0 || kind == -1 && w.nodeStarts < len(w.nodes) {
		w.nodeStarts++
		return
	}
	w.total++
	if kind >= 0 {
		w.faults[kind]++
	}
}

// target picks a member: every third time the leader.
func (w *World) target(r *rand.Rand) *node {
	if r.IntN(3) == 0 {
		if l := w.leader(); l != nil {
			return l
		}
	}
	return w.nodes[r.IntN(len(w.nodes))]
}

func (w *World) act(a Action) {
	if w.healed != 0 {
		return
	}
	if a.Kind == fAmbush {
		w.lay(a)
		return
	}
	r := rand.New(rand.NewPCG(a.X, uint64(a.Kind)))
	n := w.target(r)
	w.recordAction(a, n)
	var p *pair
	if len(w.nodes) > 1 {
		j := r.IntN(len(w.nodes) - 1)
		if j >= n.idx {
			j++
		}
		p = w.pair(n.idx, j)
	}
	switch a.Kind {
	case fCrash, fCrashMiddle, fWipe:
		then := thenRestart
		if a.Kind == fWipe {
			then = thenWipe
		}
		if !n.up {
			return
		}
		if a.Kind == fCrashMiddle {
			n.crashIn, n.after = 1+r.IntN(6), pick(r, thenRestart, thenRestart, thenWipe) // counted when it comes
			return
		}
		w.count(fCrash)
		w.down(n, then)
	case fPowerAll:
		w.powerLoss()
	case fPause:
		w.stop(n, a.Dur)
	case fClock:
		w.count(fClock)
		n.wall += (r.Int64N(1<<33) - 1<<32) * 8 // up to a year and more, either way
	case fDiskFails:
		switch {
		case n.up && !n.drive.model():
			n.drive.failIn, n.drive.failSync = 1+r.IntN(6), r.IntN(2) == 0
		case n.up && !n.paused:
			w.count(fDiskFails)
			n.watch.broken = true
			n.put(w, inbound{lane: lanePersisted, msg: &core.Failed{Err: errDisk}})
		}
	case fFull:
		all := r.IntN(4) == 0
		for _, m := range w.nodes {
			if all || m == n {
				w.fill(m, r.Int64N(20_000))
				w.push(event{at: w.now + a.Dur + between(r, 0, a.Dur), kind: evUndo, msg: func() { m.drive.mem.SetSpace(-1) }})
			}
		}
	case fStall:
		if n.up {
			w.count(fStall)
			n.drive.stalled = w.now + a.Dur
		}
	case fDamage:
		if !n.drive.model() && w.mayLose(n) {
			w.count(fDamage)
			n.drive.hurt = a.X | 1
			if n.up {
				w.down(n, thenRestart)
			} else {
				n.drive.crash(r.IntN(2) == 0)
				w.reopen(n, nil, 0)
			}
		}
	case fSpoil:
		w.spoil(n, a.X)
	case fTransfer:
		if n.up {
			w.transfer(n, quorum.ID(r.IntN(w.cfg.Voters+1)))
		}
	}
	if p == nil {
		return
	}
	switch a.Kind {
	case fCut:
		w.cutFor([]cut{{p, 0}, {p, 1}}, a)
	case fOneWay:
		w.cutFor([]cut{{p, r.IntN(2)}}, a)
	case fReset:
		w.count(fReset)
		w.reset(p, r.IntN(2) == 0)
	case fDuplicate:
		if w.nodes[p.a].up && w.nodes[p.b].up && p.cut[0]+p.cut[1] == 0 {
			w.count(fDuplicate)
			w.connect(p)
		}
	case fPartition:
		side := r.Uint64()
		var cuts []cut
		for _, q := range w.pairs {
			if q != nil && side>>q.a&1 != side>>q.b&1 {
				cuts = append(cuts, cut{q, 0}, cut{q, 1})
			}
		}
		w.cutFor(cuts, a)
	case fIsolate:
		mode := r.IntN(3)
		var cuts []cut
		for _, q := range w.pairs {
			if q == nil || q.a != n.idx && q.b != n.idx {
				continue
			}
			out := q.end(n.idx)
			if mode != 0 {
				cuts = append(cuts, cut{q, out})
			}
			if mode != 1 {
				cuts = append(cuts, cut{q, 1 - out})
			}
		}
		w.cutFor(cuts, a)
	case fFlap:
		for i := range 3 {
			w.push(event{at: w.now + Time(i)*w.cfg.Tick/2, kind: evUndo, msg: func() {
				if w.healed == 0 {
					w.count(fFlap)
					w.reset(p, true)
				}
			}})
		}
	}
}

// cut is one direction of a pair.
type cut struct {
	p   *pair
	dir int
}

func (w *World) cutFor(cuts []cut, a Action) {
	if len(cuts) == 0 {
		return
	}
	w.count(a.Kind)
	for _, c := range cuts {
		c.p.cut[c.dir]++
		if a.X>>8&3 == 0 {
			w.reset(c.p, false) // the ends notice by themselves
		}
	}
	w.push(event{at: w.now + a.Dur, kind: evUndo, msg: func() {
		if w.healed != 0 {
			return
		}
		w.count(a.Kind) // a heal
		for _, c := range cuts {
			c.p.cut[c.dir]--
		}
	}})
}
