package core

import (
	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

type settled struct {
	state  election.State
	leader quorum.ID
	epoch  uint32
}

// ended follows the end of a role: what waited for this leader waits for the next.
func (m *Machine[V, R]) ended(to quorum.ID) {
	if !mutant.On("speculation-kept") {
		m.sm.Abandon()
	}
	m.forgetAll()
	m.forgetDigests()
	m.outbox.unsend()
	m.renewal.end()
	m.syncs.unsend()
	m.changed = true
	if m.settled.state == election.Following || m.settled.state == election.Observing {
		if m.settled.epoch == 0 {
			m.vote.Failed(m.settled.leader)
		}
	}
	m.settled = settled{}
	m.vote.Withdraw()
	if to != 0 && m.failed == nil {
		m.follow(to)
		return
	}
	m.lookNext = true
}

// look begins an election when everything issued is persisted; once a step at most.
func (m *Machine[V, R]) look() {
	if m.zab.Role() != zab.Looking || !m.zab.Settled() || !m.zab.Mark().Born && !(mutant.On("promise-before-born") && m.zab.Mark().Counts) || m.looks > 0 {
		m.lookNext = m.zab.Role() == zab.Looking
		return
	}
	m.looks++
	m.lookNext = false
	k := m.zab.Mark()
	m.vote.Look(election.Vote{Leader: m.cfg.Self, Epoch: k.Joined, Zxid: m.zab.Last()}, m.voter && k.Counts, &m.eout)
}

func (m *Machine[V, R]) elected(id quorum.ID) {
	if m.zab.Role() == zab.Looking {
		m.follow(id)
	}
}

// follow takes the role that an election, or a leader that hands over, decided on.
func (m *Machine[V, R]) follow(id quorum.ID) {
	m.changed = true
	if id == m.cfg.Self {
		m.zab.Lead()
	} else if p := m.peer(id); p != nil && p.linked {
		m.zab.Follow(id)
	} else {
		m.lookNext = true
		return
	}
	m.tellRole()
}

// tellRole keeps the election's answers true.
func (m *Machine[V, R]) tellRole() {
	s := settled{leader: m.zab.Leader()}
	switch m.zab.Role() {
	case zab.Leading:
		s.state = election.Leading
	case zab.Following:
		s.state = election.Following
	case zab.Observing:
		s.state = election.Observing
	default:
		return
	}
	if m.zab.Established() {
		s.epoch = m.zab.Epoch()
	}
	if s.epoch == 0 && m.settled.epoch != 0 && s.leader == m.settled.leader {
		return // a renewal in place: nothing that others need to know before it is done
	}
	if s != m.settled {
		m.settled, m.changed = s, true
		m.vote.Settle(s.state, s.leader, s.epoch, &m.eout)
	}
}
