package zab

import "github.com/ensemble-go/ensemble/quorum"

// Confirm begins a round that confirms leadership, or joins the one begun in the same Output, and returns its number.
// Confirmed reports the last round that a quorum has confirmed.
func (m *Machine) Confirm() uint64 {
	ld := m.lead
	if ld == nil {
		return 0
	}
	if ld.sealed != m.sealed || ld.round == ld.confirmed {
		m.ping()
	}
	return ld.round
}

// Round returns the last round that was begun.
func (m *Machine) Round() uint64 {
	if m.lead == nil {
		return 0
	}
	return m.lead.round
}

// Confirmed returns the last round that a quorum has confirmed.
func (m *Machine) Confirmed() uint64 {
	if m.lead == nil {
		return 0
	}
	return m.lead.confirmed
}

func (m *Machine) ping() {
	ld := m.lead
	ld.round++
	ld.sealed = m.sealed
	for _, l := range ld.learners {
		m.send(l.id, &Ping{l.session, ld.epoch, ld.round})
	}
	m.confirm()
}

func (m *Machine) confirm() {
	ld := m.lead
	if ld.phase != established {
		return
	}
	r := m.cfg.Verifier.Position(func(id quorum.ID) uint64 {
		if id == m.cfg.Self {
			if m.mark.Promised != ld.epoch {
				return 0
			}
			return ld.round
		}
		if l := m.learnerOf(id); l != nil && l.joined && l.pongEpoch == ld.epoch {
			return l.pong
		}
		return 0
	})
	ld.confirmed = max(ld.confirmed, r)
}
