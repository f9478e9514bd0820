package zab

import (
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// learnerState is what a leader knows of one learner session: a cursor in the leader's history, with a window of bytes that
// are sent and not acknowledged. History and live stream are the same cursor, so that nothing falls between them.
type learnerState struct {
	id      quorum.ID
	session Session
	voter   bool
	info    FollowerInfo
	spans   []Span
	spoilt  bool // only a snapshot will do

	asked    bool   // LEADERINFO of the present epoch is sent
	promised bool   // and answered
	counted  uint32 // epoch of which this learner's promise counts
	counts   bool   // the learner said, on its last ack, that it counts
	joined   bool   // it has acknowledged NEWLEADER of the present epoch
	told     uint32 // epoch of the last UPTODATE that was sent, and committed positions follow it; 0: none

	streaming bool   // entries follow one another behind sent
	sent      Zxid   // the last one that was sent, or that the learner has
	cursor    uint64 // absolute index of the next entry to send, unless that is older
	older     *older // it is no more in memory
	window    uint64 // history.bytes up to which the learner has acknowledged
	acked     Zxid
	newLeader bool // NEWLEADER of the present epoch is sent

	keep     Zxid // the longest common prefix, as it was when synchronisation began
	transfer *transfer
	snapZxid Zxid // of the snapshot that was sent

	heard     int // tick of the last message
	moved     int // tick of the last progress
	pong      uint64
	pongEpoch uint32

	open       *Propose // last message to it in this Output: more entries may join
	openCommit *Commit  // the same
	openAt     uint64
}

func (m *Machine) learnerOf(id quorum.ID) *learnerState {
	for _, l := range m.lead.learners {
		if l.id == id {
			return l
		}
	}
	return nil
}

func (m *Machine) dropLearner(id quorum.ID) {
	m.touch() // with it
	for i, l := range m.lead.learners {
		if l.id == id {
			m.park(l)
			m.lead.learners = append(m.lead.learners[:i:i], m.lead.learners[i+1:]...)
			return
		}
	}
}

// letGo ends a learner's attempt: it begins again.
func (m *Machine) letGo(l *learnerState) {
	m.send(l.id, &Refuse{Session: l.session})
	m.dropLearner(l.id)
}

// learnerGone takes the goodbye of a learner, which may carry a promise that shuts it out.
func (m *Machine) learnerGone(from quorum.ID, x *Refuse) {
	l := m.learnerOf(from)
	if l == nil || l.session != x.Session {
		return
	}
	m.outbid(l, x.Promised)
	m.dropLearner(from)
	if ld := m.lead; ld.phase == collecting {
		m.promises()
	}
}

// fromLearner takes what a learner says in its present session; what an earlier one left behind changes nothing.
func (m *Machine) fromLearner(from quorum.ID, msg Message) {
	if m.lead == nil {
		return
	}
	l := m.learnerOf(from)
	if l == nil || sessionOf(msg) != l.session && !mutant.On("old-session") {
		return
	}
	l.heard = m.lead.ticks
	switch x := msg.(type) {
	case *AckEpoch:
		m.ackEpoch(l, x)
	case *Ack:
		m.ack(l, x)
	case *Pong:
		if x.Confirms && x.Epoch == m.lead.epoch {
			l.pong, l.pongEpoch = max(l.pong, x.Round), x.Epoch
			m.confirm()
		}
	case *Fetch:
		m.fetch(l, x)
	case *Installed:
		if t := l.transfer; t != nil && t.reader == nil {
			l.transfer = nil
			m.stream(l, l.snapZxid)
		}
	}
}

func sessionOf(msg Message) Session {
	switch x := msg.(type) {
	case *AckEpoch:
		return x.Session
	case *Ack:
		return x.Session
	case *Pong:
		return x.Session
	case *Fetch:
		return x.Session
	case *Installed:
		return x.Session
	case *LeaderInfo:
		return x.Session
	case *Refuse:
		return x.Session
	case *Sync:
		return x.Session
	case *Chunk:
		return x.Session
	case *Propose:
		return x.Session
	case *NewLeader:
		return x.Session
	case *UpToDate:
		return x.Session
	case *Commit:
		return x.Session
	case *Ping:
		return x.Session
	case *Handover:
		return x.Session
	}
	return 0
}

// beginSync brings a learner to this leader's history: from the longest common prefix on if that is held in memory, or in a log that the host can read;
// otherwise by a snapshot.
func (m *Machine) beginSync(l *learnerState) {
	if l.streaming || l.older != nil || l.snapZxid != 0 { // a renewal: the session goes on
		m.pump(l)
		return
	}
	l.keep = common(m.hist.spans, l.spans)
	l.moved = m.lead.ticks
	_, held := m.hist.after(l.keep)
	waits := slices.ContainsFunc(m.lead.parked, func(p waitingTransfer) bool { return p.learner == l.id })
	switch {
	case l.spoilt, mutant.On("old-snapshot") && l.keep > m.applied && m.applied > 0:
		m.sendSnapshot(l)
	case held:
		m.unpark(l.id).close()
		m.served.Memory++
		m.keepOnly(l, l.keep)
		m.stream(l, l.keep)
	case m.cfg.ReadsLog && !waits:
		l.sent = l.keep
		m.fromLog(l, false)
	default:
		m.sendSnapshot(l)
	}
}

// keepOnly tells a learner what of its history is this leader's too.
func (m *Machine) keepOnly(l *learnerState, z Zxid) {
	m.send(l.id, &Sync{Session: l.session, Epoch: m.lead.epoch, Keep: z, Common: z})
}

// stream sets the cursor behind z, which the learner holds.
func (m *Machine) stream(l *learnerState, z Zxid) {
	l.sent, l.streaming, l.moved = z, true, m.lead.ticks
	i, held := m.hist.after(z)
	switch {
	case held:
		l.cursor, l.window = i, m.hist.sizeTo(i)
		m.pump(l)
	case m.cfg.ReadsLog:
		m.fromLog(l, true)
	default: // what follows has left the memory meanwhile
		m.letGo(l)
	}
}

// pump sends what the window allows, and NEWLEADER when the cursor passes the end of the initial history.
func (m *Machine) pump(l *learnerState) {
	ld := m.lead
	if !l.streaming {
		return
	}
	if l.older != nil {
		m.pumpOlder(l)
		return
	}
	if l.cursor < m.hist.first { // kept back too long
		m.stream(l, l.sent)
		return
	}
	if mutant.On("no-proposals-before-uptodate") && l.newLeader && l.told == 0 {
		return
	}
	for l.cursor < m.hist.end() && m.hist.sizeTo(l.cursor)-l.window < uint64(m.cfg.Window) {
		e := m.hist.at(l.cursor)
		m.endInitial(l)
		if l.open == nil || l.openAt != m.sealed || m.hist.sizeTo(l.cursor)-m.openFrom(l) > uint64(m.cfg.MaxBatch) {
			l.open = &Propose{Session: l.session, Epoch: ld.epoch, Commit: m.committed}
			l.openCommit, l.openAt = nil, m.sealed
			m.send(l.id, l.open)
		}
		if r := ld.live.upTo(l.cursor, len(l.open.Entries)); r != nil {
			l.open.Entries = r
		} else {
			l.open.Entries = append(l.open.Entries, e.Entry)
		}
		l.cursor++
		l.sent = e.Zxid
	}
	m.endInitial(l)
}

// openFrom is the size of the history before the first entry of the open message.
func (m *Machine) openFrom(l *learnerState) uint64 {
	if len(l.open.Entries) == 0 {
		return m.hist.sizeTo(l.cursor)
	}
	return m.hist.sizeTo(l.cursor - uint64(len(l.open.Entries)))
}

// endInitial sends NEWLEADER where the initial history ends.
func (m *Machine) endInitial(l *learnerState) {
	if !l.promised || l.newLeader || m.lead.phase < synchronising || l.sent < m.lead.initial {
		return
	}
	l.newLeader, l.open, l.openCommit = true, nil, nil
	m.send(l.id, &NewLeader{Session: l.session, Epoch: m.lead.epoch, Last: m.lead.initial, Snapshot: l.snapZxid})
}

func (m *Machine) ack(l *learnerState, x *Ack) {
	ld := m.lead
	if x.Zxid > l.acked {
		l.acked = x.Zxid
		m.progress(l)
		if i, ok := m.hist.after(x.Zxid); ok {
			l.window = max(l.window, m.hist.sizeTo(i))
		}
	}
	if x.Epoch == ld.epoch && x.Joined && l.newLeader {
		if !l.joined || l.counts != x.Counts {
			l.moved = ld.ticks
		}
		l.joined, l.counts = true, x.Counts
	}
	m.pump(l)
	if m.learnerOf(l.id) != l {
		return
	}
	switch ld.phase {
	case synchronising:
		m.establish()
	case established:
		m.upToDate(l)
		m.commit()
	}
	if m.lead != nil {
		m.handOver()
	}
	if m.lead != nil && m.lead.served {
		m.readmitLearners()
	}
}

// upToDate opens a learner that has acknowledged NEWLEADER, with the latest committed position.
func (m *Machine) upToDate(l *learnerState) {
	if !l.joined && !mutant.On("uptodate-unjoined") || l.told == m.lead.epoch {
		return
	}
	l.told = m.lead.epoch
	l.open, l.openCommit = nil, nil
	commit := m.committed
	if mutant.On("commits-before-uptodate-dropped") {
		commit = m.lead.initial
	}
	m.send(l.id, &UpToDate{l.session, m.lead.epoch, commit})
}

// progress notes that a learner comes on. A leader that is about to bring a voter up to date, and may need it for its quorum, is not slow meanwhile.
func (m *Machine) progress(l *learnerState) {
	l.moved = m.lead.ticks
	if m.lead.phase == synchronising && l.voter && !l.joined {
		m.lead.since = m.lead.ticks
	}
}

// stalled reports a learner that answers and does not move: it counts as lost.
func (m *Machine) stalled(l *learnerState) bool {
	ld := m.lead
	sending := l.transfer != nil && l.transfer.reader != nil
	reading := l.older != nil && l.older.read != 0 // which is this member's own work
	busy := sending || l.asked && !l.promised || l.streaming && (l.acked < l.sent || l.newLeader && !l.joined)
	if !busy || reading {
		l.moved = ld.ticks
		return false
	}
	limit := m.cfg.SyncLimit
	if !l.joined {
		limit = m.cfg.InitLimit
	}
	return ld.ticks-l.moved > limit
}

// maxHeldBack is how many bytes of applied history a learner that catches up may hold back in memory. Beyond it the learner
// is served from the log, or let go, and begins again with a snapshot.
const maxHeldBack = 64 << 20

// tailFloor is the position up to which applied entries may leave the memory: a learner's cursor, and what follows a
// snapshot in transfer or what is being read from the log, holds them back.
func (m *Machine) tailFloor() Zxid {
	z := m.applied
	if m.lead == nil {
		return z
	}
	hold := func(from Zxid) {
		if i, ok := m.hist.after(from); ok && m.hist.bytes-m.hist.sizeTo(i) <= maxHeldBack {
			z = min(z, from)
		}
	}
	for _, l := range m.lead.learners {
		switch {
		case l.older != nil:
			hold(l.older.upTo)
		case l.streaming:
			hold(l.sent)
		case l.snapZxid != 0:
			hold(l.snapZxid)
		}
	}
	for _, p := range m.lead.parked {
		hold(p.snap.Zxid)
	}
	return z
}

// Counting reports whether a member counts, as the leader knows: itself, and learners that have joined its epoch and said so.
func (m *Machine) Counting(id quorum.ID) bool {
	if m.lead == nil || id == m.cfg.Self {
		return m.lead != nil && m.durable.Counts
	}
	l := m.learnerOf(id)
	return l != nil && l.joined && l.counts
}

// Acked returns the position that a learner of this leader has acknowledged; 0 when there is none.
func (m *Machine) Acked(id quorum.ID) Zxid {
	if m.lead == nil {
		return 0
	}
	if l := m.learnerOf(id); l != nil {
		return l.acked
	}
	return 0
}
