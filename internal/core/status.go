package core

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// publish gives out the state when it has changed, and the status when anything but positions has.
func (m *Machine[V, R]) publish() {
	if m.applied && m.failed == nil {
		m.out.State, m.out.Published = m.sm.View(), true
		m.applied = false
	}
	if !m.changed && m.status.Ready == m.ready() && (m.status.Reason == Blank) == m.blank() {
		return
	}
	m.changed = false
	m.status = m.Status()
	m.out.Status, m.out.Changed = m.status, true
}

// ready reports whether this member serves and counts, durably: whoever reads it may rely on this disk, and give up another.
func (m *Machine[V, R]) ready() bool {
	return m.zab.Serving() && !m.digests.differ && !m.zab.Mark().Spoilt && m.zab.Role() != zab.Stopped && (m.zab.Durable().Counts || !m.voter || mutant.On("ready-before-durable") && m.zab.Mark().Counts)
}

func (m *Machine[V, R]) blank() bool {
	k := m.zab.Durable()
	return k.Born && !k.Counts && m.voter
}

// Status tells what this member knows of itself now.
func (m *Machine[V, R]) Status() Status {
	if m.zab == nil {
		return Status{Role: zab.Stopped, Reason: NoQuorum}
	}
	k := m.zab.Mark()
	s := Status{
		Role: m.zab.Role(), Leader: m.zab.Leader(), Ready: m.ready(), Epoch: m.zab.Epoch(), Ensemble: k.Ensemble, Founded: m.birth.founded,
		Logged: m.zab.Last(), Committed: m.zab.Committed(), Applied: m.zab.Applied(), Session: m.outbox.own.session, InFlight: m.outbox.count,
		Peers: make([]Peer, len(m.peers)),
	}
	switch {
	case s.Ready:
	case k.Spoilt, m.digests.differ:
		s.Reason = Impaired
	case m.blank():
		s.Reason = Blank
	case s.Leader != 0:
		s.Reason = Synchronising
	default:
		s.Reason = NoQuorum
	}
	for i, p := range m.peers {
		s.Peers[i] = Peer{ID: p.id, Linked: p.linked, Acked: m.zab.Acked(p.id)}
		s.Peers[i].State, _, _ = m.vote.Peer(p.id)
	}
	return s
}
