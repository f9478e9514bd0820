package sim

import (
	"time"

	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// Snapshots of its own let a member's log let go of what is before them. They are written beside the log, of a state that stays as it was while the
// member goes on, in pieces between which anything may happen.

// keeping is a snapshot that is being written.
type keeping struct {
	w    *snapshot.Writer
	r    zab.SnapshotReader
	zxid zab.Zxid
	ends bool // all chunks are there
}

// beginSnapshot begins a snapshot of what a member has applied, if there is anything new.
func (w *World) beginSnapshot(n *node) {
	d := &n.drive
	if d.model() || d.dead || d.keeping != nil || n.m.Zab().Applied() == d.store.Newest() {
		return
	}
	s, r := n.m.Snapshot()
	if r == nil {
		return
	}
	k := &keeping{r: r, zxid: s.Zxid}
	meta := snapshot.Meta{
		Ensemble: n.m.Zab().Mark().Ensemble, Zxid: s.Zxid, Pos: n.places.Of(s.Zxid), Created: time.UnixMilli(w.wallClock(n)), Spans: s.Spans, Members: s.Members,
	}
	d.keeping = k
	if !w.kept(n, func() (err error) {
		k.w, err = d.store.States.Create(meta)
		return err
	}) {
		return
	}
	w.push(event{at: w.now + between(w.disk, w.cfg.DiskMin, w.cfg.DiskMax), kind: evKeep, node: int32(n.idx), run: n.run})
}

// keepOn writes the chunks, and then makes a snapshot of them.
func (w *World) keepOn(n *node) {
	k := n.drive.keeping
	if k == nil || n.drive.dead {
		return
	}
	if !w.kept(n, func() error { return w.keepStep(n, k) }) || n.drive.keeping == nil {
		return
	}
	w.push(event{at: w.now + between(w.disk, w.cfg.DiskMin, w.cfg.DiskMax+w.cfg.Tick), kind: evKeep, node: int32(n.idx), run: n.run})
}

func (w *World) keepStep(n *node, k *keeping) error {
	d := &n.drive
	for !k.ends {
		c, last, err := k.r.Next()
		if err != nil {
			return err
		}
		if err := k.w.Add(c); err != nil {
			return err
		}
		if k.ends = last; last {
			return nil
		}
	}
	info, err := k.w.Commit()
	if err != nil {
		return err
	}
	d.keeping = nil
	k.r.Close()
	d.store.Kept(&info)
	w.cover("snapshot kept")
	pos, err := d.store.Retain(info.Zxid)
	if err != nil {
		return err
	}
	d.retain = max(d.retain, pos)
	if n.disk.flying > 0 {
		return nil // the writer of the log is busy
	}
	if err := d.write(nil, nil); err != nil {
		return err
	}
	w.checkRetention(n)
	return nil
}

// kept does a piece of work for a snapshot. That it fails is no harm, unless it is the log that fails.
func (w *World) kept(n *node, f func() error) bool {
	d := &n.drive
	d.seen = drives{}
	err := d.failing(f)
	w.coverIf("segment let go", &d.seen.removed)
	if err == nil {
		return true
	}
	if !diskFault(err) {
		w.fail("inv/DISK", "member %d keeps no snapshot: %v", n.id, err)
	}
	w.cover("snapshot not kept")
	if k := d.keeping; k != nil {
		k.r.Close()
		d.keeping = nil
	}
	if d.store.Log.Err() != nil {
		w.logFailed(n, err)
	} else {
		w.count(fDiskFails)
	}
	return false
}
