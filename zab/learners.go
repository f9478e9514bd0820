package zab

import (
	"hash/crc64"

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
	told     bool   // UPTODATE was sent: committed positions follow
	toldIn   uint32 // the epoch of the last UPTODATE

	streaming bool   // the cursor is valid
	cursor    uint64 // absolute index of the next entry to send
	window    uint64 // history.bytes up to which the learner has acknowledged
	acked     Zxid
	newLeader bool // NEWLEADER of the present epoch is sent

	reader   SnapshotReader // of a snapshot in transfer
	snapZxid Zxid
	chunk    uint32
	length   uint64
	digest   uint64

	heard     int // tick of the last message
	moved     int // tick of the last progress
	pong      uint64
	pongEpoch uint32

	open       *Propose // last message to it in this Output: more entries may join
	openCommit *Commit  // the same
	openAt     uint64
}

func (l *learnerState) close() {
	if l.reader != nil {
		l.reader.Close()
		l.reader = nil
	}
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
			l.close()
			m.lead.learners = append(m.lead.learners[:i:i], m.lead.learners[i+1:]...)
			return
		}
	}
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
		m.sendChunks(l, x)
	case *Installed:
		if l.reader == nil && !l.streaming {
			i, ok := m.hist.after(l.snapZxid)
			if !ok { // what follows the snapshot has left the memory meanwhile
				m.send(l.id, &Refuse{Session: l.session})
				m.dropLearner(l.id)
				return
			}
			m.stream(l, i, l.snapZxid)
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

// beginSync brings a learner to this leader's history: from the longest common prefix on if that is held in memory,
// otherwise by a snapshot of the applied state, which is never older than the common prefix, since only what is applied has
// left the memory.
func (m *Machine) beginSync(l *learnerState) {
	if l.streaming || l.reader != nil || l.snapZxid != 0 { // a renewal: the session goes on
		m.pump(l)
		return
	}
	keep := common(m.hist.spans, l.spans)
	l.moved = m.lead.ticks
	i, ok := m.hist.after(keep)
	if ok && !l.spoilt && !(mutant.On("old-snapshot") && keep > m.applied && m.applied > 0) {
		m.send(l.id, &Sync{Session: l.session, Epoch: m.lead.epoch, Keep: keep, Common: keep})
		m.stream(l, i, keep)
		return
	}
	l.reader, l.snapZxid = m.host.Snapshot(), m.applied
	m.send(l.id, &Sync{
		Session: l.session, Epoch: m.lead.epoch, Snapshot: true, Common: keep, Zxid: m.applied,
		Spans: spansUpTo(m.hist.spans, m.applied), Members: append([]Readmitted(nil), m.readmitted...),
	})
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// sendChunks sends the chunks that were asked for: the learner sets the pace.
func (m *Machine) sendChunks(l *learnerState, x *Fetch) {
	for l.reader != nil && l.chunk < x.Upto {
		data, last := l.reader.Next()
		l.length += uint64(len(data))
		l.digest = crc64.Update(l.digest, crcTable, data)
		c := &Chunk{Session: l.session, Index: l.chunk, Data: data, Last: last}
		l.chunk++
		l.moved = m.lead.ticks
		if last {
			c.Length, c.Digest = l.length, l.digest
			l.close()
		}
		m.send(l.id, c)
	}
}

// stream sets the cursor behind what the learner holds.
func (m *Machine) stream(l *learnerState, i uint64, z Zxid) {
	l.streaming, l.cursor, l.window = true, i, m.hist.sizeTo(i)
	l.moved = m.lead.ticks
	m.pump(l)
}

// pump sends what the window allows, and NEWLEADER when the cursor passes the end of the initial history.
func (m *Machine) pump(l *learnerState) {
	ld := m.lead
	if !l.streaming {
		return
	}
	if l.cursor < m.hist.first { // kept back too long: what it needs has left the memory
		m.send(l.id, &Refuse{Session: l.session})
		m.dropLearner(l.id)
		return
	}
	if mutant.On("no-proposals-before-uptodate") && l.newLeader && !l.told {
		return
	}
	for l.cursor < m.hist.end() && m.hist.sizeTo(l.cursor)-l.window < uint64(m.cfg.Window) {
		e := m.hist.at(l.cursor)
		if l.promised && !l.newLeader && ld.phase >= synchronising && e.Zxid > ld.initial {
			m.sendNewLeader(l)
		}
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
	}
	if l.promised && !l.newLeader && ld.phase >= synchronising {
		if i, ok := m.hist.after(ld.initial); !ok || l.cursor >= i {
			m.sendNewLeader(l)
		}
	}
}

// openFrom is the size of the history before the first entry of the open message.
func (m *Machine) openFrom(l *learnerState) uint64 {
	if len(l.open.Entries) == 0 {
		return m.hist.sizeTo(l.cursor)
	}
	return m.hist.sizeTo(l.cursor - uint64(len(l.open.Entries)))
}

func (m *Machine) sendNewLeader(l *learnerState) {
	l.newLeader, l.open, l.openCommit = true, nil, nil
	m.send(l.id, &NewLeader{Session: l.session, Epoch: m.lead.epoch, Last: m.lead.initial, Snapshot: l.snapZxid})
}

func (m *Machine) ack(l *learnerState, x *Ack) {
	ld := m.lead
	if x.Zxid > l.acked {
		l.acked = x.Zxid
		l.moved = ld.ticks
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
	if !l.joined && !mutant.On("uptodate-unjoined") || l.toldIn == m.lead.epoch {
		return
	}
	l.told, l.toldIn = true, m.lead.epoch
	l.open, l.openCommit = nil, nil
	commit := m.committed
	if mutant.On("commits-before-uptodate-dropped") {
		commit = m.lead.initial
	}
	m.send(l.id, &UpToDate{l.session, m.lead.epoch, commit})
}

// stalled reports a learner that answers and does not move: it counts as lost.
func (m *Machine) stalled(l *learnerState) bool {
	ld := m.lead
	busy := l.reader != nil || l.asked && !l.promised || l.streaming && (l.acked < m.sentTo(l) || l.newLeader && !l.joined)
	if !busy {
		l.moved = ld.ticks
		return false
	}
	limit := m.cfg.SyncLimit
	if !l.joined {
		limit = m.cfg.InitLimit
	}
	return ld.ticks-l.moved > limit
}

func (m *Machine) sentTo(l *learnerState) Zxid {
	if l.cursor <= m.hist.first {
		return m.hist.base
	}
	return m.hist.at(l.cursor - 1).Zxid
}

// maxHeldBack is how many bytes of applied history a learner that catches up may hold back in memory. Beyond it the learner
// is let go, and begins again with a snapshot.
const maxHeldBack = 64 << 20

// tailFloor is the position up to which applied entries may leave the memory: a learner's cursor, and what follows a
// snapshot in transfer, holds them back.
func (m *Machine) tailFloor() Zxid {
	z := m.applied
	if m.lead == nil {
		return z
	}
	for _, l := range m.lead.learners {
		from := z
		switch {
		case l.streaming && l.cursor > m.hist.first:
			from = m.hist.at(l.cursor - 1).Zxid
		case l.streaming:
			from = m.hist.base
		case l.snapZxid != 0:
			from = l.snapZxid
		}
		if i, ok := m.hist.after(from); ok && m.hist.bytes-m.hist.sizeTo(i) <= maxHeldBack {
			z = min(z, from)
		}
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
