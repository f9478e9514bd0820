package sim

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// Damage at rest comes to a disk whose member is down, and is found by its next start, or is of no account. What is lost must be noticed: then the member
// begins anew, blank, on a new disk, with what the damaged one still says of the ensemble. It is done only to members whose memory the ensemble can do
// without.

// damages are the kinds of damage, the more frequent ones more than once.
var damages = []string{
	"log flipped", "log flipped", "log zeroed", "log zeroed", "log stale", "log unreadable", "slot flipped", "slot unreadable", "both slots flipped",
	"snapshot flipped", "snapshot unreadable", "snapshot removed", "all snapshots flipped", "segment removed",
}

// maul damages the disk of a member that is down. It returns the disk as it was.
func (w *World) maul(n *node) *vfs.Memory {
	d := &n.drive
	r := rand.New(rand.NewPCG(d.hurt, 0xda))
	d.hurt = 0
	if !w.mayLose(n) {
		return nil
	}
	intact := d.mem.Clone()
	var logs, slots, snaps []string
	names, content := d.mem.Files()
	for _, f := range names {
		switch base := filepath.Base(f); {
		case strings.HasSuffix(base, ".log"):
			logs = append(logs, f)
		case base == "mark.0" || base == "mark.1":
			slots = append(slots, f)
		case strings.HasSuffix(base, ".snap"):
			snaps = append(snaps, f)
		}
	}
	if len(slots) < 2 {
		return nil // it is new
	}
	newest := func(of []string) string { return of[len(of)-1-min(r.IntN(3), r.IntN(3), len(of)-1)] }
	flip := func(f string) {
		size := int64(len(content[f]))
		if used := int64(len(strings.TrimRight(string(content[f]), "\x00"))); used > 0 && r.IntN(8) > 0 {
			size = used
		}
		must(d.mem.FlipBit(f, r.Int64N(8*size)))
	}
	sector := func(f string, zero bool) {
		size := int64(len(content[f]))
		if used := int64(len(strings.TrimRight(string(content[f]), "\x00"))); used > vfs.Sector && zero {
			size = used
		}
		at := r.Int64N(max(1, (size-1)/vfs.Sector)) // not the header, if there is more
		if size > 2*vfs.Sector {
			at = 1 + r.Int64N((size-1)/vfs.Sector)
		}
		if zero {
			must(d.mem.Zero(f, at*vfs.Sector, min(vfs.Sector, int64(len(content[f]))-at*vfs.Sector)))
		} else {
			must(d.mem.Stale(f, at))
		}
	}
	what := pick(r, damages...)
	if strings.Contains(what, "snapshot") && len(snaps) == 0 {
		what = "log flipped"
	}
	if strings.HasPrefix(what, "log") && len(logs) == 0 || what == "segment removed" && len(logs) < 2 {
		what = "slot flipped"
	}
	switch what {
	case "log flipped":
		flip(newest(logs))
	case "log zeroed":
		sector(newest(logs), true)
	case "log stale":
		sector(newest(logs), false)
	case "log unreadable":
		d.unreadable = filepath.Base(newest(logs))
	case "slot flipped":
		flip(slots[r.IntN(len(slots))])
	case "slot unreadable":
		d.unreadable = filepath.Base(slots[r.IntN(2)])
	case "both slots flipped":
		flip(slots[0])
		flip(slots[1])
	case "snapshot flipped":
		flip(newest(snaps))
	case "snapshot unreadable":
		d.unreadable = filepath.Base(newest(snaps))
	case "snapshot removed":
		must(d.mem.Remove(newest(snaps)))
		must(d.mem.SyncDir(snapsDir))
	case "all snapshots flipped":
		for _, f := range snaps {
			flip(f)
		}
	case "segment removed":
		must(d.mem.Remove(logs[r.IntN(len(logs)-1)])) // a log whose newest file is gone looks as if that had never been
		must(d.mem.SyncDir(driveDir))
	}
	d.reads = r.IntN(2) // a header is read before all of it
	w.note(n, "DAMAGE %s %s", what, d.unreadable)
	w.cover("damage: " + what)
	return intact
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// blindSpot reports whether what a start cut off is no more than the damage that it cannot tell from a torn write: in the last batch, written less than a
// second before, when that was the last that this run had said to be durable.
func (n *node) blindSpot(handed []zab.Record) bool {
	d := &n.drive
	if n.prior == nil || d.rec.Pos+1 < n.lastPos || d.now()-n.lastAt > time.Second+time.Duration(n.longTick) {
		return false
	}
	s := *n.prior
	for _, records := range [][]zab.Record{n.batch, handed} {
		for i := range records {
			if s.pos == d.rec.Pos && s.differs(d) == nil {
				return true
			}
			s.apply(&records[i])
		}
	}
	return false
}

// loseDisk ends a member's memory. What it held counts as lost from now on. The next memory begins with this mark.
func (w *World) loseDisk(n *node, mark zab.Mark) {
	if p := n.disk; p.mark.Counts && !p.mark.Spoilt { // otherwise what counted is past already
		n.past = &p
	}
	n.disk = store{}
	n.prior = nil
	n.drive.wipe()
	n.inc = w.incarnation()
	n.watch.wiped(w.counting.born)
	w.wipes++
	if mark != (zab.Mark{}) {
		n.disk.mark = mark
		w.format(n)
	}
}

// damaged replaces a disk of which a start says that it is damaged.
func (w *World) damaged(n *node, mauled bool) {
	d := &n.drive
	why := d.lost
	if !mauled {
		w.fail("inv/DISK", "member %d finds its disk damaged: %v", n.id, why)
	}
	rec := &d.rec
	if e := rec.Mark.Ensemble; e != (zab.EnsembleID{}) && e != n.disk.mark.Ensemble {
		w.fail("inv/DISK", "member %d takes its damaged disk for that of another ensemble", n.id)
	}
	w.note(n, "LOST %v", why)
	w.losing(n)
	w.cover("damaged disk replaced")
	var mark zab.Mark
	if rec.Mark.Ensemble != (zab.EnsembleID{}) && (rec.Mark.Born || rec.Seen > 0 || rec.Pos > 0) {
		mark = zab.Mark{Ensemble: rec.Mark.Ensemble, Member: n.id, Born: true, Spoilt: true} // only a snapshot brings it back
	} else {
		w.cover("damaged disk that says nothing replaced")
	}
	if _, ok := errors.AsType[*snapshot.LostError](why); ok {
		w.cover("snapshot lost")
	}
	d.crash(false)
	w.loseDisk(n, mark)
}

// fill lets a disk have no more than so much space.
func (w *World) fill(n *node, space int64) {
	if !n.drive.model() {
		w.count(fFull)
		n.drive.mem.SetSpace(space)
	}
}
