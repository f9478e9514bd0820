package sim

import (
	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// hearing is what a member has heard that is still worth something.
type hearing struct {
	voters  quorum.ID                // the last of them
	said    []*election.Notification // by each other member on its present link, since this one began to look
	session zab.Session              // of this member's present attempt to follow
	lead    []zab.Session            // of each other member's attempt to follow this one
	above   uint32                   // a promise of a voter that shuts it out from following this one
	aware   int                      // ticks since this one, established, was told of it
}

func newHearing(n, voters int) hearing {
	return hearing{voters: quorum.ID(voters), said: make([]*election.Notification, n), lead: make([]zab.Session, n)}
}

func (h *hearing) clear() {
	clear(h.said)
	clear(h.lead)
	h.session, h.above, h.aware = 0, 0, 0
}

// hears notes an input before the step is judged.
func (h *hearing) hears(input core.Input, from quorum.ID, msg any) {
	switch x := input.(type) {
	case *core.Linked:
		h.said[x.Peer-1], h.lead[x.Peer-1] = nil, 0
	case *core.Lost:
		h.said[x.Peer-1], h.lead[x.Peer-1] = nil, 0
	case *core.Receive:
		switch m := msg.(type) {
		case *election.Notification:
			h.said[from-1] = m
		case *zab.FollowerInfo:
			h.lead[from-1] = m.Session
			if m.Counts && from <= h.voters {
				h.above = max(h.above, m.Promised)
			}
		}
	}
}

// votes reports whether id said on its present link that it votes, and for whom.
func (h *hearing) votes(id, for_ quorum.ID) bool {
	x := h.said[id-1]
	return x != nil && !x.Ask && x.Vote.Leader == for_
}

// electedByRight checks a member that was looking and takes a role.
func (w *World) electedByRight(n *node, role zab.Role) {
	h := &n.watch.hearing
	switch role {
	case zab.Leading:
		if !w.verifier.CanLead(n.id) {
			w.fail("inv/E1", "member %d stands, and must not lead", n.id)
		}
		if !w.verifier.Contains(func(id quorum.ID) bool { return id == n.id || h.votes(id, n.id) }) {
			w.fail("inv/E1", "member %d stands without the votes of a quorum on its present links", n.id)
		}
	case zab.Following, zab.Observing:
		if l := n.m.Zab().Leader(); l != 0 && !h.votes(l, l) {
			w.fail("inv/E1", "member %d follows %d, which has not said on its present link that it stands", n.id, l)
		}
	}
}

// shutsNobodyOut checks a leader at its ticks: a voter that has promised an epoch above the leader's can never follow it, so the leader must stand again
// above that promise.
func (w *World) shutsNobodyOut(n *node, role zab.Role, epoch uint32, est bool) {
	h := &n.watch.hearing
	switch {
	case role != zab.Leading || h.above <= epoch:
		h.above, h.aware = 0, 0
	case est:
		if h.aware++; h.aware > 2 {
			w.fail("inv/Z21", "member %d leads epoch %d and knows that a voter has promised %d", n.id, epoch, h.above)
		}
	}
}

// inSession checks that what belongs to an attempt to follow that is over is neither answered nor written down.
func (w *World) inSession(n *node, from quorum.ID, msg any, was zab.Role, followed quorum.ID, writes int, sends []core.Send) {
	x, ok := msg.(zab.Message)
	if !ok {
		return
	}
	h, z := &n.watch.hearing, n.m.Zab()
	current := h.session
	s, fromLeader := sessionOf(x)
	switch {
	case s == 0 || z.Role() != was:
		return
	case fromLeader && (was == zab.Following || was == zab.Observing) && from == followed && z.Leader() == from:
	case !fromLeader && was == zab.Leading:
		current = h.lead[from-1]
	default:
		return
	}
	if s == current {
		return
	}
	for i := range sends {
		if _, ok := sends[i].Message.(zab.Message); ok || writes > 0 {
			w.fail("inv/Z19", "member %d acts on %T of session %x of %d, the present one is %x", n.id, msg, s, from, current)
		}
	}
}

// sessionOf returns the session a message belongs to, and whether it comes from a leader.
func sessionOf(msg zab.Message) (s zab.Session, fromLeader bool) {
	switch x := msg.(type) {
	case *zab.AckEpoch:
		return x.Session, false
	case *zab.Ack:
		return x.Session, false
	case *zab.Pong:
		return x.Session, false
	case *zab.Fetch:
		return x.Session, false
	case *zab.Installed:
		return x.Session, false
	case *zab.LeaderInfo:
		return x.Session, true
	case *zab.Sync:
		return x.Session, true
	case *zab.Chunk:
		return x.Session, true
	case *zab.Propose:
		return x.Session, true
	case *zab.NewLeader:
		return x.Session, true
	case *zab.UpToDate:
		return x.Session, true
	case *zab.Commit:
		return x.Session, true
	case *zab.Ping:
		return x.Session, true
	}
	return 0, false
}
