package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// format gives a member a new disk, with the mark that its memory begins with.
func (w *World) format(n *node) {
	d := &n.drive
	if d.model() {
		return
	}
	must(d.open())
	if n.disk.mark != (zab.Mark{}) {
		must(d.write([]zab.Record{{Kind: zab.RecordMark, Mark: n.disk.mark}}, func(zab.WriteID) {}))
	}
	must(d.store.Log.Close())
	d.crash(false)
}

// written writes what a flush is about. All operations on the disk come at the end of the time that they take: a crash before then leaves any
// part of them (fall), so nothing is lost by not spreading them out. It reports whether that went well.
func (w *World) written(n *node, batch []zab.Record) bool {
	d := &n.drive
	d.seen = drives{}
	upto := zab.WriteID(0)
	err := d.failing(func() error { return d.write(batch, func(id zab.WriteID) { upto = id }) })
	if err != nil {
		w.logFailed(n, err)
		return false
	}
	if last := batch[len(batch)-1].ID; upto != last {
		w.fail("inv/DISK", "the log of member %d says %d for %d", n.id, upto, last)
	}
	if d.seen.rolled > 0 && batch[0].Kind != zab.RecordMark {
		w.cover("segment rolled")
	}
	w.coverIf("segment let go", &d.seen.removed)
	w.checkFiles(n)
	prior := n.disk
	n.prior, n.batch = &prior, append(n.batch[:0], batch...)
	n.lastPos, n.lastAt = d.lastPos, d.lastAt
	return true
}

// logFailed ends a member whose log cannot go on.
func (w *World) logFailed(n *node, err error) {
	d := &n.drive
	if !diskFault(err) {
		w.fail("inv/DISK", "the log of member %d: %v", n.id, err)
	}
	w.count(fDiskFails)
	if d.last.Kind != 0 && d.failSync {
		w.cover("sync failed once")
	}
	if errors.Is(err, syscall.ENOSPC) {
		w.cover("log on a full disk")
	}
	d.dead, n.watch.broken = true, true
	n.put(w, inbound{lane: lanePersisted, msg: &core.Failed{Err: err}})
}

// acked has the log write down, at leisure, how far it was acknowledged.
func (w *World) acked(n *node) {
	d := &n.drive
	if d.model() || d.dead || n.disk.flying > 0 || d.stuck || w.now < d.stalled {
		return
	}
	if err := d.failing(func() error { return d.store.Log.Acked(n.disk.pos) }); err != nil {
		w.logFailed(n, err)
	}
}

// fall ends what the writers of a member are doing, at any operation on the disk, takes away the process or the power, perhaps damages what is left, and
// starts again. What the oracle holds continues with what that start returned.
func (w *World) fall(n *node, power bool) {
	d, r := &n.drive, w.media
	if d.model() {
		for i := range n.disk.pending[:r.IntN(len(n.disk.pending)+1)] {
			w.durable(n, &n.disk.pending[i])
		}
		n.disk.pending, n.disk.flying = nil, 0
		return
	}
	handed := n.disk.pending[:n.disk.flying]
	n.disk.flying = 0
	kept := 0 // so many of them the log had said to be durable, though nobody was told
	power = power || r.IntN(2) == 0
	var err error
	stopAt := func(op int, f func() error) {
		if err = d.until(op, meddleStop, f); err != nil && !errors.Is(err, errStopped) && !errors.Is(err, syscall.ENOSPC) {
			w.fail("inv/DISK", "the log of member %d: %v", n.id, err)
		}
	}
	if k := d.keeping; k != nil && !d.dead && r.IntN(2) == 0 { // it comes while a snapshot is being written
		stopAt(1+r.IntN(10), func() error {
			for d.keeping != nil {
				if err := w.keepStep(n, k); err != nil {
					return err
				}
			}
			return nil
		})
		if errors.Is(err, errStopped) {
			handed = nil
			w.cover("crash while a snapshot is kept")
		}
	}
	switch {
	case d.dead || err != nil: // that was the last it did
	case len(handed) == 0:
		stopAt(1+r.IntN(6), func() error {
			if r.IntN(4) == 0 {
				return d.store.Log.Close()
			}
			return d.store.Log.Acked(n.disk.pos)
		})
	default:
		if r.IntN(2) == 0 { // what waits for this one was begun too, and nothing of it told
			handed = n.disk.pending
		}
		stop := 1 + r.IntN(operations(handed))
		if r.IntN(4) == 0 {
			stop += r.IntN(7) // there may be a segment to begin
		}
		stopAt(stop, func() error {
			return d.write(handed, func(id zab.WriteID) {
				for kept < len(handed) && handed[kept].ID <= id {
					kept++
				}
			})
		})
		if err != nil && power && d.inner {
			w.cover("power loss in the middle of an append")
		}
	}
	w.coverIf("crash between the two slots", &d.seen.slots)
	d.crash(power)
	w.reopen(n, handed, kept)
	n.disk.pending = nil
}

// operations is how many there are on the disk for these records, and one more.
func operations(records []zab.Record) int {
	k := 1
	for i := range records {
		switch {
		case records[i].Kind == zab.RecordMark:
			k += 4
		case records[i].Kind == zab.RecordReset:
			k += 10
		case i == 0 || records[i-1].Kind == zab.RecordMark:
			k += 2
		}
	}
	return k
}

// reopen starts a member that is down, perhaps after damage, and checks what that finds: all that was told to be durable, and of what was handed over beyond
// that the first kept records at least; or, after damage, that it is damaged.
func (w *World) reopen(n *node, handed []zab.Record, kept int) {
	var before *vfs.Memory
	if n.drive.hurt != 0 {
		before = w.maul(n)
	}
	w.reopenAfter(n, before, handed, kept)
}

// reopenAfter does so after damage to a disk that was this before; nil: there is none.
func (w *World) reopenAfter(n *node, before *vfs.Memory, handed []zab.Record, kept int) {
	d, mauled := &n.drive, before != nil
	if was := w.glimpsing; mauled && !was { // nobody judges that disk before its member does
		w.glimpsing = true
		defer func() { w.glimpsing = false }()
	}
	w.begin(n)
	d.unreadable = ""
	if d.lost != nil {
		w.damaged(n, mauled)
		return
	}
	k, err := n.survived(handed, kept)
	if err != nil && mauled && n.blindSpot(handed) {
		w.cover("damage in the blind spot")
		d.crash(false)
		d.mem.Restore(before) // that disk is beyond what is survived when others are down too
		w.begin(n)
		if d.lost != nil {
			w.damaged(n, false)
		}
		k, err = n.survived(handed, kept)
	}
	if err != nil {
		w.fail("inv/DISK", "member %d recovers what it was not given, or not all of it: %v", n.id, err)
	}
	if mauled {
		w.cover("damage without loss")
	}
	w.note(n, "LOG %v; position %d, with %d of %d records in the air, snapshot %v", d.rec.Verdict, d.rec.Pos, k, len(handed), d.store.Newest())
	w.mix(d.rec.Pos)
	n.prior = nil
	for i := range k {
		w.durable(n, &handed[i])
	}
	w.checkSnapshot(n)
}

// begin starts the log of a member that is down, perhaps after starts that came to nothing.
func (w *World) begin(n *node) {
	d, r := &n.drive, w.media
	for {
		stop := 0
		if r.IntN(4) == 0 {
			stop = 1 + r.IntN(24)
		}
		d.seen.carried, d.seen.unused = 0, 0
		err := d.until(stop, meddleStop, d.open)
		w.coverIf("crash between the two slots", &d.seen.slots)
		switch {
		case err == nil:
			if d.rec.Verdict.Kind == wal.TornTail {
				w.cover("torn tail cut")
			}
			if d.seen.carried > 0 {
				w.cover("unclean start carried records over")
			}
			if d.found.Snapshot != nil && d.found.Snapshot.Zxid != d.rec.Base {
				w.cover("start from a snapshot of its own")
			}
			if d.seen.unused > 0 && d.store != nil {
				w.cover("start passed over a snapshot")
			}
			d.seen = drives{}
			return
		case errors.Is(err, syscall.ENOSPC):
			w.cover("start on a full disk")
			d.mem.SetSpace(-1) // whoever runs it makes room
		case !errors.Is(err, errStopped):
			w.fail("inv/DISK", "member %d does not start: %v", n.id, err)
		}
		d.crash(r.IntN(2) == 0)
	}
}

// survived finds how many of the records that were handed over the recovery amounts to: kept of them at least.
func (n *node) survived(handed []zab.Record, kept int) (int, error) {
	d := &n.drive
	s := n.disk
	s.entries = slices.Clone(s.entries)
	first := fmt.Errorf("no such state: position %d, durable was %d, and %d records beyond", d.rec.Pos, s.pos, kept)
	for k := 0; ; k++ {
		if k >= kept && s.pos == d.rec.Pos {
			err := s.differs(d)
			if err == nil {
				return k, nil
			}
			first = err
		}
		if k == len(handed) {
			return 0, fmt.Errorf("of %d records in the air: %w", k, first)
		}
		s.apply(&handed[k])
	}
}

// differs compares a state with what was found on a disk: the mark, as much of the history as the log has, and a snapshot that is a point of it, if
// the log does not have all.
func (s *store) differs(d *drive) error {
	mark, rec, snap := s.mark, &d.rec, d.found.Snapshot
	mark.Member = rec.Mark.Member
	missing := len(s.entries) - len(rec.Entries)
	base, from := s.base(), s.base()
	if missing > 0 {
		base = s.entries[missing-1].Zxid
	}
	if snap != nil {
		from = snap.Zxid
	}
	switch {
	case rec.Mark != mark:
		return fmt.Errorf("mark %+v, not %+v", rec.Mark, mark)
	case missing < 0, rec.Base != base:
		return fmt.Errorf("%d entries after %v, %d are missing", len(rec.Entries), rec.Base, missing)
	case snap == nil && (missing > 0 || s.snap != nil), from < rec.Base:
		return fmt.Errorf("the log begins behind %v, the snapshot is %v", rec.Base, from)
	case rec.Reset != nil && (s.snap == nil || s.snap.Zxid != rec.Reset.Zxid || s.snap.Length != rec.Reset.Length || s.snap.Digest != rec.Reset.Digest):
		return fmt.Errorf("the last RESET is %+v", rec.Reset)
	}
	i, err := s.after(from)
	if err != nil {
		return err
	}
	if len(d.found.Entries) != len(s.entries)-i {
		return fmt.Errorf("%d entries after %v, not %d", len(d.found.Entries), from, len(s.entries)-i)
	}
	for i := range rec.Entries {
		if want := &s.entries[missing+i]; !sameEntry(&rec.Entries[i], want) {
			return fmt.Errorf("entry %d is %+v, not %+v", i, rec.Entries[i], *want)
		}
	}
	return nil
}

// after returns how many entries come before those that follow z, which must be a point of the history.
func (s *store) after(z zab.Zxid) (int, error) {
	if z == s.base() {
		return 0, nil
	}
	i := slices.IndexFunc(s.entries, func(e zab.Entry) bool { return e.Zxid == z })
	if i < 0 {
		return 0, fmt.Errorf("a snapshot of %v, which is no point of the history", z)
	}
	return i + 1, nil
}

func sameEntry(a, b *zab.Entry) bool {
	return a.Zxid == b.Zxid && a.Prev == b.Prev && a.Kind == b.Kind && a.Member == b.Member && a.Incarnation == b.Incarnation && bytes.Equal(a.Data, b.Data)
}

// checkSnapshot compares the state that a start has read with what it was at that zxid.
func (w *World) checkSnapshot(n *node) {
	s := n.drive.found.Snapshot
	if s == nil {
		return
	}
	o := observed{Znodes: core.NewZnodes(maxData), mayBe: func() bool { return false }}
	state, err := o.Decode(s.Chunks)
	if err != nil {
		w.fail("inv/DISK", "member %d reads a snapshot of %v that cannot be decoded: %v", n.id, s.Zxid, err)
	}
	o.Install(state)
	v := o.Znodes.View()
	defer v.Release()
	if v.Zxid() != s.Zxid {
		w.fail("inv/DISK", "member %d reads the state of %v as that of %v", n.id, v.Zxid(), s.Zxid)
	}
	if err := w.ref.check(v); err != nil {
		w.fail("inv/DISK", "member %d reads another state at %v: %v", n.id, s.Zxid, err)
	}
	if want, ok := w.digests[s.Zxid]; ok && want != o.Znodes.Digest() {
		w.fail("inv/DISK", "member %d reads a state with digest %x at %v, it was %x", n.id, o.Znodes.Digest(), s.Zxid, want)
	}
	if spans, members := n.disk.upTo(s.Zxid); !slices.Equal(spans, s.Spans) || !sameMembers(members, s.Members) {
		w.fail("inv/DISK", "member %d reads epochs %v and readmitted %v with the state of %v, they were %v and %v", n.id, s.Spans, s.Members, s.Zxid, spans, members)
	}
}

func sameMembers(a, b []zab.Readmitted) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r zab.Readmitted) bool { return !slices.Contains(b, r) })
}

// recovered is what a member starts with.
func (w *World) recovered(n *node) zab.Recovered {
	d := &n.drive
	switch {
	case d.model():
		s := &n.disk
		return zab.Recovered{Mark: s.mark, Snapshot: s.snap, Entries: slices.Clone(s.entries), Pos: s.pos}
	case d.store == nil: // a new one
		w.reopen(n, nil, 0)
	case w.media.IntN(3) == 0: // it goes down once more when its log has started: what that returned was durable
		d.crash(w.media.IntN(2) == 0)
		w.reopen(n, nil, 0)
	}
	return d.found.Recovered
}
