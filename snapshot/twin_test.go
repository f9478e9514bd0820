package snapshot

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Random programs with crashes, compared with a map of zxid to bytes after each start.
func TestTwin(t *testing.T) {
	seeds := 150
	if slow {
		seeds = 25
	}
	crashes := 0
	for seed := range uint64(seeds) {
		n, err := runTwin(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		crashes += n
	}
	t.Logf("%d programs, %d crashes", seeds, crashes)
}

func runTwin(seed uint64) (crashes int, err error) {
	r := rand.New(rand.NewPCG(seed, 2))
	disk, w := vfs.NewMemory(), newTwin()
	a, o := newAuthor(seed, w), testOptions(disk, seed)
	for range 12 {
		stop := 1 + r.IntN(120) // operations until the crash
		disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpOpen || op.Kind == vfs.OpRead || op.Kind == vfs.OpList {
				return nil // EIO there would be damage
			}
			if stop--; stop > 0 {
				return nil
			}
			return &vfs.Fault{Err: syscall.EIO, Written: r.IntN(len(op.Data) + 1)}
		})
		s, err := Open(o)
		if err == nil {
			if err := w.check(s); err != nil {
				return crashes, err
			}
			w.settle(s)
			if c := a.receiving; c != nil {
				w.may[c.meta.Zxid] = true
			}
			for stop > 0 {
				if err := a.step(s); err != nil && stop > 0 {
					return crashes, err
				}
			}
		}
		crashes++
		if r.IntN(2) == 0 {
			disk.Crash()
		} else {
			disk.PowerLoss(r)
		}
	}
	s, err := Open(o)
	if err != nil {
		return crashes, err
	}
	return crashes, w.check(s)
}
