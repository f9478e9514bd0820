package election

import (
	"cmp"
	"math"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// Config describes one member's machine. Times are in ticks; 0 means the default.
type Config struct {
	Self     quorum.ID
	Verifier quorum.Verifier
	Seed     uint64 // of the jitter

	ResendMin    uint64 // before the first resend; 1 by default
	ResendMax    uint64 // between resends at most; 20 by default. Who is silent for twice as long while this one looks is not counted
	FinalizeWait uint64 // for a greater vote, when a quorum agrees and not every linked voter does; 4 by default
	FailedWait   uint64 // for which a leader that was followed in vain is not believed; 10 by default
}

// maxTicks bounds the times of Config, far from overflow.
const maxTicks = 1 << 32

// Machine is one member's part in elections. It is not safe for concurrent use.
type Machine struct {
	self         quorum.ID
	verifier     quorum.Verifier
	finalizeWait uint64
	failedWait   uint64
	backoff      backoff
	peers        []peer // ascending by id, the present links

	begun     bool // Look or Settle was called, and Withdraw was not since
	state     State
	round     uint64
	remembers bool // false: blank, or an observer
	own       Vote
	proposal  Vote // while looking whom we vote for, otherwise our leader
	settled   uint32
	decided   bool   // and waiting for Settle or Look
	elected   Vote   // what was decided
	waiting   bool   // a quorum agrees, not all
	wait      uint64 // ticks until that is enough

	agreeing func(quorum.ID) bool // agreesByID, made once

	note  *Notification // what we say now, or nil: to be made
	stale bool          // all must hear it
}

// New returns a machine without links that says nothing until Look.
func New(cfg Config) *Machine {
	least := min(cmp.Or(cfg.ResendMin, 1), maxTicks)
	most := max(least, min(cmp.Or(cfg.ResendMax, 20), maxTicks))
	m := &Machine{
		self:         cfg.Self,
		verifier:     cfg.Verifier,
		finalizeWait: min(cmp.Or(cfg.FinalizeWait, 4), maxTicks),
		failedWait:   min(cmp.Or(cfg.FailedWait, 10), maxTicks),
		backoff:      backoff{least: least, most: most, interval: least, left: least, random: cfg.Seed ^ uint64(cfg.Self)<<32},
	}
	m.agreeing = m.agreesByID
	return m
}

// State returns what this member does, Looking before the first Look and after Withdraw.
func (m *Machine) State() State { return m.state }

// Leader returns the leader this member has settled on, or 0 while it is looking.
func (m *Machine) Leader() quorum.ID {
	if m.state == Looking {
		return 0
	}
	return m.proposal.Leader
}

// Vote returns whom this member votes for while it is looking, and its leader otherwise.
func (m *Machine) Vote() Vote { return m.proposal }

// Round returns the round of this member.
func (m *Machine) Round() uint64 { return m.round }

// Look enters a new round of looking, with this member's own vote, whose Leader is itself. votes is false for a member that
// must not vote: a blank one, or an observer. A member that is no voter by the Verifier does not vote either way.
func (m *Machine) Look(vote Vote, votes bool, out *Output) {
	m.begun, m.state, m.decided, m.waiting, m.settled = true, Looking, false, false, 0
	if m.round < math.MaxUint64 {
		m.round++
	}
	vote.Leader = m.self
	m.own, m.remembers = vote, votes
	for i := range m.peers {
		m.peers[i].fresh, m.peers[i].silent = false, 0
	}
	m.proposal, m.elected = Vote{}, Vote{}
	m.tell()
	m.finish(nil, out)
}

// Settle tells that the role is taken, and everybody linked hears it: leader is this member itself for Leading, and epoch is 0
// until it is established. Looking is not a role, and is ignored.
func (m *Machine) Settle(s State, leader quorum.ID, epoch uint32, out *Output) {
	if s == Looking || s > Observing {
		return
	}
	v := Vote{Leader: leader}
	switch {
	case epoch != 0:
		v.Epoch = epoch
	case m.elected.Leader == leader:
		v = m.elected
	}
	if m.begun && m.state == s && m.proposal == v && m.settled == epoch {
		return
	}
	m.begun, m.state, m.proposal, m.settled, m.decided, m.waiting = true, s, v, epoch, false, false
	m.tell()
	m.finish(nil, out)
}

// Withdraw tells that the role has ended. This member says nothing until Look or Settle: who looks must not be told of a leader that is none, and what this
// member would vote for may not be durable yet.
func (m *Machine) Withdraw() {
	if mutant.On("word-outlives-role") {
		return
	}
	m.begun, m.state, m.decided, m.waiting, m.settled = false, Looking, false, false, 0
	m.proposal, m.elected = Vote{}, Vote{}
	m.tell()
}

// SetVotes says whether this member votes from now on: a blank member is readmitted while it follows.
func (m *Machine) SetVotes(votes bool) {
	if m.remembers != votes {
		m.remembers = votes
		m.tell()
	}
}

// SetVerifier replaces the membership. It takes effect on the decision with the next input, a Tick at the latest.
func (m *Machine) SetVerifier(v quorum.Verifier) {
	m.verifier = v
	m.tell()
}

// Failed tells that following leader did not work. For FailedWait ticks its word that it leads is not believed, unless it says
// something else than before, of which its round is no part, or a new link to it is made. It is called before Look.
func (m *Machine) Failed(leader quorum.ID) {
	if p := m.peer(leader); p != nil {
		p.penalty = m.failedWait
	}
}

// Linked tells of a new link to peer. What it said on an earlier one is void: it may have restarted and have forgotten it.
func (m *Machine) Linked(id quorum.ID, out *Output) {
	if id == m.self {
		return
	}
	i, found := m.search(id)
	if !found {
		m.peers = slices.Insert(m.peers, i, peer{})
	}
	if !found || !mutant.On("votes-outlive-link") {
		m.peers[i] = peer{id: id}
	}
	m.backoff.reset()
	m.finish(&m.peers[i], out)
}

// Lost tells that the link to peer is gone, and its word with it.
func (m *Machine) Lost(id quorum.ID, out *Output) {
	i, found := m.search(id)
	if !found || mutant.On("votes-outlive-link") {
		return
	}
	m.peers = slices.Delete(m.peers, i, i+1)
	m.backoff.reset()
	m.finish(nil, out)
}

// Tick tells that a tick has passed.
func (m *Machine) Tick(out *Output) {
	for i := range m.peers {
		p := &m.peers[i]
		if p.penalty > 0 {
			p.penalty--
		}
		// Who looks resends, and who does not look answers that: its link may be dead, and nobody has told.
		if p.silent++; p.silent > 2*m.backoff.most && m.looking() && !mutant.On("silent-vote-kept") {
			p.fresh = false
		}
	}
	if m.waiting && m.wait > 0 {
		m.wait--
	}
	resend := m.looking() && m.backoff.tick() && !mutant.On("no-resend")
	m.evaluate(out)
	switch {
	case !m.begun:
	case m.stale:
		m.toAll(out)
	case resend:
		m.toVoters(out)
	}
}

// Receive takes a notification from the link to peer. It is copied. What is malformed, or comes without a link, is ignored.
func (m *Machine) Receive(from quorum.ID, n *Notification, out *Output) {
	p := m.peer(from)
	if p == nil || !n.valid() {
		return
	}
	changed := !p.heard || p.said != *n
	// When we sent it our vote, it was not looking: it has forgotten that since.
	returned := p.heard && p.said.State != Looking
	if p.said.Round = n.Round; p.said != *n { // a round is taken over from anybody: it does not tell that we are heard
		p.penalty = 0
	}
	p.heard, p.fresh, p.said, p.silent = true, true, *n, 0
	if changed {
		m.backoff.reset()
	}
	var answer *peer
	switch {
	case n.State != Looking:
	case m.state != Looking:
		if !mutant.On("settled-is-silent") {
			answer = p
		}
	case !m.voting(): // nobody needs to know what we do not vote for
	case !m.counts(p):
		answer = p
	case n.Round > m.round && !(mutant.On("stale-round-kept") && n.Round == m.round+1):
		m.round, m.waiting = n.Round, false
		m.proposal = m.best()
		m.tell()
	case n.Round < m.round:
		m.backoff.reset()
		answer = p
	case returned:
		answer = p
	}
	m.finish(answer, out)
}

func (m *Machine) looking() bool { return m.begun && m.state == Looking && !m.decided }

// evaluate brings the proposal up to date and decides if that is possible.
func (m *Machine) evaluate(out *Output) {
	if !m.looking() || m.verifier == nil {
		return
	}
	if v := m.established(); v.Leader != 0 {
		m.decide(v, out)
		return
	}
	if v := m.supported(); v.Leader != 0 {
		m.decide(v, out)
		return
	}
	if !m.voting() {
		m.proposal, m.waiting = Vote{}, false
		return
	}
	if v := m.best(); v != m.proposal {
		m.proposal, m.waiting = v, false
		m.tell()
	}
	byQuorum, byAll := m.agreed()
	switch {
	case m.proposal.Leader == 0 || !byQuorum:
		m.waiting = false
	case !m.waiting:
		m.waiting, m.wait = true, m.finalizeWait
	}
	if m.waiting && (byAll || m.wait == 0) {
		m.decide(m.proposal, out)
	}
}

// decide leaves the proposal alone: if it is news, it is still told, since others may need it to decide the same.
func (m *Machine) decide(v Vote, out *Output) {
	m.decided, m.elected = true, v
	out.Elected = v.Leader
}

// tell notes that what we say has changed, and who is to hear it has not heard it.
func (m *Machine) tell() { m.note, m.stale = nil, true }

// finish ends a step: everybody hears what is new, otherwise at least answer does, if it is not nil.
func (m *Machine) finish(answer *peer, out *Output) {
	if !m.begun {
		return
	}
	m.evaluate(out)
	switch {
	case m.stale:
		m.toAll(out)
		if answer != nil && !m.hears(answer) {
			m.send(answer.id, out)
		}
	case answer != nil:
		m.send(answer.id, out)
	}
}

// hears reports whether news of ours is for p: of a role it is for everybody, of a vote for those who vote.
func (m *Machine) hears(p *peer) bool { return m.state != Looking || m.isVoter(p.id) }

func (m *Machine) toAll(out *Output) {
	m.stale = false
	m.backoff.restart()
	m.toVoters(out)
}

func (m *Machine) toVoters(out *Output) {
	for i := range m.peers {
		if p := &m.peers[i]; m.hears(p) {
			m.send(p.id, out)
		}
	}
}

func (m *Machine) send(to quorum.ID, out *Output) {
	if m.note == nil {
		m.note = &Notification{State: m.state, Vote: m.proposal, Round: m.round, Established: m.settled, Ask: !m.voting()}
	}
	out.Sends = append(out.Sends, Send{to, m.note})
}
