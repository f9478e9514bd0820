package election

import (
	"cmp"
	"slices"

	"github.com/ensemble-go/ensemble/quorum"
)

// peer is a present link, and the last word that came on it.
type peer struct {
	id    quorum.ID
	heard bool // said is what it said last on this link
	// fresh says that it said so since Look: what it said to us as a follower may be long out of date.
	fresh   bool
	said    Notification
	silent  uint64 // ticks since then, or since Look
	penalty uint64 // ticks for which its leadership is not believed
}

func (m *Machine) search(id quorum.ID) (int, bool) {
	return slices.BinarySearchFunc(m.peers, id, func(p peer, id quorum.ID) int { return cmp.Compare(p.id, id) })
}

// peer returns the link to id, or nil.
func (m *Machine) peer(id quorum.ID) *peer {
	if i, ok := m.search(id); ok {
		return &m.peers[i]
	}
	return nil
}

// Peer returns what a linked peer said last about itself: its state and its leader, or, while it is looking, whom it votes
// for. It returns false if the peer is not linked or has said nothing.
func (m *Machine) Peer(id quorum.ID) (s State, leader quorum.ID, ok bool) {
	p := m.peer(id)
	if p == nil || !p.heard {
		return 0, 0, false
	}
	return p.said.State, p.said.Vote.Leader, true
}
