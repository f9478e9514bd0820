package sim

import (
	"slices"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Phases after the chaos.
const (
	phaseChaos = iota
	phaseCore  // a quorum is healed, and must serve; left out where all are healed at once
	phaseLive  // healed: a leader is wanted, everybody ready
	phaseQuiet // clients stop: every call answered, all states equal
	phaseAgain // after a power loss of all: a leader is wanted again
	phaseFinal // and the states must be equal again
	phaseTheEnd
	liveTimeouts = 20
	longPhase    = 10 * liveTimeouts // clients write for ever, so that progress alone does not say that a phase gets anywhere; the longest of 600 seeds took 85
)

// nextPhase ends the chaos.
func (w *World) nextPhase() {
	if left := w.drawLeft(); left != 0 {
		w.phase = phaseCore
		w.cover("core healed")
		w.heal(left)
		w.beginPhase()
		w.limit = w.now + liveTimeouts*w.cfg.timeout()
		return
	}
	w.phase = phaseLive
	w.heal(0)
	w.beginPhase()
}

// beginPhase sets the times by which the phase must be over: one that progress moves, and one that nothing moves.
func (w *World) beginPhase() {
	w.entered, w.limit = w.now, w.now+w.patience()
	w.end, w.hushed = w.now+longPhase*w.cfg.timeout(), false
	w.push(event{at: w.now + w.cfg.Tick, kind: evCheck})
}

// hush tells clients to ask for nothing more, or to go on.
func (w *World) hush(quiet bool) {
	w.quiet, w.hushed = quiet, w.hushed || quiet
	for _, g := range w.guests {
		g.retired = g.retired && quiet
	}
}

// patience is for how long there need be no progress: an election, or the end of a session that is silent.
func (w *World) patience() Time { return liveTimeouts*w.cfg.timeout() + w.cfg.longest() }

// leader returns the one that leads an established epoch, or nil.
func (w *World) leader() *node {
	var best *node
	for _, n := range w.nodes {
		if n.up && n.m != nil && n.m.Zab().Role() == zab.Leading && n.m.Zab().Established() && (best == nil || n.m.Zab().Epoch() > best.m.Zab().Epoch()) {
			best = n
		}
	}
	return best
}

// readyUnder reports whether a member is ready in the leader's epoch.
func (w *World) readyUnder(n, leader *node) bool {
	return n.up && n.status.Ready && n.m.Zab().Epoch() == leader.m.Zab().Epoch()
}

// serves reports whether a leader leads and a quorum follows it and is ready. Those that are not healed may be of use.
func (w *World) serves() bool {
	l := w.leader()
	return l != nil && w.verifier.Contains(func(id quorum.ID) bool { return w.readyUnder(w.nodes[id-1], l) })
}

// writes reports whether members that are ready have answered writes with success that were made in this phase: any of a core, which may be slow, and all of all.
func (w *World) writes() bool {
	if w.cfg.Clients == 0 || w.limitC > 0 && len(w.calls) >= w.limitC {
		return true // nobody asks for any
	}
	l, core := w.leader(), w.phase == phaseCore
	return core == slices.ContainsFunc(w.nodes, func(n *node) bool { return w.readyUnder(n, l) && !w.isLeft(n) && core == (n.wrote > w.entered) })
}

// progress changes as long as anybody writes or applies anything.
func (w *World) progress() (sum uint64) {
	for _, n := range w.nodes {
		if n.up {
			sum += uint64(n.watch.given) + n.disk.pos
		}
	}
	return sum
}

// settled reports whether a leader leads and everybody else follows it, ready and counted.
func (w *World) settled() bool {
	l := w.leader()
	if l == nil {
		return false
	}
	for _, n := range w.nodes {
		if !n.up || !n.status.Ready || n.m.Zab().Epoch() != l.m.Zab().Epoch() {
			return false
		}
		if w.verifier.Votes(n.id) && !n.m.Zab().Durable().Counts && w.spares(n) {
			return false
		}
	}
	return true
}

// spares reports whether the others are a quorum without n: only they can bring back a voter that is blank.
func (w *World) spares(n *node) bool {
	return w.verifier.Contains(func(id quorum.ID) bool { return id != n.id })
}

// equal reports whether all calls are answered and everybody has applied the whole history.
func (w *World) equal() bool {
	last := w.lastCommitted()
	for _, n := range w.nodes {
		if !n.up || len(n.calls) > 0 || n.m.Zab().Applied() != last || n.m.Zab().Last() != last || n.disk.last() != last {
			return false
		}
	}
	return true
}

func (w *World) checkPhase() {
	if w.phase < phaseQuiet && w.halted() {
		switch long := w.now - w.healed; {
		case long < 2*w.cfg.timeout(): // what was on its way may come first
			w.frozen = w.still()
		case long > 8*w.cfg.timeout():
			w.halts()
			return
		}
		w.push(event{at: w.now + w.cfg.Tick/2, kind: evCheck})
		return
	}
	done := false
	switch w.phase {
	case phaseCore:
		done = w.serves() && w.writes()
	case phaseLive, phaseAgain:
		done = w.serves() && w.writes() && w.found()
	case phaseQuiet, phaseFinal:
		done = w.equal() && w.settled() && w.sound() && w.allSilentEnded() && w.now >= w.entered+w.cfg.longest()*3/2 // meanwhile the others must last
	}
	if !done {
		slow := true // a leader of all has no need of a laggard, one of a core may have
		switch w.phase {
		case phaseCore:
			slow = !w.serves()
		case phaseLive, phaseAgain:
			slow = !w.sound() || w.serves()
		}
		if sum := w.progress(); slow && sum != w.sum {
			w.sum, w.limit = sum, w.now+w.patience() // a small window takes its time to bring a laggard up to date
		}
		if w.now > w.end && !w.hushed && (w.phase == phaseLive || w.phase == phaseAgain) {
			w.hush(true) // who writes for ever may be ahead of a laggard for ever
			w.end += longPhase * w.cfg.timeout()
		} else if w.hushed && w.quiet && w.found() {
			w.hush(false)
		}
		if w.now > min(w.limit, w.end) {
			w.fail("inv/LIVE", "phase %d: %s", w.phase, w.describe())
		}
		w.push(event{at: w.now + w.cfg.Tick/2, kind: evCheck})
		return
	}
	switch w.phase {
	case phaseCore:
		w.heal(0)
	case phaseLive:
		w.quiet = true
	case phaseQuiet:
		w.audit()
		w.lasting()
		w.hush(false)
		for _, n := range w.nodes {
			w.down(n, thenNoPower)
		}
	case phaseAgain:
		w.quiet = true
	case phaseFinal:
		w.audit()
		w.final()
		w.ended = true
		return
	}
	w.phase++
	w.beginPhase()
}
