package sim

// noWayBack checks that a member which is ready shows nothing older than it has shown before while it was, in this run or an earlier one: whoever reads
// there, or wrote there, must not go back in time by a restart of its member.
func (w *World) noWayBack(n *node) {
	if !n.status.Ready || n.view == nil {
		return
	}
	z := n.view.Zxid()
	if z < n.shown {
		w.fail("inv/C7", "member %d is ready and shows %v, and has shown %v before", n.id, z, n.shown)
	}
	n.shown = z
}
