package sim

import (
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

// The first half of C10: a session whose owner is alive, at a member that is ready and connected, does not end and does not lapse. Nothing is promised of others:
// a quorum may be out of reach, or the timeout too short for this network.

// disturbed notes that something about a member has changed that its renewals may suffer from.
func (w *World) disturbed(n *node) { n.calm = w.now }

// connected reports whether a member, its leader and a quorum have been healed, ready and with each other since then.
func (w *World) connected(n *node, since Time) bool {
	l := w.leader()
	if w.healed == 0 || w.healed > since || l == nil {
		return false
	}
	calm := func(m *node) bool { return w.readyUnder(m, l) && !m.paused && m.calm <= since }
	return calm(n) && calm(l) && w.verifier.Contains(func(id quorum.ID) bool { return calm(w.nodes[id-1]) })
}

// confirmation is the most that passes at a member that is connected from one sending of a renewal that is confirmed to the confirmation of the next one.
func (w *World) confirmation(timeout Time) Time {
	way := w.cfg.NetMax + w.cfg.LoopDelay
	if w.cfg.NetSlow > 0 {
		way += w.cfg.NetLate
	}
	tick := w.cfg.Tick * 1000 / (1000 - 50) // of the slowest clock
	every := max(1, timeout/w.cfg.Tick/6)
	const rounds = 4                   // to the tick that sends it, and to the heartbeats that begin its round and may have to wait for the one before
	return (every+rounds)*tick + 4*way // there, the round there and back, and back
}

// mustLast reports whether what a member holds cannot have come to an end by a time, if all is as it should be.
func (w *World) mustLast(a *seat, at Time) bool {
	need := w.confirmation(a.timeout)
	if a.timeout == 0 || a.givenUp || !a.here() || need >= a.timeout*2/3*1000/1050 || a.began > at-need || !w.connected(a.n, at-max(need, a.timeout)) {
		return false
	}
	x := w.ref.sessions[a.session]
	return x != nil && (!x.ended || x.expired) && x.generation == a.generation && !w.asked(a.session)
}

// needless checks the end of what a member holds, at a time: a session that a leader ended or that has lapsed.
func (w *World) needless(a *seat, at Time, what string) {
	if w.mustLast(a, at) {
		w.fail("inv/C10", "session %x %s at %v at member %d, which has renewed it since %v and is connected; its timeout is %v",
			a.session, what, time.Duration(at), a.n.id, time.Duration(a.began), time.Duration(a.timeout))
	}
}

// lasting counts the sessions that must last by now.
func (w *World) lasting() {
	for _, n := range w.nodes {
		for _, x := range w.ref.living {
			if a := n.serves[x.id]; a != nil && w.mustLast(a, w.now) {
				w.cover("session that must last")
			}
		}
	}
}

// asked reports whether somebody has asked for the end of a session, or to have it elsewhere, and has no answer yet.
func (w *World) asked(session uint64) bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool {
		for _, k := range n.calls {
			if k.req != nil && (k.req.act == actResume && k.req.about == session || k.req.act == actClose && k.session == session) {
				return true
			}
		}
		return false
	})
}
