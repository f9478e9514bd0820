package zab

import (
	"encoding/binary"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// CanPropose reports whether Propose will accept an entry.
func (m *Machine) CanPropose() bool {
	return m.failed == nil && m.lead != nil && m.lead.served && m.lead.phase == established && m.lead.handover == 0 && (m.next().Counter() <= m.cfg.MaxCounter || mutant.On("rollover-ignored"))
}

// Next returns the zxid that the next proposal gets.
func (m *Machine) Next() Zxid { return m.next() }

func (m *Machine) next() Zxid {
	if last := m.hist.last(); last.Epoch() == m.lead.epoch {
		return last + 1
	}
	return MakeZxid(m.lead.epoch, 1)
}

// Propose appends a transaction to the history of the epoch and returns its zxid; 0, and nothing is done, unless CanPropose. data is
// read-only from now on. The leader's own disk works beside its followers'.
func (m *Machine) Propose(data []byte) Zxid {
	if !m.CanPropose() {
		return 0
	}
	return m.propose(Entry{Kind: EntryData, Data: data})
}

// ProposeDigest proposes an EntryDigest: its proposer's state had this digest after the entry at. It returns the zxid as Propose does.
func (m *Machine) ProposeDigest(at Zxid, digest uint64) Zxid {
	if !m.CanPropose() {
		return 0
	}
	data := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(at))
	return m.propose(Entry{Kind: EntryDigest, Data: binary.BigEndian.AppendUint64(data, digest)})
}

func (m *Machine) propose(e Entry) Zxid {
	e.Zxid, e.Prev = m.next(), m.hist.last()
	m.lead.live.push(m.hist.end(), e, m.sealed)
	m.add(e)
	for _, l := range m.lead.learners {
		m.pump(l)
	}
	if m.next().Counter() > m.cfg.MaxCounter && !(mutant.On("rollover-ignored") && e.Kind == EntryReadmit) {
		m.renew(0)
	}
	return e.Zxid
}

// countedAck is the position that a member's acknowledgement counts for in this epoch.
func (m *Machine) countedAck(id quorum.ID) Zxid {
	if id == m.cfg.Self {
		if m.durable.Joined != m.lead.epoch || m.mark.Promised != m.lead.epoch {
			return 0
		}
		if mutant.On("own-ack-early") {
			return m.hist.last()
		}
		return m.lastDone
	}
	l := m.learnerOf(id)
	if l == nil {
		return 0
	}
	joined := l.joined || mutant.On("ack-before-join-counts") && l.info.Counts
	counts := l.counts || mutant.On("blank-counts") || mutant.On("ack-before-join-counts") && l.info.Counts ||
		mutant.On("readmit-counts-itself") && m.readmitOutstanding(l.id, l.info.Incarnation)
	if !joined || !counts {
		return 0
	}
	return l.acked
}

// commit finds the position that a quorum has acknowledged.
func (m *Machine) commit() {
	ld := m.lead
	if ld.phase != established {
		return
	}
	to := Zxid(m.cfg.Verifier.Position(func(id quorum.ID) uint64 { return uint64(m.countedAck(id)) }))
	to = m.holdReadmits(min(to, m.hist.last()))
	if mutant.On("readmit-by-half") {
		to = max(to, m.readmitByHalf())
	}
	if to <= m.committed {
		return
	}
	m.committed = to
	if m.advance(); m.lead == ld {
		m.tell()
	}
}

// tell passes the committed position to the learners, on the last message of this Output where there is one.
func (m *Machine) tell() {
	ld := m.lead
	for _, l := range ld.learners {
		if l.told == 0 {
			continue
		}
		switch {
		case l.open != nil && l.openAt == m.sealed:
			l.open.Commit = m.committed
		case l.openCommit != nil && l.openAt == m.sealed:
			l.openCommit.Commit = m.committed
		default:
			l.open, l.openAt = nil, m.sealed
			l.openCommit = &Commit{l.session, ld.epoch, m.committed}
			m.send(l.id, l.openCommit)
		}
	}
}
