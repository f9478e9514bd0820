package sim

// audit compares everything with everything, at the end of a phase.
func (w *World) audit() {
	for i, n := range w.nodes {
		if d := n.sm.Digest(); d != w.nodes[0].sm.Digest() {
			w.fail("inv/Z17", "member %d has digest %x, member 1 has %x", n.id, d, w.nodes[0].sm.Digest())
		}
		w.auditTree(n)
		at := len(w.log)
		for j := len(n.disk.entries) - 1; j >= 0; j-- {
			at--
			e := &n.disk.entries[j]
			if at < 0 || w.log[at].zxid != e.Zxid || w.log[at].hash != hashEntry(e) {
				w.fail("inv/Z5", "store of member %d has %v at place %d", n.id, e.Zxid, at)
			}
		}
		if p, ok := w.place(n.disk.base()); !ok || p != at {
			w.fail("inv/Z5", "store of member %d: %d entries come before its first, the snapshot %v has %d", n.id, at, n.disk.base(), p)
		}
		if i == 0 && !w.cfg.Bootstrap {
			w.cover("birth")
		}
	}
}

// auditTree compares all of a member's tree, and what it knows of sessions, with the reference.
func (w *World) auditTree(n *node) {
	v := n.sm.Tree().View()
	defer v.Release()
	if err := w.ref.check(v); err != nil {
		w.failWith(err)
	}
	if err := checkTree(v); err != nil {
		w.failWith(err)
	}
	w.checkDue(n)
	w.checkSessions(n)
	if v.Zxid() != w.lastCommitted() {
		w.fail("inv/Z17", "member %d is at %v, the history ends at %v", n.id, v.Zxid(), w.lastCommitted())
	}
}
