package sim

import "github.com/ensemble-go/ensemble/quorum"

// In half of the seeds a quorum of the voters that count is healed first, and alone, and must serve; what became of the others may be all that can.

// What becomes of a member that is not healed yet.
const (
	leftDown    = iota
	leftCut     // from those that are healed, not from others in its place
	leftMute    // they do not hear it,
	leftDeaf    // or it does not hear them
	leftPaused  // linked, and silent
	leftStuck   // linked, it answers, and its disk makes nothing durable
	leftCrowded // linked, it ends at each write for want of space, and starts again
	leftKinds
)

var leftNames = [leftKinds]string{"down", "cut off", "mute", "deaf", "paused", "with a stuck disk", "with a full disk"}

// drawLeft draws the members that are not healed with the others; 0: all are at once. Who is healed needs no others: these are a quorum of voters that count,
// durably, their state is right, and one of them knows that the birth is complete.
func (w *World) drawLeft() uint64 {
	core := uint64(0)
	r := w.healing
	if r.IntN(2) == 0 {
		return 0
	}
	born := false
	for _, i := range r.Perm(w.cfg.Voters) {
		n := w.nodes[i]
		if n.disk.mark.Counts && n.image.mark.Counts && !n.spoilt() {
			core |= 1 << i
			born = born || n.disk.mark.Born
		}
		if w.verifier.Contains(func(id quorum.ID) bool { return core>>(id-1)&1 != 0 }) {
			break
		}
	}
	for i := w.cfg.Voters; i < len(w.nodes); i++ {
		core |= r.Uint64() & 1 << i
	}
	enough := w.verifier.Contains(func(id quorum.ID) bool { return core>>(id-1)&1 != 0 })
	if !born || !enough {
		return 0
	}
	return ^core & (1<<len(w.nodes) - 1)
}

// isLeft reports whether a member is not healed with the others.
func (w *World) isLeft(n *node) bool { return w.left>>n.idx&1 != 0 }

// heal ends all faults, for ever, but for what befalls those that are left.
func (w *World) heal(left uint64) {
	w.left, w.healed = left, max(1, w.now)
	w.nextAct = len(w.actions)
	w.actions = w.actions[:len(w.actions):len(w.actions)]
	for _, p := range w.pairs {
		if p != nil {
			p.cut, p.until = [2]int{}, 0
		}
	}
	for _, n := range w.nodes {
		if w.isLeft(n) {
			w.leave(n)
			continue
		}
		n.crashIn, n.drive.failIn, n.drive.stalled = 0, 0, 0
		n.off, n.drive.stuck = false, false
		n.drive.mem.SetSpace(-1)
		if n.paused {
			n.paused = false
			if n.up {
				n.work(w)
			}
		}
		if !n.up {
			w.push(event{at: w.now + w.cfg.Tick, kind: evRestart, node: int32(n.idx), run: n.run})
		} else {
			w.flush(n)
		}
	}
}

// leave keeps a member from those that are healed, or of no use to them.
func (w *World) leave(n *node) {
	kind := w.healing.IntN(leftKinds)
	if kind >= leftStuck && !w.behindCore(n) {
		kind = w.healing.IntN(leftStuck) // it may be elected again and again, having the best history, and can never lead
	}
	if kind == leftCrowded && n.drive.model() {
		kind = leftStuck
	}
	w.cover("left " + leftNames[kind])
	n.crashIn, n.drive.failIn, n.drive.stalled = 0, 0, 0
	n.drive.mem.SetSpace(-1)
	switch kind {
	case leftDown:
		n.off = true
		w.down(n, thenRestart)
		return
	case leftPaused:
		n.paused = n.up
		return
	case leftStuck:
		n.drive.stuck = true
	case leftCrowded:
		n.drive.mem.SetSpace(0)
	default:
		for _, m := range w.nodes {
			if m == n || w.isLeft(m) {
				continue
			}
			p := w.pair(n.idx, m.idx)
			out := p.end(n.idx)
			if kind != leftDeaf {
				p.cut[out] = 1
			}
			if kind != leftMute {
				p.cut[1-out] = 1
			}
		}
	}
	if n.paused {
		n.paused = false
		if n.up {
			n.work(w)
		}
	}
}

// behindCore reports whether a member is never elected before one of the core: its vote says less, whatever of its writes becomes durable.
func (w *World) behindCore(n *node) bool {
	if n.idx >= w.cfg.Voters || !n.disk.mark.Counts && !n.image.mark.Counts {
		return true
	}
	for _, m := range w.nodes {
		if !w.isLeft(m) && w.verifier.CanLead(m.id) && m.disk.fresher(&n.image) && m.disk.fresher(&n.disk) {
			return true
		}
	}
	return false
}
