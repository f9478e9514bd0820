package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// format gives a member its first disk, with the mark that it is born with.
func (w *World) format(n *node) {
	d := &n.drive
	if d.model() {
		return
	}
	err := d.open()
	if err == nil && n.disk.mark.Born {
		err = d.log.Append([]zab.Record{{Kind: zab.RecordMark, Mark: n.disk.mark}})
	}
	if err == nil {
		err = d.log.Close()
	}
	if err != nil {
		panic(err)
	}
	d.crash(false)
}

// written writes what a flush is about. All operations on the disk come at the end of the time that they take: a crash before then leaves any
// part of them (fall), so nothing is lost by not spreading them out. It reports whether that went well.
func (w *World) written(n *node, batch []zab.Record) bool {
	d := &n.drive
	d.seen = drives{}
	err := d.until(d.failIn, meddleFail, func() error {
		if err := d.log.Acked(n.disk.pos); err != nil {
			return err
		}
		return d.write(batch)
	})
	if d.failIn, d.left = d.left, 0; err != nil {
		if !errors.Is(err, errDisk) {
			w.fail("inv/DISK", "the log of member %d: %v", n.id, err)
		}
		w.count(fDiskFails)
		d.dead, n.watch.broken = true, true
		n.put(w, inbound{lane: lanePersisted, msg: &core.Failed{Err: err}})
		return false
	}
	if d.seen.rolled > 0 && batch[0].Kind != zab.RecordMark {
		w.cover("segment rolled")
	}
	w.coverIf("segment let go", &d.seen.removed)
	return true
}

// fall ends what the writer of a member's log is doing, at any operation on the disk, takes away the process or the power, and starts the log
// again. What the oracle holds continues with what that start returned.
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
	switch {
	case d.dead: // that was the last it did
	case len(handed) == 0:
		stop := 1 + r.IntN(6)
		if err := d.until(stop, meddleStop, func() error {
			if r.IntN(4) == 0 {
				return d.log.Close()
			}
			return d.log.Acked(n.disk.pos)
		}); err != nil && !errors.Is(err, errStopped) {
			w.fail("inv/DISK", "the log of member %d: %v", n.id, err)
		}
	default:
		all := len(handed)
		if r.IntN(2) == 0 { // what waits for this one was begun too, and nothing of it told
			handed = n.disk.pending
		}
		stop := 1 + r.IntN(operations(handed))
		if r.IntN(4) == 0 {
			stop += r.IntN(7) // there may be a segment to begin
		}
		err := d.until(stop, meddleStop, func() error {
			if err := d.write(handed[:all]); err != nil {
				return err
			}
			kept = all
			if err := d.write(handed[all:]); err != nil {
				return err
			}
			kept = len(handed)
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			w.fail("inv/DISK", "the log of member %d: %v", n.id, err)
		}
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
			k += 8
		case i == 0 || records[i-1].Kind == zab.RecordMark:
			k += 2
		}
	}
	return k
}

// reopen starts the log of a member that is down, perhaps after starts that came to nothing, and checks what it returns: all that was told to be
// durable, and of what was handed over beyond that the first kept records at least.
func (w *World) reopen(n *node, handed []zab.Record, kept int) {
	d, r := &n.drive, w.media
	for {
		stop := 0
		if r.IntN(4) == 0 {
			stop = 1 + r.IntN(24)
		}
		d.seen.carried = 0
		err := d.until(stop, meddleStop, d.open)
		w.coverIf("crash between the two slots", &d.seen.slots)
		if err == nil {
			break
		}
		if !errors.Is(err, errStopped) {
			w.fail("inv/DISK", "the log of member %d does not start: %v", n.id, err)
		}
		d.crash(r.IntN(2) == 0)
	}
	if d.log == nil {
		w.fail("inv/DISK", "member %d finds its log %v", n.id, d.rec.Verdict)
	}
	if d.rec.Verdict.Kind == wal.TornTail {
		w.cover("torn tail cut")
	}
	if d.seen.carried > 0 {
		w.cover("unclean start carried records over")
	}
	d.seen = drives{}
	k, err := n.survived(handed, kept)
	if err != nil {
		w.fail("inv/DISK", "member %d recovers what it was not given, or not all of it: %v", n.id, err)
	}
	w.note(n, "LOG %v; position %d, with %d of %d records in the air", d.rec.Verdict, d.rec.Pos, k, len(handed))
	w.mix(d.rec.Pos)
	for i := range k {
		w.durable(n, &handed[i])
	}
}

// survived finds how many of the records that were handed over the recovery amounts to: kept of them at least.
func (n *node) survived(handed []zab.Record, kept int) (int, error) {
	rec := &n.drive.rec
	s := n.disk
	s.entries = slices.Clone(s.entries)
	first := fmt.Errorf("no such state: position %d, durable was %d, and %d records beyond", rec.Pos, s.pos, kept)
	for k := 0; ; k++ {
		if k >= kept && s.pos == rec.Pos {
			err := s.differs(rec, n.drive.snap)
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

// differs compares a state with what was recovered.
func (s *store) differs(rec *wal.Recovery, snap *zab.Snapshot) error {
	mark := s.mark
	mark.Member = rec.Mark.Member
	switch {
	case rec.Mark != mark:
		return fmt.Errorf("mark %+v, not %+v", rec.Mark, mark)
	case (snap == nil) != (s.snap == nil), rec.Base != s.base():
		return fmt.Errorf("the history begins behind %v, not %v", rec.Base, s.base())
	case snap != nil && !sameSnapshot(snap, s.snap):
		return fmt.Errorf("another snapshot of %v", snap.Zxid)
	case len(rec.Entries) != len(s.entries):
		return fmt.Errorf("%d entries, not %d", len(rec.Entries), len(s.entries))
	}
	for i := range s.entries {
		if !sameEntry(&rec.Entries[i], &s.entries[i]) {
			return fmt.Errorf("entry %d is %+v, not %+v", i, rec.Entries[i], s.entries[i])
		}
	}
	return nil
}

func sameEntry(a, b *zab.Entry) bool {
	return a.Zxid == b.Zxid && a.Prev == b.Prev && a.Kind == b.Kind && a.Member == b.Member && a.Incarnation == b.Incarnation && bytes.Equal(a.Data, b.Data)
}

func sameSnapshot(a, b *zab.Snapshot) bool {
	return a.Zxid == b.Zxid && a.Length == b.Length && a.Digest == b.Digest && slices.Equal(a.Spans, b.Spans) && slices.Equal(a.Members, b.Members) &&
		slices.EqualFunc(a.Chunks, b.Chunks, bytes.Equal)
}

// recovered is what a member starts with.
func (w *World) recovered(n *node) zab.Recovered {
	d := &n.drive
	switch {
	case d.model():
		s := &n.disk
		return zab.Recovered{Mark: s.mark, Snapshot: s.snap, Entries: slices.Clone(s.entries), Pos: s.pos}
	case d.log == nil: // a new one
		w.reopen(n, nil, 0)
	case w.media.IntN(3) == 0: // it goes down once more when its log has started: what that returned was durable
		d.crash(w.media.IntN(2) == 0)
		w.reopen(n, nil, 0)
	}
	return zab.Recovered{Mark: d.rec.Mark, Snapshot: d.snap, Entries: d.rec.Entries, Pos: d.rec.Pos}
}
