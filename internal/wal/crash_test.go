package wal

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// figures of an exploration.
type figures struct {
	images   int // examined
	losses   int // of them after a power loss
	inStart  int // of them during a start
	torn     int
	rewrites int // process crashes whose state had to survive a later power loss
	met      map[string]int
}

func (f *figures) add(g figures) {
	f.images += g.images
	f.losses += g.losses
	f.inStart += g.inStart
	f.torn += g.torn
	f.rewrites += g.rewrites
	for what, n := range g.met {
		f.met[what] += n
	}
}

// meet notes what a program did.
func (f *figures) meet(op vfs.Op) {
	log := strings.HasSuffix(op.Name, segmentSuffix)
	switch {
	case op.Kind == vfs.OpRename && strings.HasSuffix(op.To, segmentSuffix):
		f.met["segment"]++
	case op.Kind == vfs.OpRemove && log:
		f.met["removal"]++
	case op.Kind == vfs.OpTruncate && log:
		f.met["shortening"]++
	case op.Kind == vfs.OpWrite && log:
		f.met["batch"]++
	case op.Kind == vfs.OpWrite && !strings.HasSuffix(op.Name, tempSuffix):
		f.met["slot"]++
	}
}

// Small programs, stopped before every operation on the disk and behind every byte of every write, by a crash of the process and
// by power losses with random subsets of sectors; some starts are stopped in the same way. Nothing that was reported durable is
// ever missing, and nothing of all this is taken for damage.
func TestCrashImages(t *testing.T) {
	sum := figures{met: map[string]int{}}
	programs := 12
	if slow {
		programs = 2
	}
	for seed := range uint64(programs) {
		f, err := crashImages(seed)
		if err != nil {
			t.Fatalf("program %d: %v", seed, err)
		}
		sum.add(f)
	}
	t.Logf("%d crash images of %d programs: %d power losses, %d in the middle of a start, %d torn tails; %d process crashes with a power loss after the start; 0 synced records lost, 0 false alarms",
		sum.images, programs, sum.losses, sum.inStart, sum.torn, sum.rewrites)
	t.Logf("met in these programs: %v", sum.met)
	if slow {
		return
	}
	if sum.images < 20000 {
		t.Errorf("only %d images", sum.images)
	}
	for _, what := range []string{"entry", "trunc", "reset", "mark", "batch", "segment", "slot", "removal", "shortening"} {
		if sum.met[what] == 0 {
			t.Errorf("no image of: %s", what)
		}
	}
}

// crashImages runs one program and looks at every image of it.
func crashImages(seed uint64) (figures, error) {
	e := &explorer{r: rand.New(rand.NewPCG(seed, 3)), c: &clock{}, m: newModel(), figures: figures{met: map[string]int{}}}
	e.o = testOptions(e.c, seed)
	e.o.SegmentSize = []int64{4096, 2048, 1024}[seed%3]
	e.all = seed == 0
	a := newAuthor(seed, e.m)
	a.size = func() int { return []int{0, 1, 60, 150, 300}[a.r.IntN(5)] }
	disk := vfs.NewMemory()
	e.watch(disk, 0)
	run := func() error {
		l, _, err := Open(disk, e.o)
		if err != nil {
			return err
		}
		for range 4 {
			if err := a.step(l, e.c); err != nil {
				return err
			}
		}
		return l.Close()
	}
	for range 2 {
		if err := run(); err != nil && e.err == nil {
			return e.figures, err
		}
	}
	for i := range e.m.states {
		switch s := &e.m.states[i]; {
		case i == 0:
		case s.mark != e.m.states[i-1].mark:
			e.met["mark"]++
		case s.reset != e.m.states[i-1].reset:
			e.met["reset"]++
		case s.last() <= e.m.states[i-1].last():
			e.met["trunc"]++
		default:
			e.met["entry"]++
		}
	}
	return e.figures, e.err
}

// explorer looks at crash images of a disk in use.
type explorer struct {
	figures
	r   *rand.Rand
	c   *clock
	m   *model
	o   Options
	all bool // cut marks and new segments at every byte too
	err error
}

// watch examines images before each operation on the disk that changes something.
func (e *explorer) watch(disk *vfs.Memory, depth int) {
	disk.SetHook(func(op vfs.Op) *vfs.Fault {
		switch op.Kind {
		case vfs.OpOpen, vfs.OpRead, vfs.OpList, vfs.OpClose, vfs.OpLock:
			return nil
		}
		if e.err != nil {
			return nil
		}
		if depth == 0 {
			e.meet(op)
		}
		cuts := []int{0}
		batch := strings.HasSuffix(op.Name, segmentSuffix)
		switch {
		case op.Kind != vfs.OpWrite:
		case depth == 0 && (batch || e.all):
			cuts = make([]int, len(op.Data)+1)
			for i := range cuts {
				cuts[i] = i
			}
		default:
			for range 10 {
				cuts = append(cuts, e.r.IntN(len(op.Data)+1))
			}
		}
		for _, n := range cuts {
			image := disk.Clone()
			if n > 0 {
				f, err := image.OpenWrite(op.Name)
				if err == nil {
					_, err = f.WriteAt(op.Data[:n], op.Offset)
					f.Close()
				}
				if err != nil {
					e.err = err
					return nil
				}
			}
			if err := e.examine(image, depth, n); err != nil {
				e.err = fmt.Errorf("before operation %d on %s, offset %d, %d of %d bytes written: %w", op.Kind, op.Name, op.Offset, n, len(op.Data), err)
				return nil
			}
		}
		return nil
	})
}

// examine starts from an image.
func (e *explorer) examine(image *vfs.Memory, depth, n int) error {
	e.images++
	if depth > 0 {
		e.inStart++
	}
	power := n%2 == 1 || e.r.IntN(2) == 0
	if power {
		image.PowerLoss(e.r)
		e.losses++
	}
	if depth == 0 && e.r.IntN(200) == 0 {
		e.watch(image, depth+1)
	}
	l, rec, err := Open(image, e.o)
	if err != nil {
		return err
	}
	image.SetHook(nil)
	if e.err != nil {
		return e.err
	}
	k, err := e.m.match(&rec)
	if err != nil {
		return err
	}
	if rec.Verdict.Kind == TornTail {
		e.torn++
	}
	if power && e.r.IntN(16) > 0 || e.r.IntN(2) == 0 {
		return nil
	}
	// What a start has returned is durable, whatever it was found in.
	e.rewrites++
	full := e.m
	defer func() { e.m = full }()
	e.m = &model{states: full.states[: k+1 : k+1], done: k, kept: full.kept}
	if e.r.IntN(4) == 0 {
		a := newAuthor(e.r.Uint64(), e.m)
		if err := l.Append(a.batch()); err != nil {
			return err
		}
		if e.r.IntN(2) == 0 {
			e.m.reported()
		} // else the model allows more than there can be
	}
	image.PowerLoss(e.r)
	_, rec, err = Open(image, e.o)
	if err != nil {
		return err
	}
	if _, err := e.m.match(&rec); err != nil {
		return fmt.Errorf("after a start and a power loss: %w", err)
	}
	return nil
}
