//go:build mutants

package sim

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// mutants are seeded bugs: each changes one decision in product code, and the invariants named beforehand, separated by spaces, must catch it.
var mutants = []struct{ name, want, note string }{
	{"ack-before-durable", "inv/Z11", "m1"},
	{"newleader-acked-early", "inv/Z11 inv/Z2", "m9"},
	{"promise-volatile", "inv/Z2", "m11"},
	{"promise-twice", "inv/Z2", "model-check 3"},
	{"commits-before-uptodate-dropped", "inv/LIVE inv/C6 inv/Z15", "m13"},
	{"ack-after-promise", "inv/Z11", "model-check 3"},
	{"commit-believed-early", "inv/Z5 inv/Z6 inv/Z14", "a commit position believed before UPTODATE"},
	{"old-snapshot", "inv/Z12", "F3"},
	{"apply-uncommitted", "inv/Z14 inv/Z6", "reads of what is not committed"},
	{"blank-confirms", "inv/Z15", "model-check 3"},
	{"blank-counts", "inv/Z2 inv/Z10 inv/Z11", "model-check 3"},
	{"no-freshness", "inv/Z9 inv/Z5 inv/Z12", "model-check 3"},
	{"no-epoch-in-freshness", "inv/Z9 inv/Z5 inv/Z12", "m23"},
	{"no-proposals-before-uptodate", "inv/Z4 inv/END inv/LIVE inv/Z15", "m12"},
	{"no-step-down", "inv/Z15", "m24"},
	{"old-session", "inv/Z10 inv/DUR inv/Z5", "m18"},
	{"readmit-at-once", "inv/Z10", "model-check 3"},
	{"readmit-counts-itself", "inv/Z10", "model-check 3"},
	{"rollover-ignored", "inv/Z4 inv/Z7", "m21"},
}

// mutantSeeds is how many seeds a mutant may survive.
const mutantSeeds = 600

func TestMutants(t *testing.T) {
	defer mutant.Set("")
	caught := 0
	for _, m := range mutants {
		mutant.Set(m.name)
		var mu sync.Mutex
		var next, left atomic.Int64
		left.Store(mutantSeeds)
		others := map[string]int{}
		found, by := uint64(0), ""
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for {
					seed := uint64(next.Add(1))
					mu.Lock()
					stop := found != 0
					mu.Unlock()
					if seed > mutantSeeds || stop {
						return
					}
					o := Run(seed, Options{})
					if o.Err == nil {
						continue
					}
					mu.Lock()
					if id := invariant(o.Err); strings.Contains(m.want+" ", id+" ") {
						if found == 0 || seed < found {
							found, by = seed, id
						}
					} else {
						others[id]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if found == 0 {
			t.Errorf("%-34s (%s) not caught by %s in %d seeds; others: %v", m.name, m.note, m.want, mutantSeeds, others)
			continue
		}
		caught++
		t.Logf("%-34s (%s) caught by %s after %d seeds; before it: %v", m.name, m.note, by, found, others)
	}
	t.Logf("mutants caught %d/%d", caught, len(mutants))
}
