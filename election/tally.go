package election

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// electable is the one predicate for who is proposed, followed or elected: a voter with weight.
func (m *Machine) electable(id quorum.ID) bool {
	return id != 0 && m.verifier != nil && m.verifier.CanLead(id)
}

// counts is the one predicate for whose word adds to a quorum: a voter that says that it votes, since Look, on this link.
func (m *Machine) counts(p *peer) bool {
	return (p.fresh || mutant.On("words-before-look") && p.heard) && !p.said.Ask && m.isVoter(p.id)
}

func (m *Machine) isVoter(id quorum.ID) bool { return m.verifier != nil && m.verifier.Votes(id) }

// voting reports whether this member votes. A member that remembers, and is no voter, does not.
func (m *Machine) voting() bool { return m.remembers && m.isVoter(m.self) }

// stands reports whether p, by its own word, is a candidate or leads.
func (m *Machine) stands(p *peer) bool {
	return m.counts(p) && p.penalty == 0 && p.said.Vote.Leader == p.id && m.electable(p.id)
}

// best returns the greatest vote for a candidate of this round, or nobody. A candidate may be leading already and not be
// established: those that were quicker to see the quorum must not take its votes away from it.
func (m *Machine) best() (v Vote) {
	if m.electable(m.self) {
		v = m.own
	}
	for i := range m.peers {
		p := &m.peers[i]
		standing := p.said.State == Looking || p.said.State == Leading && p.said.Established == 0
		if standing && p.said.Round == m.round && m.stands(p) && p.said.Vote.Compare(v) > 0 {
			v = p.said.Vote
		}
	}
	return v
}

// agrees reports whether p votes, or has settled, for the proposal in this round.
func (m *Machine) agrees(p *peer) bool {
	return m.counts(p) && p.said.Round == m.round && p.said.Vote == m.proposal && p.said.State != Observing
}

func (m *Machine) agreesByID(id quorum.ID) bool {
	if id == m.self {
		return true
	}
	p := m.peer(id)
	return p != nil && (m.agrees(p) || mutant.On("silence-agrees") && !p.heard && m.isVoter(id))
}

// agreed reports whether a quorum agrees with the proposal, and whether every linked voter that votes does.
func (m *Machine) agreed() (byQuorum, byAll bool) {
	byQuorum, byAll = m.verifier.Contains(m.agreeing), true
	for i := range m.peers {
		p := &m.peers[i]
		silent := p.heard && p.said.Ask // asks: there is nothing to wait for
		if m.isVoter(p.id) && !silent && !m.agrees(p) {
			byAll = false
		}
	}
	return byQuorum && (byAll || !mutant.On("election-waits-for-all")), byAll
}

// established returns the vote for a leader that says itself that its epoch is established, the newest if several do. The
// others have been deposed and do not know it yet.
func (m *Machine) established() (v Vote) {
	for i := range m.peers {
		p := &m.peers[i]
		if p.said.State != Leading || p.said.Established == 0 || !m.stands(p) {
			continue
		}
		if claim := (Vote{Leader: p.id, Epoch: p.said.Established}); claim.Compare(v) > 0 {
			v = claim
		}
	}
	return v
}

// supported returns the greatest vote for a leader that is not established and has a quorum behind it: itself, its followers,
// those who still vote for it in its round, and this member unless it has the greater vote. A leader counts no promise
// of a member fresher than itself, so to follow it would be in vain.
func (m *Machine) supported() (v Vote) {
	for i := range m.peers {
		l := &m.peers[i]
		if l.said.State != Leading || l.said.Established != 0 || !m.stands(l) || l.said.Vote.Compare(v) <= 0 {
			continue
		}
		behind := func(id quorum.ID) bool {
			if id == m.self {
				return m.voting() && m.own.Compare(l.said.Vote) <= 0
			}
			p := m.peer(id)
			if p == nil || !m.counts(p) || p.said.Vote.Leader != l.id {
				return false
			}
			switch p.said.State {
			case Following, Leading:
				return p.said.Established == 0
			case Looking:
				return p.said.Round == l.said.Round
			}
			return false
		}
		if m.verifier.Contains(behind) {
			v = l.said.Vote
		}
	}
	return v
}
