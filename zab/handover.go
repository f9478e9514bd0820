package zab

import "github.com/ensemble-go/ensemble/quorum"

// Transfer begins to hand leadership over to a voter that is a learner of this leader; 0 picks the most advanced one. It
// reports whether it began.
func (m *Machine) Transfer(to quorum.ID) bool {
	ld := m.lead
	if ld == nil || ld.phase != established || !ld.served {
		return false
	}
	var best *learnerState
	for _, l := range ld.learners {
		if l.joined && l.counts && m.cfg.Verifier.CanLead(l.id) && (to == 0 || to == l.id) && (best == nil || l.acked > best.acked) {
			best = l
		}
	}
	if best == nil {
		return false
	}
	ld.handover, ld.handBy = best.id, ld.ticks+m.cfg.SyncLimit
	m.handOver()
	return true
}

// handOver leaves when everything is committed and the successor has it all.
func (m *Machine) handOver() {
	ld := m.lead
	if ld == nil || ld.handover == 0 || m.committed != m.hist.last() {
		return
	}
	to := m.learnerOf(ld.handover)
	if to == nil || !to.joined || to.acked < m.hist.last() {
		return
	}
	for _, l := range ld.learners {
		m.send(l.id, &Handover{l.session, ld.epoch, ld.handover})
		l.transfer.close()
	}
	ld.learners = nil
	m.out.Handover = ld.handover
	m.endRole()
}
