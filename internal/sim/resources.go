package sim

// checkFiles is filled below.
func (w *World) checkFiles(n *node) {}
