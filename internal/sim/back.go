package sim

// noWayBack checks that a member which is ready shows nothing older than it has shown before while it was, in this run or an earlier one: whoever reads
// there, or wrote there, must not go back in time by a restart of its member. A voter that has lost its memory counts again before it is ready. An observer
// does not count, and a leader that is deposed and does not know it yet may be the first that it finds: there only its own session, which a quorum has made
// since, tells that it is not behind, and Node.Ready waits for that.
func (w *World) noWayBack(n *node) {
	n.watch.forgot = n.watch.forgot && n.status.Session == 0
	if !n.status.Ready || n.view == nil || n.watch.forgot && n.idx >= w.cfg.Voters {
		return
	}
	z := n.view.Zxid()
	if z < n.shown {
		w.fail("inv/C7", "member %d is ready and shows %v, and has shown %v before", n.id, z, n.shown)
	}
	n.shown = z
}
