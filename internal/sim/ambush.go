package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/ensemble-go/ensemble/zab"
)

// Moments of the protocol. What goes wrong goes wrong between two of its steps, and faults that come by the clock alone seldom fall there.
const (
	atStand      = iota // a member begins to stand
	atPromise           // an epoch is promised, durably
	atJoin              // an epoch is joined, durably
	atEstablish         // a leader establishes its epoch
	atUpToDate          // a follower learns that
	atRenew             // a leader begins to renew its epoch
	atLeave             // a follower leaves its leader
	atCut               // a history is cut or replaced
	atCommit            // a leader commits
	atReadmit           // a Readmit is logged
	atReadmitted        // a leader commits it
	atCount             // the member has recorded that it counts
	atDiff              // the first entries of a DIFF have come
	moments
)

var momentNames = [moments]string{"stand", "promise", "join", "establish", "up to date", "renew", "leave", "cut", "commit", "readmit", "readmitted", "count", "DIFF"}

// ambush is a fault that waits for its moment.
type ambush struct {
	Action
	moment int
	skip   int // so many such moments pass by first
	until  Time
}

// lay sets an ambush: which moment it waits for, and what it will do, is in X.
func (w *World) lay(a Action) {
	r := rand.New(rand.NewPCG(a.X, 0xa3))
	b := ambush{a, r.IntN(moments), r.IntN(3), w.now + 60*w.cfg.Tick}
	if a.At == 0 {
		b.moment = r.IntN(atUpToDate)
	}
	w.ambushes = append(w.ambushes, b)
}

// moment tells that a member has come to a moment. An ambush that waits for it is sprung, at once or a little later.
func (w *World) moment(n *node, k int) {
	if len(w.ambushes) == 0 || w.healed != 0 {
		return
	}
	w.ambushes = slices.DeleteFunc(w.ambushes, func(b ambush) bool { return b.until < w.now })
	for i, b := range w.ambushes {
		if b.moment != k {
			continue
		}
		if b.skip > 0 {
			w.ambushes[i].skip--
			continue
		}
		w.ambushes = slices.Delete(w.ambushes, i, i+1)
		r := rand.New(rand.NewPCG(b.X, 0xa4))
		at := w.now + pick(r, 0, between(r, 0, w.cfg.NetMax), between(r, 0, w.cfg.Tick))
		w.push(event{at: at, kind: evUndo, msg: func() {
			if w.healed == 0 && w.strike(n, b.Action, r) {
				w.cover("strike at " + momentNames[k])
			}
		}})
		return
	}
}

// strike hits the member that came to the moment, its leader, or another one. It reports whether anything came of it.
func (w *World) strike(n *node, a Action, r *rand.Rand) bool {
	leader := n
	if n.up && n.m.Zab().Leader() != 0 {
		leader = w.nodes[n.m.Zab().Leader()-1]
	}
	victim := pick(r, n, n, leader, w.nodes[r.IntN(len(w.nodes))])
	friend := pick(r, leader, n, w.nodes[r.IntN(len(w.nodes))])
	w.note(victim, "STRIKE")
	alone := func(m *node) bool { return m == victim }
	pair := func(m *node) bool { return m == victim || m == friend }
	before := w.total
	switch r.IntN(11) {
	case 0, 1:
		w.hit(victim, thenRestart, r)
	case 2, 3:
		w.hit(victim, thenWipe, r)
	case 4: // the disk is lost, and the member comes back to one that may know as little as it does
		w.fence(a, pair, r)
		w.hit(victim, thenWipe, r)
	case 5:
		w.fence(a, alone, r)
	case 6:
		w.fence(a, pair, r)
	case 7, 10: // one disk may not come back
		if r.IntN(2) == 0 {
			w.hit(victim, thenWipe, r)
		}
		w.powerLoss()
	case 8:
		w.stop(victim, a.Dur)
	case 9:
		w.stall(victim, a.Dur, r)
	}
	return w.total > before
}

// powerLoss takes the power from all members.
func (w *World) powerLoss() {
	if !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.up }) {
		return
	}
	w.count(fPowerAll)
	w.cover("power loss of all")
	for _, m := range w.nodes {
		w.down(m, thenNoPower)
	}
}

// hit ends a member, and half the time starts it again before anybody can have noticed.
func (w *World) hit(n *node, then int, r *rand.Rand) {
	if !n.up {
		return
	}
	w.count(fCrash)
	w.down(n, then)
	if r.IntN(2) == 0 {
		w.push(event{at: w.now + between(r, 0, w.cfg.Tick/8), kind: evRestart, node: int32(n.idx), run: n.run})
	}
}

// fence cuts some members off from all others. Outside that may be known at once, while inside only silence tells: a leader inside goes on while
// others elect.
func (w *World) fence(a Action, inside func(*node) bool, r *rand.Rand) {
	quiet := r.IntN(2) == 0
	var cuts []cut
	for _, p := range w.pairs {
		if p == nil || inside(w.nodes[p.a]) == inside(w.nodes[p.b]) {
			continue
		}
		cuts = append(cuts, cut{p, 0}, cut{p, 1})
		outer := p.a
		if inside(w.nodes[p.a]) {
			outer = p.b
		}
		if quiet {
			w.hint(p, p.end(outer), w.now+w.delay())
		}
	}
	a.Kind, a.X = fPartition, 1<<8
	w.cutFor(cuts, a)
}

// stall keeps back, for a while, what one class of a member's messages brings to others or to itself. The other classes overtake it.
func (w *World) stall(n *node, d Time, r *rand.Rand) {
	class, dir := r.IntN(3), r.IntN(2)
	w.count(fAmbush)
	for j := range w.nodes {
		if j == n.idx {
			continue
		}
		p := w.pair(n.idx, j)
		f := &p.floor[p.end(n.idx)^dir][class]
		*f = max(*f, w.now+min(d, 4*w.cfg.Tick))
	}
}

// stop pauses a member.
func (w *World) stop(n *node, d Time) {
	if n.up && !n.paused {
		w.count(fPause)
		n.paused = true
		w.push(event{at: w.now + d, kind: evResume, node: int32(n.idx), run: n.run})
	}
}

// marked tells the moments of a mark that has become durable.
func (w *World) marked(n *node, was, is zab.Mark) {
	if is.Promised > was.Promised {
		w.moment(n, atPromise)
	}
	if is.Joined > was.Joined {
		w.moment(n, atJoin)
	}
	if is.Counts && !was.Counts {
		w.moment(n, atCount)
	}
}
