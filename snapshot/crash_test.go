package snapshot

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// name tells what a program did.
func name(op vfs.Op) string {
	switch {
	case op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, partSuffix):
		return "write to a part"
	case op.Kind == vfs.OpWrite:
		return "write"
	case op.Kind == vfs.OpSync:
		return "sync"
	case op.Kind == vfs.OpRename:
		return "rename"
	case op.Kind == vfs.OpSyncDir:
		return "sync of names"
	case op.Kind == vfs.OpRemove && strings.HasSuffix(op.Name, suffix):
		return "removal"
	case op.Kind == vfs.OpRemove && strings.HasSuffix(op.Name, tempSuffix):
		return "giving up"
	case op.Kind == vfs.OpRemove:
		return "removal of a part"
	}
	return ""
}

// Small programs, stopped before every operation on the disk and at many places within every write, by a crash of the process and by power losses with
// random subsets of sectors; some starts are stopped in the same way. What was installed is there, whole; beside it at most what was being installed, whole
// too; and nothing of all this is taken for damage.
func TestCrashImages(t *testing.T) {
	var sum crashtest.Figures
	programs := 16
	if crashtest.Slow {
		programs = 2
	}
	for seed := range uint64(programs) {
		f, err := crashImages(seed)
		if err != nil {
			t.Fatalf("program %d: %v", seed, err)
		}
		sum.Add(f)
	}
	t.Logf("%d crash images of %d programs: %d power losses, %d in the middle of a start; nothing lost, nothing torn, no false alarm", sum.Images, programs, sum.Losses, sum.InStart)
	t.Logf("met in these programs: %v", sum.Met)
	if crashtest.Slow {
		return
	}
	for _, what := range []string{"write", "write to a part", "sync", "rename", "sync of names", "removal", "removal of a part", "giving up"} {
		if sum.Met[what] == 0 {
			t.Errorf("no image of: %s", what)
		}
	}
}

// crashImages runs one program and looks at every image of it.
func crashImages(seed uint64) (crashtest.Figures, error) {
	e := newExplorer(rand.New(rand.NewPCG(seed, 3)), newTwin())
	e.w.keep = 2
	a := newAuthor(seed, e.w)
	disk := vfs.NewMemory()
	e.Watch(disk, 0)
	for range 2 {
		e.w.received = 0
		s, err := Open(e.options(disk))
		if err != nil {
			return e.Figures, err
		}
		for range 10 {
			if err := a.step(s); err != nil {
				return e.Figures, err
			}
		}
	}
	return e.Figures, e.Err
}

// explorer looks at crash images of a Store in use.
type explorer struct {
	crashtest.Explorer
	r   *rand.Rand
	w   *twin
	all bool // cut writes at every byte
}

func newExplorer(r *rand.Rand, w *twin) *explorer {
	e := &explorer{r: r, w: w}
	e.Name, e.Cuts, e.Examine = name, e.cuts, e.examine
	return e
}

func (e *explorer) options(disk *vfs.Memory) Options {
	o := testOptions(disk, e.r.Uint64())
	o.Keep = e.w.keep
	return o
}

func (e *explorer) cuts(op vfs.Op, depth int) []int {
	cuts := []int{0, 0}
	if op.Kind == vfs.OpWrite {
		for range 12 {
			cuts = append(cuts, e.r.IntN(len(op.Data)+1))
		}
		for n := range op.Data {
			if e.all && depth == 0 {
				cuts = append(cuts, n)
			}
		}
		cuts = append(cuts, len(op.Data))
	}
	return cuts
}

func (e *explorer) examine(image *vfs.Memory, depth, _ int) error {
	if e.r.IntN(4) > 0 {
		image.PowerLoss(e.r)
		e.Losses++
	} else {
		image.Crash()
	}
	if depth == 0 && e.r.IntN(20) == 0 {
		e.Watch(image, depth+1)
	}
	s, err := Open(e.options(image))
	if err != nil {
		return err
	}
	image.SetHook(nil)
	if e.Err != nil {
		return e.Err
	}
	if err := e.w.check(s); err != nil {
		return err
	}
	if e.r.IntN(4) > 0 {
		return nil
	}
	// What a start has listed is durable, and nothing comes back that it has not.
	full := e.w
	defer func() { e.w = full }()
	e.w = &twin{state: full.state, need: full.need, keep: full.keep, must: map[zxid]bool{}, may: map[zxid]bool{}}
	e.w.settle(s)
	image.PowerLoss(e.r)
	if s, err = Open(e.options(image)); err != nil {
		return err
	}
	if err := e.w.check(s); err != nil {
		return fmt.Errorf("after a start and a power loss: %w", err)
	}
	return nil
}

// On a disk that says that it has synced a file and has not, a snapshot can be lost, but what is left of it is never taken for one.
func TestLyingDisk(t *testing.T) {
	seen, damaged := 0, 0
	for seed := range uint64(60) {
		n, d, err := lyingDisk(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen, damaged = seen+n, damaged+d
	}
	t.Logf("%d snapshots after power losses, %d of them damaged, each noticed", seen, damaged)
	if damaged == 0 || damaged == seen {
		t.Error("too tame")
	}
}

func lyingDisk(seed uint64) (seen, damaged int, err error) {
	disk, w := vfs.NewMemory(), newTwin()
	r := rand.New(rand.NewPCG(seed, 4))
	a := newAuthor(seed, w)
	disk.SetHook(func(op vfs.Op) *vfs.Fault {
		return &vfs.Fault{Lie: op.Kind == vfs.OpSync && r.IntN(2) == 0}
	})
	s, err := Open(testOptions(disk, seed))
	if err != nil {
		return 0, 0, err
	}
	for range 6 {
		if err := a.write(s); err != nil {
			return 0, 0, err
		}
	}
	disk.PowerLoss(r)
	if s, err = Open(testOptions(disk, seed+1000)); err != nil {
		return 0, 0, err
	}
	for _, i := range s.List() {
		seen++
		rd, err := s.Open(i.File)
		if err == nil {
			err = w.state[i.Zxid].same(rd)
			rd.Close()
		}
		var damage *DamageError
		switch {
		case errors.Is(err, errWrong):
			return 0, 0, err
		case errors.As(err, &damage):
			damaged++
		case err != nil && err != io.EOF:
			return 0, 0, err
		case i.Fault != nil:
			return 0, 0, fmt.Errorf("false alarm: %w", i.Fault)
		}
	}
	return seen, damaged, w.checkLoadable(s)
}

// checkLoadable demands that the newest one that is whole is found.
func (w *twin) checkLoadable(s *Store) error {
	there := map[zxid]bool{}
	for _, i := range s.List() {
		if r, err := s.Open(i.File); err == nil {
			there[i.Zxid] = w.state[i.Zxid].same(r) == nil
			r.Close()
		}
	}
	for z, whole := range there {
		if !whole {
			delete(there, z)
		}
	}
	return w.checkLoad(s, there)
}
