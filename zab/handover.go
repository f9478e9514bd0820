package zab

import "github.com/ensemble-go/ensemble/quorum"

// Transfer begins to hand leadership over to the most advanced of the voters that are learners of this leader and that may lead next. It
// reports whether it began.
func (m *Machine) Transfer(may func(quorum.ID) bool) bool {
	ld := m.lead
	if ld == nil || ld.phase != established || !ld.served {
		return false
	}
	var best *learnerState
	for _, l := range ld.learners {
		if l.joined && l.counts && m.cfg.Verifier.CanLead(l.id) && may(l.id) && (best == nil || l.acked > best.acked) {
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

// HandingOver reports whether a transfer is under way.
func (m *Machine) HandingOver() bool { return m.lead != nil && m.lead.handover != 0 }

// CallOff ends a transfer to a member, if there is one: the leader leads on.
func (m *Machine) CallOff(to quorum.ID) {
	if ld := m.lead; ld != nil && ld.handover == to {
		ld.handover = 0
	}
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
