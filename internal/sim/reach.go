package sim

import (
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// What the counters count is decided at the member that it happens to, when it has happened: what was sent may never arrive, and what was planned may find
// nobody up. A counter that says more than was reached is worse than none.

// reaching is what a member has done of the steps that are counted.
type reaching struct {
	rounds  [2]uint64   // of looking, the first and the last that it has told of
	synced  zab.Session // in which SYNC was heard
	opened  zab.Session // in which NEWLEADER was taken,
	initial zab.Zxid    // up to where, or what was heard to be committed since
	diff    bool        // entries have come since SYNC, and no NEWLEADER yet
	torn    bool        // the last time that entries came this way, it ended so
}

// ended keeps what outlives an attempt to follow.
func (r *reaching) ended() { *r = reaching{torn: r.torn || r.diff} }

// reaches notes a message that a member has taken.
func (w *World) reaches(n *node, from quorum.ID, msg any, was zab.Role) {
	z, v := n.m.Zab(), &n.watch
	r := &v.reaching
	if x, ok := msg.(*zab.AckEpoch); ok && was == zab.Leading && z.Role() == zab.Looking && x.Promise && (x.Joined > n.image.mark.Joined || x.Joined == n.image.mark.Joined && x.Last > n.image.last()) {
		w.cover("candidate gives way to a fresher member")
	}
	x, ok := msg.(zab.Message)
	if !ok || z.Leader() != from || was == zab.Leading {
		return
	}
	if s, _ := sessionOf(x); s != v.session {
		return
	}
	switch x := x.(type) {
	case *zab.Sync:
		r.synced = x.Session
	case *zab.Propose:
		if !r.diff && r.opened != x.Session && r.synced == x.Session && len(x.Entries) > 0 {
			r.diff = true
			w.moment(n, atDiff)
		}
		r.told(w, z, x.Session, x.Commit)
	case *zab.NewLeader:
		r.opened, r.initial, r.diff, r.torn = x.Session, x.Last, false, false
	case *zab.Commit:
		r.told(w, z, x.Session, x.Commit)
	}
}

// told takes a commit position that a learner is told.
func (r *reaching) told(w *World, z *zab.Machine, s zab.Session, commit zab.Zxid) {
	if r.opened == s && !z.Established() && commit > r.initial {
		r.initial = commit
		w.cover("commit between NEWLEADER and UPTODATE")
	}
}

// looks notes the rounds of an election that a member tells of.
func (r *reaching) looks(x *election.Notification) {
	if x.State != election.Looking {
		return
	}
	if r.rounds[0] == 0 {
		r.rounds[0] = x.Round
	}
	r.rounds[1] = x.Round
}

// coverLoss counts a leader that looks again since no quorum was in contact, by how far it had come.
func (w *World) coverLoss(n *node) {
	v := &n.watch
	if w.verifier.Contains(func(id quorum.ID) bool { return id == n.id || v.ticks-v.heard[id-1] < w.cfg.SyncLimit }) {
		return
	}
	switch {
	case v.est:
		w.cover("leader lost quorum")
	case v.epoch == 0 || n.image.mark.Joined < v.epoch:
		w.cover("leader lost quorum in discovery")
	default:
		w.cover("leader lost quorum in sync")
	}
}

// coverStep counts a crash by the durable steps between which it comes: the promise of an epoch, the history, the joined epoch, and the end.
func (w *World) coverStep(n *node) {
	z, m := n.m.Zab(), n.disk.mark
	e, learns := z.Epoch(), z.Role() != zab.Leading
	switch {
	case z.Role() == zab.Looking || z.Established():
	case e == 0 || m.Promised < e:
		w.cover("crash before the promise of an epoch")
	case m.Joined < e && !learns:
		w.cover("crash of a leader between promise and join")
	case m.Joined < e && n.watch.synced != n.watch.session:
		w.cover("crash between promise and SYNC")
	case m.Joined < e && n.watch.opened != n.watch.session:
		w.cover("crash between SYNC and NEWLEADER")
	case m.Joined < e:
		w.cover("crash between NEWLEADER and join")
	case learns:
		w.cover("crash between join and UPTODATE")
	default:
		w.cover("crash of a leader between join and establishment")
	}
}

// ephemeral reports whether a call creates one.
func ephemeral(k *call) bool {
	if k.req == nil {
		return false
	}
	for _, op := range k.req.ops {
		if c, ok := op.(datatree.CreateOp); ok && c.Mode&datatree.Ephemeral != 0 {
			return true
		}
	}
	return false
}

// waits reports whether a call like this is under way, and not decided.
func (l *line) waits(like func(*call) bool) bool {
	for _, k := range l.calls[min(l.last, uint64(len(l.calls))):] {
		if !k.lost && !k.done && like(k) {
			return true
		}
	}
	return false
}
