package zab

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// learner is the state of a member that follows or observes. A crash at any point leaves the mark and the log, and nothing
// here is needed again.
type learner struct {
	leader  quorum.ID
	session Session
	epoch   uint32

	answer           *AckEpoch // withheld until the promise is durable
	answerAt         WriteID
	synced           bool    // SYNC was carried out: entries are expected
	joinAt           WriteID // of the mark with the joined epoch of NEWLEADER
	joined           bool    // it is durable, and acknowledged
	said, saidCounts bool    // an ack was sent in this epoch; and what it said
	upToDate         bool
	commit           Zxid // committed position as told; believed only after UPTODATE
	ready            Zxid // committed position told by UPTODATE: what is applied before this member serves
	acked            Zxid

	receiving *Snapshot // on its way, until it is installed
	begun     bool      // the host has told where it goes on
	at        Position  // of the next chunk
	taken     uint32    // chunks that the host has taken over
	whole     bool      // the last chunk is here
	installed Zxid      // the snapshot that this attempt has installed, durably; 0: none

	ticks, heard, moved int
}

// Follow makes this member ask a peer to lead it; the link to it is up.
func (m *Machine) Follow(leader quorum.ID) {
	if m.failed != nil || m.role != Looking || !m.Settled() {
		m.out.Ended = true
		return
	}
	m.role = Following
	if m.cfg.Observer {
		m.role = Observing
	}
	for _, w := range m.waiting {
		m.send(w.from, &Refuse{Session: w.info.Session})
	}
	m.waiting = nil
	l := &learner{leader: leader, session: m.cfg.NextSession()}
	m.learn = l
	if mutant.On("counts-by-log") && !m.mark.Counts && m.readmitOutstanding(m.cfg.Self, m.mark.Incarnation) {
		m.Write(func(k *Mark) { k.Counts = true })
	}
	m.send(leader, &FollowerInfo{
		Session: l.session, Promised: m.mark.Promised, Counts: m.mark.Counts, Incarnation: m.mark.Incarnation,
	})
}

// fromLeader takes what the leader says in the present session; anything else changes nothing.
func (m *Machine) fromLeader(from quorum.ID, msg Message) {
	l := m.learn
	if l == nil || from != l.leader || sessionOf(msg) != l.session && !mutant.On("old-session") {
		return
	}
	l.heard = l.ticks
	switch x := msg.(type) {
	case *LeaderInfo:
		m.leaderInfo(l, x)
	case *Refuse:
		m.endRole()
	case *Sync:
		m.sync(l, x)
	case *Chunk:
		m.chunk(l, x)
	case *Propose:
		m.accept(l, x)
	case *NewLeader:
		m.newLeader(l, x)
	case *UpToDate:
		if x.Epoch == l.epoch && (l.joined || mutant.On("uptodate-unjoined")) {
			if !l.upToDate {
				l.upToDate, l.ready = true, x.Commit
			}
			m.learn.commit = max(l.commit, x.Commit)
			m.believe(l)
			m.checkReadmitted()
		}
	case *Commit:
		if mutant.On("commits-before-uptodate-dropped") && !l.upToDate {
			return
		}
		l.commit = max(l.commit, x.Commit)
		m.believe(l)
	case *Ping:
		m.pong(l, x)
	case *Handover:
		to := x.To
		if x.Epoch != l.epoch || !l.upToDate {
			to = 0 // not known to be established: it is only certain that this leader leads no more
		}
		m.endRole()
		m.out.Handover = to
	}
}

// leaderInfo promises an epoch, once, to one candidate. The answer waits until the promise is durable.
func (m *Machine) leaderInfo(l *learner, x *LeaderInfo) {
	if x.Epoch < m.mark.Promised || x.Epoch > MaxEpoch {
		m.leave(m.mark.Promised)
		return
	}
	promise := m.mark.Counts && (x.Epoch > m.mark.Promised || mutant.On("promise-twice"))
	if x.Epoch > m.mark.Promised {
		l.answerAt = m.Write(func(k *Mark) { k.Promised = x.Epoch })
	} else {
		l.answerAt = m.issued
	}
	l.epoch, l.joined = x.Epoch, false
	l.joinAt = 0
	l.answer = &AckEpoch{Session: l.session, Epoch: x.Epoch, Promise: promise}
	if mutant.On("promise-volatile") && l.upToDate && m.lastDone < m.hist.last() {
		l.answerAt = 0
	}
	m.answerEpoch(l)
}

func (m *Machine) answerEpoch(l *learner) {
	if l.answer == nil || m.persisted < l.answerAt {
		return
	}
	a := l.answer
	l.answer = nil
	a.Counts, a.Joined, a.Last = m.durable.Counts, m.durable.Joined, m.lastDone
	a.Spans, a.Spoilt = append([]Span(nil), m.hist.spans...), m.mark.Spoilt
	m.send(l.leader, a)
}

// accept appends proposals to the history: log first, memory is derived from it.
func (m *Machine) accept(l *learner, x *Propose) {
	if !l.synced || m.install != nil {
		return
	}
	for _, e := range x.Entries {
		last := m.hist.last()
		next := MakeZxid(e.Zxid.Epoch(), 1)
		if e.Zxid.Epoch() == last.Epoch() {
			next = last + 1
		}
		if e.Prev != last || e.Zxid != next || e.Zxid < last {
			m.endRole() // a gap: the stream is not what it should be
			return
		}
		m.add(e)
	}
	l.moved = l.ticks
	if mutant.On("commits-before-uptodate-dropped") && !l.upToDate {
		return
	}
	l.commit = max(l.commit, x.Commit)
	m.believe(l)
	if mutant.On("ack-before-durable") && len(x.Entries) >= 8 {
		m.lastDone = m.hist.last()
		m.ackUpTo(l)
	}
}

// newLeader joins the epoch: first the history, then the joined epoch, then the acknowledgement. The mark is a barrier in the
// log, so its durability tells that of the history.
func (m *Machine) newLeader(l *learner, x *NewLeader) {
	if x.Epoch != l.epoch || m.mark.Promised != x.Epoch || !l.synced || m.install != nil || x.Snapshot != l.installed || m.hist.last() < x.Last {
		m.endRole() // also when the leader means another snapshot than the one that this history stands on
		return
	}
	l.moved = l.ticks
	l.joinAt = m.Write(func(k *Mark) { k.Joined = x.Epoch })
	if mutant.On("newleader-acked-early") && x.Snapshot != 0 && m.lastDone < m.hist.last() {
		m.send(l.leader, &Ack{l.session, l.epoch, m.hist.last(), true, m.durable.Counts})
	}
	if mutant.On("commit-believed-early") && x.Snapshot != 0 {
		m.committed = max(m.committed, x.Last)
	}
}

func (m *Machine) learnerPersisted() {
	l := m.learn
	m.answerEpoch(l)
	m.joinedNow(l)
	m.ackUpTo(l)
	m.believe(l)
}

func (m *Machine) joinedNow(l *learner) {
	if l.joined || l.joinAt == 0 || m.durable.Joined != l.epoch {
		return
	}
	l.joined, l.said = true, false
	m.ackUpTo(l)
}

// ackUpTo acknowledges what is durable. Before NEWLEADER it only moves the window.
func (m *Machine) ackUpTo(l *learner) {
	counts := m.durable.Counts || mutant.On("counts-issued") && m.mark.Counts
	z := m.lastDone
	if !l.synced || m.install != nil || z <= l.acked && (l.said && counts == l.saidCounts || !l.joined) {
		return
	}
	epoch, joined := l.epoch, l.joined && m.mark.Promised == l.epoch && m.durable.Joined == l.epoch
	if l.answer != nil { // promised a later epoch: nothing is acknowledged any more
		if !mutant.On("ack-after-promise") {
			return
		}
		epoch, joined = m.durable.Joined, true
	}
	l.acked, l.said, l.saidCounts = z, joined, counts
	m.send(l.leader, &Ack{l.session, epoch, z, joined, counts})
}

// believe takes over the committed position once this member is up to date, over what it holds.
func (m *Machine) believe(l *learner) {
	if l.upToDate {
		m.committed = max(m.committed, min(l.commit, m.hist.last()))
	}
}

func (m *Machine) pong(l *learner, x *Ping) {
	d := m.durable
	if mutant.On("confirms-issued") {
		d = m.mark
	}
	counts := d.Counts || mutant.On("blank-confirms")
	stays := x.Epoch == d.Promised && x.Epoch == m.mark.Promised || mutant.On("left-confirms")
	confirms := counts && stays && x.Epoch == d.Joined
	m.send(l.leader, &Pong{l.session, x.Epoch, x.Round, confirms})
}

// learnerTick gives up on a leader that is silent, or that makes no progress in bringing this member to where it can join. From then on the leader may have
// others to bring there before its epoch is established, and gives up itself when they do not come on.
func (m *Machine) learnerTick() {
	l := m.learn
	l.ticks++
	if l.receiving != nil && (!l.begun || l.whole || l.taken < l.at.Chunk) {
		l.moved = l.ticks // decoding and writing it is this member's own work
	}
	if l.ticks-l.heard > m.cfg.SyncLimit || !l.upToDate && !l.joined && l.ticks-l.moved > m.cfg.InitLimit {
		m.endRole()
	}
}
