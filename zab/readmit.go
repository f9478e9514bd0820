package zab

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// readmitLearners proposes the readmission of blank voters that have joined.
func (m *Machine) readmitLearners() {
	for _, l := range m.lead.learners {
		if !m.CanPropose() {
			return
		}
		if !l.joined || l.counts || !l.voter || m.isReadmitted(l.id, l.info.Incarnation) || m.readmitOutstanding(l.id, l.info.Incarnation) {
			continue
		}
		if mutant.On("caught-up-counts") && l.acked == m.hist.last() {
			l.counts = true
		}
		m.propose(Entry{Kind: EntryReadmit, Member: l.id, Incarnation: l.info.Incarnation, Data: []byte{}})
	}
}

func (m *Machine) readmitOutstanding(id quorum.ID, inc Incarnation) bool {
	for _, z := range m.pendingReadmits {
		if i, ok := m.hist.after(z); ok && i > m.hist.first {
			if e := m.hist.at(i - 1); e.Member == id && e.Incarnation == inc {
				return true
			}
		}
	}
	return false
}

// holdReadmits stops a commit before a Readmit that lacks a full quorum without the member it readmits.
func (m *Machine) holdReadmits(to Zxid) Zxid {
	if mutant.On("readmit-counts-itself") {
		return to
	}
	for _, z := range m.pendingReadmits {
		if z > to || z <= m.committed {
			continue
		}
		i, ok := m.hist.after(z)
		if !ok || i == m.hist.first {
			continue
		}
		e := m.hist.at(i - 1)
		without := func(id quorum.ID) bool { return id != e.Member && m.countedAck(id) >= z }
		if !m.cfg.Verifier.Contains(without) {
			return e.Prev
		}
	}
	return to
}

// readmitByHalf is a mistake: the quorum of a Readmit is one of the whole membership, and not of those that are left.
func (m *Machine) readmitByHalf() (to Zxid) {
	for _, z := range m.pendingReadmits {
		i, ok := m.hist.after(z)
		if !ok || i == m.hist.first {
			continue
		}
		all, has := 0, 0
		for _, id := range m.cfg.Verifier.Voters() {
			if id != m.hist.at(i-1).Member {
				if all++; m.countedAck(id) >= z {
					has++
				}
			}
		}
		if 2*has >= all {
			to = z
		}
	}
	return to
}
