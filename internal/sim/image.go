package sim

import (
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// What the stores say is durable is only as true as the log. So now and then, at any operation on a disk, the disks themselves are asked: each is copied, loses
// its power, and is started, and what these starts find is judged as if it were all that is left.

// Every so many operations of a writer, commits and acknowledgements. A look costs as much as some hundred events.
const (
	imageEvery    = 6000
	imageOfAcks   = 1000
	imageOfCommit = 1500
)

// image is what a loss of power now would leave of n's disk. d is its drive.
func (w *World) image(n *node) *store {
	c := drive{mem: n.drive.mem.Clone(), id: n.id, size: n.drive.size, keep: n.drive.keep, r: w.guess, now: n.drive.now}
	c.mem.PowerLoss(w.guess)
	if err := c.open(); err != nil {
		w.fail("inv/Z10", "after a loss of power member %d does not start: %v", n.id, err)
	}
	if c.lost != nil {
		w.fail("inv/Z10", "after a loss of power member %d finds its disk damaged: %v", n.id, c.lost)
	}
	return stateOf(&c)
}

// stateOf is what a start found.
func stateOf(d *drive) *store {
	f := &d.found
	return &store{mark: f.Mark, snap: f.Snapshot, entries: f.Entries, pos: f.Pos}
}

// glimpse looks at the disks, one time in so many.
func (w *World) glimpse(every int) {
	if w.cfg.Segment != 0 && !w.glimpsing && w.counting.born && w.guess.IntN(every) == 0 {
		w.glimpsing = true
		w.powerLossNow()
		w.glimpsing = false
	}
}

// powerLossNow checks what would be left if all lost their power now: everything committed would be held by a quorum of disks, of which those that are lost
// count as holding what they did, and nobody could lead without it.
func (w *World) powerLossNow() {
	last := w.lastCommitted()
	if last == 0 {
		return
	}
	w.cover("images after a loss of power")
	images := make([]*store, w.cfg.Voters)
	for i, n := range w.nodes[:w.cfg.Voters] {
		images[i] = w.image(n)
	}
	w.judgeImages(images)
}

func (w *World) judgeImages(images []*store) {
	last := w.lastCommitted()
	has := func(s *store) bool { return s.mark.Counts && s.holds(last) }
	if !w.verifier.Contains(func(id quorum.ID) bool {
		return int(id) <= len(images) && (has(images[id-1]) || w.nodes[id-1].past != nil && has(w.nodes[id-1].past))
	}) {
		w.fail("inv/Z10", "after a loss of power no quorum of disks would hold %v", last)
	}
	w.nobodyLeadsWithout(last, func(id quorum.ID) *store { return images[id-1] })
}

// acknowledges checks that the disk itself, and not only what the log says of it, holds what its member acknowledges.
func (w *World) acknowledges(n *node, z zab.Zxid) {
	if n.drive.model() || w.guess.IntN(imageOfAcks) != 0 {
		return
	}
	if s := w.image(n); !s.holds(z) {
		w.fail("inv/Z11", "member %d acknowledges %v, and a loss of power would leave it at %v", n.id, z, s.last())
	}
}
