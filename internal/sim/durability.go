package sim

import (
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// checkDurability is the cheap form of: were all to lose their power now, every quorum that counts would have a member that holds everything committed
// and that is at least as fresh as the rest of it.
func (w *World) checkDurability() {
	last := w.lastCommitted()
	if last == 0 {
		return
	}
	w.nobodyLeadsWithout(last, func(id quorum.ID) *store { return &w.nodes[id-1].disk })
}

// nobodyLeadsWithout checks that of the stores none could lead that lacks z: every quorum that counts has one that holds z and is at least as fresh.
func (w *World) nobodyLeadsWithout(z zab.Zxid, of func(quorum.ID) *store) {
	for _, n := range w.nodes[:w.cfg.Voters] {
		bad := of(n.id)
		if !bad.mark.Counts || bad.holds(z) {
			continue
		}
		if w.verifier.Contains(func(id quorum.ID) bool {
			m := of(id)
			return m.mark.Counts && !m.fresher(bad)
		}) {
			w.fail("inv/DUR", "after a loss of power member %d (joined %d, last %v) could lead without %v", n.id, bad.mark.Joined, bad.last(), z)
		}
	}
}

// weighed counts a commit at which it mattered that quorums are not majorities.
func (w *World) weighed(z zab.Zxid) {
	if w.cfg.Groups == nil {
		return
	}
	holds, light := 0, false
	for _, n := range w.nodes[:w.cfg.Voters] {
		if n.disk.mark.Counts && n.disk.holds(z) {
			holds++
		} else if !w.verifier.CanLead(n.id) {
			light = true
		}
	}
	if 2*holds <= w.cfg.Voters {
		w.cover("committed by no majority")
	}
	if light {
		w.cover("committed without a voter without weight")
	}
}

// onDisks checks that a quorum that counts holds z durably, and has joined the epoch in which it is committed. A store that was wiped since counts as
// lost with what it held: its acknowledgement was given for good, and wiped stores are a minority at each instant. checkDurability judges what is left.
func (w *World) onDisks(n *node, z zab.Zxid, without quorum.ID) {
	epoch := n.watch.reign
	has := func(d *store) bool { return d.mark.Counts && d.mark.Joined >= epoch && d.holds(z) }
	if !w.verifier.Contains(func(id quorum.ID) bool {
		m := w.nodes[id-1]
		return id != without && (has(&m.disk) || m.past != nil && has(m.past))
	}) {
		w.fail("inv/Z10", "member %d commits %v, which no quorum of stores holds", n.id, z)
	}
}
