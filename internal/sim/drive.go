package sim

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// driveDir is where a member keeps its log, and the snapshots that its RESETs name.
const driveDir = "/d"

// What befalls the operation that a drive counts down to.
const (
	meddleStop = iota // the process ends before it, or in the middle of a write
	meddleFail        // it returns an error
)

var errStopped = errors.New("sim: the process ends here")

// drive is the disk of one member and the real log on it. The store beside it is the oracle of what must be found on it.
type drive struct {
	mem    *vfs.Memory
	log    *wal.Log
	rec    wal.Recovery // of the start that opened log
	snap   *zab.Snapshot
	now    func() time.Duration
	r      *rand.Rand
	id     quorum.ID
	size   int64  // of a segment
	reset  string // file of the snapshot that the last durable RESET names
	dead   bool   // an error of the disk ended the log
	failIn int    // the disk fails in so many operations of the writer; 0: it does not

	left   int // operations to go until the one that is meddled with; 0: none
	meddle int
	began  int    // operations since left was set
	inner  bool   // the last stop came between two operations that belong together
	last   vfs.Op // the last one that was carried out
	seen   drives
}

// drives counts what was met on the way.
type drives struct{ rolled, removed, carried, slots int }

func newDrive(id quorum.ID, size int64, r *rand.Rand, now func() time.Duration) drive {
	return drive{mem: vfs.NewMemory(), id: id, size: size, r: r, now: now}
}

// model reports whether there is neither disk nor log: then the store is all there is.
func (d *drive) model() bool { return d.size == 0 }

// before sees each operation before it is carried out.
func (d *drive) before(op vfs.Op) *vfs.Fault {
	switch op.Kind {
	case vfs.OpOpen, vfs.OpRead, vfs.OpList, vfs.OpClose, vfs.OpLock:
		return nil
	}
	f := d.fault(op)
	switch {
	case op.Kind == vfs.OpRename && strings.HasSuffix(op.To, ".log"):
		d.seen.rolled++
	case op.Kind == vfs.OpRemove && strings.HasSuffix(op.Name, ".log"):
		d.seen.removed++
	case op.Kind == vfs.OpWrite && op.Offset == 0 && strings.HasSuffix(op.Name, ".log.tmp") && binary.LittleEndian.Uint64(op.Data[48:]) > 0:
		d.seen.carried++
	}
	d.last = op
	d.last.Data = nil
	return f
}

func (d *drive) fault(op vfs.Op) *vfs.Fault {
	d.began++
	if d.left == 0 {
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

// write does what the writer of the log does with what it is given.
func (d *drive) write(records []zab.Record) error {
	var last *zab.Record
	for i := range records {
		if r := &records[i]; r.Kind == zab.RecordReset {
			if err := d.keep(r.Snapshot); err != nil {
				return err
			}
			last = r
		}
	}
	if err := d.log.Append(records); err != nil {
		return err
	}
	if last == nil {
		return nil
	}
	d.reset = snapName(last.Snapshot)
	return d.retain(last.Pos)
}

// retain lets go what lies before the RESET at pos: nothing else can be spared as long as a member writes no snapshots of its own.
func (d *drive) retain(pos uint64) error {
	if err := d.log.Retain(pos); err != nil {
		return err
	}
	return d.forget()
}

// open starts the log and reads back the snapshot that it names.
func (d *drive) open() error {
	d.mem.SetHook(d.before)
	d.dead, d.failIn, d.snap, d.reset = false, 0, nil, ""
	var err error
	d.log, d.rec, err = wal.Open(d.mem, wal.Options{Dir: driveDir, Name: "sim", Member: d.id, Random: d.r.Uint64, SegmentSize: d.size, Now: d.now})
	if err != nil || d.log == nil || d.rec.Reset == nil {
		return err
	}
	if d.snap, err = d.load(d.rec.Reset); err != nil {
		return err
	}
	d.reset = snapName(d.snap)
	return d.retain(d.rec.Reset.Pos)
}

// crash ends the process, or takes away the power with it.
func (d *drive) crash(power bool) {
	if power {
		d.mem.PowerLoss(d.r)
	} else {
		d.mem.Crash()
	}
	d.log = nil
}

func (d *drive) wipe() {
	if d.model() {
		return
	}
	d.mem.Wipe()
	d.log = nil
}
