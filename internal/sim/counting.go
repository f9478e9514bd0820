package sim

import (
	"slices"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// counting knows who counts by right, whatever the members believe.
type counting struct {
	born     bool           // the birth is complete: some member knows it, durably
	promised uint32         // the greatest epoch that anybody ever promised, durably
	ensemble zab.EnsembleID // that was born
	readmits map[life]bool
	backers  map[candidacy]uint64 // bits of the members that gave their promise
	behind   map[candidacy]uint64 // and of those that were not fresher than the candidate
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
	return counting{readmits: map[life]bool{}, backers: map[candidacy]uint64{}, behind: map[candidacy]uint64{}}
}

// countsByRight checks a mark that says for the first time that its member counts: by a birth, if nobody has promised anything yet and its memory is
// older than the birth, or no memory is left that knows of it; or by a committed Readmit of this very memory.
func (w *World) countsByRight(n *node, was, is zab.Mark) {
	known := slices.ContainsFunc(w.nodes, func(m *node) bool { return m.disk.mark.Born })
	founds := w.counting.promised == 0 && !(n.watch.late && known)
	if is.Counts && !was.Counts && !founds && !w.readmits[life{n.id, is.Incarnation}] {
		w.fail("inv/Z20", "member %d takes itself for one that counts, and its readmission is not committed", n.id)
	}
}

// backs notes a promise. The candidate's history is frozen from its own promise on.
func (w *World) backs(n *node, epoch uint32, to quorum.ID) {
	c := candidacy{epoch, to}
	w.backers[c] |= 1 << n.id
	if !n.disk.fresher(&w.nodes[to-1].image) {
		w.behind[c] |= 1 << n.id
	} else if !w.verifier.CanLead(n.id) {
		w.cover("promise of a fresher voter without weight")
	}
}

// joinsByRight checks a leader that joins its epoch: a quorum that counts must have promised it that, and one that knew nothing that the leader lacks.
func (w *World) joinsByRight(n *node, was, is zab.Mark) {
	z := n.m.Zab()
	if is.Joined == was.Joined || z.Role() != zab.Leading || z.Epoch() != is.Joined {
		return
	}
	c := candidacy{is.Joined, n.id}
	quorumOf := func(bits uint64) bool {
		return w.verifier.Contains(func(id quorum.ID) bool { return id == n.id || bits>>id&1 != 0 })
	}
	if !quorumOf(w.backers[c]) {
		w.fail("inv/Z20", "member %d leads epoch %d, and those that count and promised it that are no quorum", n.id, is.Joined)
	}
	if !quorumOf(w.behind[c]) {
		w.fail("inv/Z22", "member %d leads epoch %d by the promise of a fresher one", n.id, is.Joined)
	}
}

// readyByRight checks a member that calls itself ready: from then on an operator takes its disk for good, and may take the next one.
func (w *World) readyByRight(n *node) {
	if n.out.Changed && n.out.Status.Ready && n.idx < w.cfg.Voters && !n.disk.mark.Counts {
		w.fail("inv/Z20", "member %d calls itself ready, and after a loss of power it would not count", n.id)
	}
}
