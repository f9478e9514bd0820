package wal

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// name tells what a program did.
func name(op vfs.Op) string {
	log := strings.HasSuffix(op.Name, segmentSuffix)
	switch {
	case op.Kind == vfs.OpRename && strings.HasSuffix(op.To, segmentSuffix):
		return "segment"
	case op.Kind == vfs.OpRemove && log:
		return "removal"
	case op.Kind == vfs.OpTruncate && log:
		return "shortening"
	case op.Kind == vfs.OpWrite && log:
		return "batch"
	case op.Kind == vfs.OpWrite && !strings.HasSuffix(op.Name, tempSuffix):
		return "slot"
	}
	return ""
}

// Small programs, stopped before every operation on the disk and behind every byte of every write, by a crash of the process and
// by power losses with random subsets of sectors; some starts are stopped in the same way. Nothing that was reported durable is
// ever missing, and nothing of all this is taken for damage.
func TestCrashImages(t *testing.T) {
	var sum explorer
	programs := 12
	if crashtest.Slow {
		programs = 2
	}
	for seed := range uint64(programs) {
		e, err := crashImages(seed)
		if err != nil {
			t.Fatalf("program %d: %v", seed, err)
		}
		sum.Add(e.Figures)
		sum.torn += e.torn
		sum.rewrites += e.rewrites
	}
	t.Logf("%d crash images of %d programs: %d power losses, %d in the middle of a start, %d torn tails; %d process crashes with a power loss after the start; 0 synced records lost, 0 false alarms",
		sum.Images, programs, sum.Losses, sum.InStart, sum.torn, sum.rewrites)
	t.Logf("met in these programs: %v", sum.Met)
	if crashtest.Slow {
		return
	}
	if sum.Images < 20000 {
		t.Errorf("only %d images", sum.Images)
	}
	for _, what := range []string{"entry", "trunc", "reset", "mark", "batch", "segment", "slot", "removal", "shortening"} {
		if sum.Met[what] == 0 {
			t.Errorf("no image of: %s", what)
		}
	}
}

// crashImages runs one program and looks at every image of it.
func crashImages(seed uint64) (*explorer, error) {
	c := &clock{}
	o := testOptions(c, seed)
	o.SegmentSize = []int64{4096, 2048, 1024}[seed%3]
	e := newExplorer(rand.New(rand.NewPCG(seed, 3)), newModel(), o)
	e.all = seed == 0
	a := newAuthor(seed, e.m)
	a.size = func() int { return []int{0, 1, 60, 150, 300}[a.r.IntN(5)] }
	disk := vfs.NewMemory()
	e.Watch(disk, 0)
	run := func() error {
		l, _, err := Open(disk, e.o)
		if err != nil {
			return err
		}
		for range 4 {
			if err := a.step(l, c); err != nil {
				return err
			}
		}
		return l.Close()
	}
	for range 2 {
		if err := run(); err != nil && e.Err == nil {
			return e, err
		}
	}
	for i := range e.m.states {
		switch s := &e.m.states[i]; {
		case i == 0:
		case s.mark != e.m.states[i-1].mark:
			e.Meet("mark")
		case s.reset != e.m.states[i-1].reset:
			e.Meet("reset")
		case s.last() <= e.m.states[i-1].last():
			e.Meet("trunc")
		default:
			e.Meet("entry")
		}
	}
	return e, e.Err
}

// explorer looks at crash images of a log in use.
type explorer struct {
	crashtest.Explorer
	r        *rand.Rand
	m        *model
	o        Options
	all      bool // cut marks and new segments at every byte too
	torn     int
	rewrites int // process crashes whose state had to survive a later power loss
}

func newExplorer(r *rand.Rand, m *model, o Options) *explorer {
	e := &explorer{r: r, m: m, o: o}
	e.Name, e.Cuts, e.Examine = name, e.cuts, e.examine
	return e
}

func (e *explorer) cuts(op vfs.Op, depth int) []int {
	cuts := []int{0}
	switch {
	case op.Kind != vfs.OpWrite:
	case depth == 0 && (e.all || strings.HasSuffix(op.Name, segmentSuffix)):
		for n := range op.Data {
			cuts = append(cuts, n+1)
		}
	default:
		for range 10 {
			cuts = append(cuts, e.r.IntN(len(op.Data)+1))
		}
	}
	return cuts
}

func (e *explorer) examine(image *vfs.Memory, depth, n int) error {
	power := n%2 == 1 || e.r.IntN(2) == 0
	if power {
		image.PowerLoss(e.r)
		e.Losses++
	}
	if depth == 0 && e.r.IntN(200) == 0 {
		e.Watch(image, depth+1)
	}
	l, rec, err := Open(image, e.o)
	if err != nil {
		return err
	}
	image.SetHook(nil)
	if e.Err != nil {
		return e.Err
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
