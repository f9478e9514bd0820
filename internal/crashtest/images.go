// Package crashtest is what the tests of the log and of the snapshots have in common: crash images of a disk in use, random programs that
// are stopped by crashes, and tables of stories and of mutants.
package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Figures are those of an exploration.
type Figures struct {
	Images  int            // examined
	Losses  int            // of them after a power loss
	InStart int            // of them during a start
	Met     map[string]int // what the programs did
}

// Add adds the figures of another exploration.
func (f *Figures) Add(g Figures) {
	f.Images += g.Images
	f.Losses += g.Losses
	f.InStart += g.InStart
	for what, n := range g.Met {
		f.meet(what, n)
	}
}

// Meet counts something that a program did; "" is nothing.
func (f *Figures) Meet(what string) {
	if what != "" {
		f.meet(what, 1)
	}
}

func (f *Figures) meet(what string, n int) {
	if f.Met == nil {
		f.Met = map[string]int{}
	}
	f.Met[what] += n
}

// Explorer looks at crash images of a disk in use.
type Explorer struct {
	Figures
	// Name gives what an operation is to be counted as, or "".
	Name func(op vfs.Op) string
	// Cuts gives how many bytes of a write there are to be on the images that are taken before op, one image each. Other operations have 0 bytes.
	Cuts func(op vfs.Op, depth int) []int
	// Examine starts from an image with n bytes of the write. depth is 0 in a program, and 1 in a start from one of its images.
	Examine func(image *vfs.Memory, depth, n int) error
	// Err is what Examine found first. Nothing is examined after it.
	Err error
}

// Watch examines images before each operation on the disk that changes something.
func (e *Explorer) Watch(disk *vfs.Memory, depth int) {
	disk.SetHook(func(op vfs.Op) *vfs.Fault {
		switch op.Kind {
		case vfs.OpOpen, vfs.OpRead, vfs.OpList, vfs.OpClose, vfs.OpLock:
			return nil
		}
		if e.Err != nil {
			return nil
		}
		if depth == 0 {
			e.Meet(e.Name(op))
		}
		for _, n := range e.Cuts(op, depth) {
			image := disk.Clone()
			if n > 0 {
				if e.Err = Overwrite(image, op.Name, op.Offset, op.Data[:n]); e.Err != nil {
					return nil
				}
			}
			e.Images++
			if depth > 0 {
				e.InStart++
			}
			if err := e.Examine(image, depth, n); err != nil {
				e.Err = fmt.Errorf("before operation %d on %s, offset %d, %d of %d bytes written: %w", op.Kind, op.Name, op.Offset, n, len(op.Data), err)
				return nil
			}
		}
		return nil
	})
}

// StopAfter lets operations on the disk fail from the n-th on, of which a write may be done in part. Reading is not counted and does not
// fail: an error of it would be damage. left is how many operations there are until then, 0 or less afterwards.
func StopAfter(disk *vfs.Memory, r *rand.Rand, n int) (left *int) {
	disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpOpen || op.Kind == vfs.OpRead || op.Kind == vfs.OpList {
			return nil
		}
		if n--; n > 0 {
			return nil
		}
		return &vfs.Fault{Err: syscall.EIO, Written: r.IntN(len(op.Data) + 1)}
	})
	return &n
}

// Crash is one of the process or of the power.
func Crash(disk *vfs.Memory, r *rand.Rand) {
	if r.IntN(2) == 0 {
		disk.Crash()
	} else {
		disk.PowerLoss(r)
	}
}

// Overwrite writes into a file that is there.
func Overwrite(disk *vfs.Memory, name string, at int64, data []byte) error {
	f, err := disk.OpenWrite(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close())
}

// Resize makes a file that is there this long, for good.
func Resize(disk *vfs.Memory, name string, size int64) error {
	f, err := disk.OpenWrite(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}
