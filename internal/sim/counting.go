package sim

import (
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// counting knows who counts by right, whatever the members believe.
type counting struct {
	born     bool   // the birth is complete: some member knows it, durably
	promised uint32 // the greatest epoch that anybody ever promised, durably
	readmits map[life]bool
	backers  map[candidacy]uint64 // bits of the members that gave their promise
}

// life is one memory of a member.
type life struct {
	id  quorum.ID
	inc zab.Incarnation
}

type candidacy struct {
	epoch uint32
	by    quorum.ID
}

func newCounting() counting {
	return counting{readmits: map[life]bool{}, backers: map[candidacy]uint64{}}
}

// countsByRight checks a mark that says for the first time that its member counts: by a birth, if its memory is older than that and nobody has promised
// anything yet, or by a committed Readmit of this very memory.
func (w *World) countsByRight(n *node, was, is zab.Mark) {
	founds := w.counting.promised == 0 && !n.watch.late
	if is.Counts && !was.Counts && !founds && !w.readmits[life{n.id, is.Incarnation}] {
		w.fail("inv/Z20", "member %d takes itself for one that counts, and its readmission is not committed", n.id)
	}
}

// joinsByRight checks a leader that joins its epoch: a quorum that counts must have promised it that.
func (w *World) joinsByRight(n *node, was, is zab.Mark) {
	z := n.m.Zab()
	if is.Joined == was.Joined || z.Role() != zab.Leading || z.Epoch() != is.Joined {
		return
	}
	by := w.backers[candidacy{is.Joined, n.id}]
	if !w.verifier.Contains(func(id quorum.ID) bool { return id == n.id || by>>id&1 != 0 }) {
		w.fail("inv/Z20", "member %d leads epoch %d, and those that count and promised it that are no quorum", n.id, is.Joined)
	}
}

// readyByRight checks a member that calls itself ready: from then on an operator takes its disk for good, and may take the next one.
func (w *World) readyByRight(n *node) {
	if n.out.Changed && n.out.Status.Ready && n.idx < w.cfg.Voters && !n.disk.mark.Counts {
		w.fail("inv/Z20", "member %d calls itself ready, and after a loss of power it would not count", n.id)
	}
}
