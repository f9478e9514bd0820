package sim

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// What a member takes of its machine is bounded: R1 what waits, R2 files, open ones and space on the disk, R3 memory.

// waiting is how many calls of a kind a machine holds: it has been given them, and has not answered them in an output so far.
func (n *node) waiting(kind int) (count int) {
	for _, c := range n.calls {
		if c.handed && c.kind == kind {
			count++
		}
	}
	for _, r := range n.out.Replies {
		if c := n.calls[r.Ticket]; c != nil && c.kind == kind {
			count--
		}
	}
	return count
}

// closing is how many calls a member makes of itself: for the end of its own session, which are never refused.
func (n *node) closing() (count int) {
	for _, a := range n.serves {
		if a.own && a.givenUp {
			count++
		}
	}
	return count
}

// checkQueues is asked at each tick.
func (w *World) checkQueues(n *node) {
	writes, syncs := n.waiting(callWrite), n.waiting(callSync)
	if most := w.cfg.MaxInFlight; writes > most || syncs > most {
		w.fail("inv/R1", "at member %d %d writes and %d syncs wait, %d may", n.id, writes, syncs, most)
	}
	if said, have := n.m.Status().InFlight, writes+n.closing(); said != have {
		w.fail("inv/R1", "member %d says that %d calls wait, and %d do", n.id, said, have)
	}
	z := n.m.Zab()
	if n.watch.role != zab.Following || !n.watch.appliedHere {
		return
	}
	// Nobody is behind it for whom it would keep more.
	if es := z.Entries(); len(es) > 0 && es[0].Zxid <= z.Applied() {
		held := 0
		for _, e := range es[1:] {
			if e.Zxid <= z.Applied() {
				held += len(e.Data)
			}
		}
		if held > w.cfg.MaxTail {
			w.fail("inv/R3", "member %d keeps %d bytes of applied history in memory, and %d are enough", n.id, held, w.cfg.MaxTail)
		}
	}
}

// overloaded judges a refusal for want of room: there must be none.
func (w *World) overloaded(n *node, kind int, r *reply) {
	if !errors.Is(r.Err, core.ErrOverloaded) {
		return
	}
	w.cover("call refused for want of room")
	if have := n.waiting(kind) + n.closing(); have < w.cfg.MaxInFlight {
		w.fail("inv/R1", "member %d refuses ticket %d while %d calls wait, %d may", n.id, r.Ticket, have, w.cfg.MaxInFlight)
	}
}

// openFiles is how many a running log has: both slots of the mark, and the segment that is written.
const openFiles = 3

// checkFiles is asked after each batch.
func (w *World) checkFiles(n *node) {
	d := &n.drive
	most := openFiles
	if d.keeping != nil {
		most++
	}
	if n.receives.snap != nil { // on its way, or waiting for its RESET
		most++
	}
	if k := d.mem.Handles(); k > most {
		w.fail("inv/R2", "member %d has %d files open, %d are needed", n.id, k, most)
	}
}

// checkRetention is asked after the log let go of what the snapshots do not need: nothing that is older than all of them is left.
func (w *World) checkRetention(n *node) {
	w.checkFiles(n)
	d := &n.drive
	whole, needed := 0, d.store.Log.Pos()
	for _, i := range d.store.States.List() {
		if i.Fault != nil || i.Pos == 0 {
			needed = min(needed, n.resetPos)
			continue
		}
		whole++
		needed = min(needed, i.Pos)
		if i.Pos < n.resetPos {
			needed = min(needed, n.resetPos)
		}
	}
	if whole > d.keep+1 {
		w.fail("inv/R2", "member %d has %d snapshots of its own, %d are kept", n.id, whole, d.keep)
	}
	if second := d.secondSegment(); second != 0 && second <= needed {
		w.fail("inv/R2", "member %d needs its log from %d on, and the second segment begins at %d", n.id, needed, second)
	}
}

// secondSegment returns the first position in the second oldest segment, or 0.
func (d *drive) secondSegment() uint64 {
	names, err := d.mem.List(driveDir)
	must(err)
	k := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		if k++; k < 2 {
			continue
		}
		f, err := d.mem.Open(filepath.Join(driveDir, name))
		must(err)
		defer f.Close()
		var b [8]byte
		_, err = f.ReadAt(b[:], 32)
		must(err)
		return binary.LittleEndian.Uint64(b[:])
	}
	return 0
}
