package zab

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// phase of a leader. What is durable at its end stands behind each.
type phase uint8

const (
	gathering     phase = iota // collects FollowerInfo of a quorum, to choose the epoch
	promising                  // its own promise is being written           -> promised = epoch
	collecting                 // collects the promises of a quorum
	joining                    // its own joined epoch is being written       -> joined = epoch
	synchronising              // brings learners to its history, collects acks of NEWLEADER
	established                // a quorum has acknowledged NEWLEADER: the initial history is committed
)

// leader is the state of a member that stands or leads. A crash at any point leaves the mark and the log, and nothing here
// is needed again.
type leader struct {
	phase    phase
	epoch    uint32
	wait     WriteID         // of the mark that ends promising or joining
	initial  Zxid            // end of the initial history of the epoch
	served   bool            // the initial history is applied
	learners []*learnerState // in ascending order of id
	parked   []waitingTransfer
	live     run // the newest of what it proposed

	ticks     int    // since the role began
	since     int    // ticks when the phase began, or last came on
	progress  int    // ticks when this member's own disk last kept up
	inTouch   int    // ticks when a quorum last was in contact
	shutOut   uint32 // a promise above the epoch that some voter has given: renew above it
	round     uint64 // of confirmation, last begun
	confirmed uint64 // last confirmed by a quorum
	sealed    uint64 // Output in which the last round was begun
	handover  quorum.ID
	handBy    int // ticks when the handover is given up
}

// Lead makes this member stand: it must be a voter that may lead, count, and be settled.
func (m *Machine) Lead() {
	if m.failed != nil || m.role != Looking || !m.mark.Counts || !m.Settled() || !m.cfg.Verifier.CanLead(m.cfg.Self) {
		m.out.Ended = true
		return
	}
	m.role = Leading
	m.lead = &leader{}
	m.forgetPart()
	waiting := m.waiting
	m.waiting = nil
	for _, w := range waiting {
		m.enrol(w.from, w.info)
	}
	m.gather()
}

func (m *Machine) enter(p phase) {
	m.lead.phase, m.lead.since = p, m.lead.ticks
}

// newLearner begins a learner session.
func (m *Machine) newLearner(from quorum.ID, x *FollowerInfo) {
	l := m.enrol(from, x)
	m.outbid(l, x.Promised)
	if m.lead.phase == gathering {
		m.gather()
	} else {
		m.ask(l)
		m.promises()
	}
}

// enrol notes a learner session; it replaces any former one of that member.
func (m *Machine) enrol(from quorum.ID, x *FollowerInfo) *learnerState {
	ld := m.lead
	m.dropLearner(from)
	l := &learnerState{id: from, session: x.Session, info: *x, voter: m.cfg.Verifier.Votes(from), heard: ld.ticks, moved: ld.ticks}
	i := 0
	for i < len(ld.learners) && ld.learners[i].id < from {
		i++
	}
	ld.learners = append(ld.learners, nil)
	copy(ld.learners[i+1:], ld.learners[i:])
	ld.learners[i] = l
	return l
}

// outbid reacts to a promise that was given elsewhere. A voter that has promised an epoch above this one cannot follow: the
// leader stands again, in place, above it (trace F7).
func (m *Machine) outbid(l *learnerState, promised uint32) {
	ld := m.lead
	if !l.voter || !l.info.Counts || promised < ld.epoch || ld.phase == gathering || m.beyond(promised) {
		return
	}
	if promised > ld.epoch && !mutant.On("shut-out-kept") || ld.phase <= collecting {
		ld.shutOut = max(ld.shutOut, promised)
	}
}

// beyond reports whether there is no epoch above what a member says it has promised, while there are some above ours: nobody can lead such a member, and
// whoever tried to outbid it could not lead at all.
func (m *Machine) beyond(promised uint32) bool {
	return promised >= MaxEpoch && m.mark.Promised < MaxEpoch
}

func (m *Machine) gather() {
	ld := m.lead
	has := func(id quorum.ID) bool {
		l := m.learnerOf(id)
		return id == m.cfg.Self || l != nil && (l.info.Counts || m.countsByLog(l))
	}
	if !m.cfg.Verifier.Contains(has) {
		return
	}
	e := m.mark.Promised
	for _, l := range ld.learners {
		if l.voter && l.info.Counts {
			e = max(e, l.info.Promised)
		}
	}
	m.promise(e + 1)
}

// promise begins an epoch: first the leader's own promise must be durable.
func (m *Machine) promise(e uint32) {
	if e > MaxEpoch {
		m.endRole()
		return
	}
	ld := m.lead
	ld.epoch, ld.served, ld.shutOut = e, false, 0
	for _, l := range ld.learners {
		l.promised, l.joined, l.asked, l.newLeader, l.open = false, false, false, false, nil
	}
	ld.wait = m.Write(func(k *Mark) { k.Promised = e })
	renewal := ld.phase == established
	m.enter(promising)
	if mutant.On("leaderinfo-early") && renewal {
		m.collect()
	}
}

// renew stands again in place: no learner session ends, and callers notice nothing but a pause.
func (m *Machine) renew(above uint32) { m.promise(max(above, m.mark.Promised) + 1) }

func (m *Machine) collect() {
	m.enter(collecting)
	for _, l := range m.lead.learners {
		m.ask(l)
	}
	m.promises()
}

// ask sends LEADERINFO. Members that do not count are asked only by a leader that has its quorum of promises.
func (m *Machine) ask(l *learnerState) {
	ld := m.lead
	if l.asked || ld.phase < collecting || (!l.voter || !l.info.Counts && !m.countsByLog(l)) && ld.phase < synchronising {
		return
	}
	l.asked = true
	l.open, l.openCommit = nil, nil
	m.send(l.id, &LeaderInfo{l.session, ld.epoch})
}

func (m *Machine) ackEpoch(l *learnerState, x *AckEpoch) {
	ld := m.lead
	if x.Epoch != ld.epoch || l.promised || !l.asked {
		return
	}
	l.info.Counts = x.Counts
	l.spans, l.spoilt, l.promised = x.Spans, x.Spoilt, true
	counted := (x.Promise && x.Counts || m.countsByLog(l)) && l.voter
	if ld.phase == collecting {
		switch {
		case counted && m.cfg.Verifier.CanLead(l.id) && fresher(x.Joined, x.Last, m.mark.Joined, m.hist.last()) && !mutant.On("no-freshness"):
			m.endRole() // somebody whose promise has weight knows more: the votes were stale
			return
		case counted:
			l.counted = ld.epoch
		case l.voter && x.Counts: // promised this very epoch to somebody else
			ld.shutOut = max(ld.shutOut, ld.epoch)
		}
		m.promises()
		return
	}
	if ld.phase >= synchronising || mutant.On("unjoined-leader-opens") && ld.phase == joining {
		m.beginSync(l)
	}
}

// countsByLog is a mistake: a Readmit in the candidate's own log may never be committed (trace F1 of the model).
func (m *Machine) countsByLog(l *learnerState) bool {
	return mutant.On("candidate-counts-by-log") && m.readmitOutstanding(l.id, l.info.Incarnation)
}

// fresher compares (joined epoch, last zxid) as one pair.
func fresher(joinedA uint32, lastA Zxid, joinedB uint32, lastB Zxid) bool {
	if joinedA != joinedB && !mutant.On("no-epoch-in-freshness") {
		return joinedA > joinedB
	}
	return lastA > lastB
}

func (m *Machine) promises() {
	ld := m.lead
	if ld.phase != collecting {
		return
	}
	has := func(id quorum.ID) bool {
		l := m.learnerOf(id)
		return id == m.cfg.Self || l != nil && l.counted == ld.epoch
	}
	if m.cfg.Verifier.Contains(has) {
		ld.wait = m.Write(func(k *Mark) { k.Joined = ld.epoch })
		m.enter(joining)
		return
	}
	if ld.shutOut >= ld.epoch {
		m.promise(ld.shutOut + 1)
	}
}

func (m *Machine) leaderPersisted() {
	ld := m.lead
	ld.progress = ld.ticks
	if m.persisted >= ld.wait {
		switch ld.phase {
		case promising:
			m.collect()
		case joining:
			m.synchronise()
		}
	}
	if m.lead == nil {
		return
	}
	switch ld.phase {
	case synchronising:
		m.establish()
	case established:
		m.commit()
		m.handOver()
	}
}

// synchronise begins when the leader has joined its own epoch: its history is the initial history of the epoch.
func (m *Machine) synchronise() {
	ld := m.lead
	ld.initial = m.hist.last()
	m.enter(synchronising)
	for _, l := range ld.learners {
		if l.promised {
			m.beginSync(l)
		} else {
			m.ask(l)
		}
	}
	m.establish()
}

// establish commits the whole initial history when a quorum has acknowledged NEWLEADER.
func (m *Machine) establish() {
	ld := m.lead
	if ld.phase != synchronising || m.lastDone < ld.initial {
		return
	}
	has := func(id quorum.ID) bool {
		l := m.learnerOf(id)
		return id == m.cfg.Self || l != nil && l.joined && (l.counts || mutant.On("blank-establishes")) && l.acked >= ld.initial
	}
	if !m.cfg.Verifier.Contains(has) {
		return
	}
	m.enter(established)
	m.committed = max(m.committed, ld.initial)
	for _, l := range ld.learners {
		m.upToDate(l)
	}
	if m.advance(); m.lead == ld {
		m.leaderApplied()
	}
}

// leaderApplied opens the epoch for proposals once its initial history is applied.
func (m *Machine) leaderApplied() {
	ld := m.lead
	if ld.phase == established && !ld.served && m.applied >= ld.initial {
		ld.served = true
	}
	if ld.served {
		m.readmitLearners()
	}
}

// leaderTick watches over contact and progress.
func (m *Machine) leaderTick() {
	ld := m.lead
	ld.ticks++
	if m.persisted == m.issued {
		ld.progress = ld.ticks
	}
	for i := 0; i < len(ld.learners); {
		l := ld.learners[i]
		if ld.ticks-l.heard > m.cfg.SyncLimit || m.stalled(l) {
			m.letGo(l)
			continue
		}
		if l.streaming && l.older == nil && l.cursor < m.hist.first {
			if m.stream(l, l.sent); m.learnerOf(l.id) != l {
				continue
			}
		}
		i++
	}
	for i := 0; i < len(ld.parked); {
		if p := &ld.parked[i]; ld.ticks > p.until {
			m.unpark(p.learner).close()
			continue
		}
		i++
	}
	m.touch()
	alone := ld.ticks-ld.inTouch > m.cfg.SyncLimit && !mutant.On("no-step-down")
	slow := ld.phase < established && ld.ticks-ld.since > m.cfg.InitLimit
	if alone || slow || ld.ticks-ld.progress > m.cfg.SyncLimit {
		m.endRole()
		return
	}
	if ld.handover != 0 && ld.ticks > ld.handBy {
		ld.handover = 0
	}
	if ld.phase == established && ld.shutOut > ld.epoch {
		m.renew(ld.shutOut)
		if m.lead == nil {
			return
		}
	}
	m.ping()
	m.leaderApplied()
}

// touch notes when a quorum was in contact last.
func (m *Machine) touch() {
	m.lead.inTouch = max(m.lead.inTouch, int(m.cfg.Verifier.Position(m.contact)))
}

// contact is the tick of the last contact with a member of a possible quorum; what a learner has still to do counts from its last progress, once it has joined.
// Blank ones cannot be of a quorum, however faithfully they follow.
func (m *Machine) contact(id quorum.ID) uint64 {
	l := m.learnerOf(id)
	switch {
	case id == m.cfg.Self:
		return uint64(m.lead.ticks)
	case l == nil || !l.counts && !l.info.Counts:
		return 0
	case l.joined:
		return uint64(min(l.heard, l.moved))
	}
	return uint64(l.heard)
}
