package sim

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// driveDir is the data directory of a member.
const driveDir = "/d"

var snapsDir = filepath.Join(driveDir, durable.SnapshotsDir)

// What befalls the operation that a drive counts down to.
const (
	meddleStop = iota // the process ends before it, or in the middle of a write
	meddleFail        // it returns an error
)

var errStopped = errors.New("sim: the process ends here")

// drive is the disk of one member, and the real log and snapshots on it. The store beside it is the oracle of what must be found there.
type drive struct {
	mem   *vfs.Memory
	store *durable.Store // nil: not open
	rec   wal.Recovery   // of the start that opened it
	found durable.Found
	lost  error // that start found it damaged
	now   func() time.Duration
	r     *rand.Rand
	id    quorum.ID
	size  int64 // of a segment
	keep  int   // snapshots kept
	dead  bool  // an error of the disk ended the log

	keeping *keeping // a snapshot that is being written
	retain  uint64   // the log may let go of what is before this position

	failIn     int  // the disk fails in so many operations of a writer; 0: it does not
	failSync   bool // and only syncs are counted
	stalled    Time // it syncs nothing before then
	stuck      bool // it syncs nothing
	hurt       uint64
	unreadable string // file that cannot be read
	reads      int    // of it, that still can be
	lastPos    uint64 // first position of the last batch that was written,
	lastAt     time.Duration

	left   int // operations to go until the one that is meddled with; 0: none
	meddle int
	began  int    // operations since left was set
	inner  bool   // the last stop came between two operations that belong together
	last   vfs.Op // the last one that was carried out
	seen   drives
	peek   func() // called before an operation of a writer, now and then
}

// drives counts what was met on the way.
type drives struct{ rolled, removed, carried, slots, unused int }

func newDrive(id quorum.ID, c *Config, r *rand.Rand, now func() time.Duration) drive {
	return drive{mem: vfs.NewMemory(), id: id, size: c.Segment, keep: c.Keep, r: r, now: now}
}

// model reports whether there is neither disk nor log: then the store is all there is.
func (d *drive) model() bool { return d.size == 0 }

// before sees each operation before it is carried out.
func (d *drive) before(op vfs.Op) *vfs.Fault {
	switch op.Kind {
	case vfs.OpRead:
		if d.unreadable != "" && filepath.Base(op.Name) == d.unreadable {
			if d.reads--; d.reads < 0 {
				return &vfs.Fault{Err: syscall.EIO}
			}
		}
		return nil
	case vfs.OpOpen, vfs.OpList, vfs.OpClose, vfs.OpLock:
		return nil
	}
	if d.peek != nil {
		d.peek()
	}
	f := d.fault(op)
	switch {
	case op.Kind == vfs.OpRename && strings.HasSuffix(op.To, ".log"):
		d.seen.rolled++
	case op.Kind == vfs.OpRemove && strings.HasSuffix(op.Name, ".log"):
		d.seen.removed++
	case op.Kind == vfs.OpWrite && op.Offset == 0 && strings.HasSuffix(op.Name, ".log.tmp") && binary.LittleEndian.Uint64(op.Data[48:]) > 0:
		d.seen.carried++
	case op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, ".log"):
		d.lastPos, d.lastAt = binary.LittleEndian.Uint64(op.Data[16:]), d.now()
	}
	d.last = op
	d.last.Data = nil
	return f
}

func (d *drive) fault(op vfs.Op) *vfs.Fault {
	d.began++
	if d.left == 0 || d.meddle == meddleFail && d.failSync && op.Kind != vfs.OpSync && op.Kind != vfs.OpSyncDir {
		return nil
	}
	if d.left--; d.left > 0 {
		return nil
	}
	if d.meddle == meddleFail {
		return &vfs.Fault{Err: errDisk, Written: d.r.IntN(len(op.Data) + 1)}
	}
	d.inner = d.began > 1
	if d.last.Kind == vfs.OpSync && op.Kind == vfs.OpWrite && d.last.Name != op.Name && isSlot(d.last.Name) && isSlot(op.Name) {
		d.seen.slots++
	}
	if op.Kind == vfs.OpWrite && d.r.IntN(2) == 0 {
		d.left, d.inner = 1, true // whatever comes next is not carried out
		return &vfs.Fault{Err: errStopped, Written: d.r.IntN(len(op.Data) + 1)}
	}
	panic(errStopped)
}

func isSlot(name string) bool { return strings.HasPrefix(filepath.Base(name), "mark.") }

// until runs f, and ends it at the operation with that number, if it comes so far: 0 is never.
func (d *drive) until(op, meddle int, f func() error) (err error) {
	d.left, d.meddle, d.began, d.inner, d.last = op, meddle, 0, false, vfs.Op{}
	defer func() {
		if r := recover(); r != nil {
			if r != any(errStopped) {
				panic(r)
			}
			err = errStopped
		}
		if meddle == meddleStop {
			d.left = 0
		}
	}()
	return f()
}

// failing runs f, in which the disk may fail if it is to.
func (d *drive) failing(f func() error) error {
	err := d.until(d.failIn, meddleFail, f)
	d.failIn, d.left = d.left, 0
	return err
}

// diskFault reports whether an error is what was done to the disk.
func diskFault(err error) bool { return errors.Is(err, errDisk) || errors.Is(err, syscall.ENOSPC) }

// write does what the writer of a node does with what it is given.
func (d *drive) write(records []zab.Record, told func(zab.WriteID)) error {
	retain := d.retain
	d.retain = 0
	return d.store.Append(records, retain, told)
}

// open starts the log, and reads the newest snapshot that it goes on from, as a node does. Damage is in lost.
func (d *drive) open() error {
	d.mem.SetHook(d.before)
	d.dead, d.failIn, d.lost, d.store, d.found, d.retain = false, 0, nil, nil, durable.Found{}, 0
	log, rec, err := wal.Open(d.mem, wal.Options{Dir: driveDir, Name: "sim", Member: d.id, Random: d.r.Uint64, SegmentSize: d.size, Now: d.now})
	d.rec = rec
	if err != nil {
		return err
	}
	if log == nil {
		d.lost = errors.New(rec.Verdict.String())
		return nil
	}
	o := snapshot.Options{Dir: snapsDir, FS: d.mem, Random: d.r.Uint64, Keep: d.keep}
	store, found, err := durable.Recover(log, &rec, o, nil, func(error) { d.seen.unused++ })
	if err != nil {
		_, lost := errors.AsType[*snapshot.LostError](err)
		_, damaged := errors.AsType[*snapshot.DamageError](err)
		if !lost && !damaged {
			return err
		}
		d.lost = err
		return log.Close()
	}
	d.store, d.found = store, found
	return nil
}

// crash ends the process, or takes away the power with it.
func (d *drive) crash(power bool) {
	if power {
		d.mem.PowerLoss(d.r)
	} else {
		d.mem.Crash()
	}
	d.store = nil
	if d.keeping != nil {
		d.keeping.r.Close()
		d.keeping = nil
	}
}

// wipe makes it a new one.
func (d *drive) wipe() {
	if d.model() {
		return
	}
	d.mem.Wipe()
	d.mem.SetSpace(-1)
	d.store, d.found, d.rec = nil, durable.Found{}, wal.Recovery{}
}
