package snapshot

import (
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Random programs with crashes, compared with a map of zxid to bytes after each start.
func TestTwin(t *testing.T) {
	seeds := 150
	if crashtest.Slow {
		seeds = 25
	}
	crashtest.Programs(t, seeds, runTwin)
}

func runTwin(seed uint64) (crashes int, err error) {
	r := rand.New(rand.NewPCG(seed, 2))
	disk, w := vfs.NewMemory(), newTwin()
	a, o := newAuthor(seed, w), testOptions(disk, seed)
	for range 12 {
		left := crashtest.StopAfter(disk, r, 1+r.IntN(120))
		s, err := Open(o)
		if err == nil {
			if err := w.check(s); err != nil {
				return crashes, err
			}
			w.settle(s)
			if c := a.receiving; c != nil {
				w.may[c.meta.Zxid] = true
			}
			for *left > 0 {
				if err := a.step(s); err != nil && *left > 0 {
					return crashes, err
				}
			}
		}
		crashes++
		crashtest.Crash(disk, r)
	}
	s, err := Open(o)
	if err != nil {
		return crashes, err
	}
	return crashes, w.check(s)
}
