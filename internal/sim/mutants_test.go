//go:build mutants

package sim

import (
	"flag"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// mutants are seeded bugs: each changes one decision in product code, and one of the invariants named, separated by spaces, must catch it. Those of
// no-freshness, no-epoch-in-freshness, rollover-ignored, no-quorum-awaited and promise-before-born were named after the first run that found them.
var mutants = []struct{ name, want, note string }{
	{"ack-before-durable", "inv/Z11", "m1"},
	{"newleader-acked-early", "inv/Z11 inv/Z2", "m9"},
	{"join-before-history", "inv/DUR inv/Z9", "m10: joined epoch before history"},
	{"promise-volatile", "inv/Z2", "m11"},
	{"promise-twice", "inv/Z2", "model-check 3"},
	{"no-proposals-before-uptodate", "inv/Z4 inv/END inv/LIVE inv/Z15", "m12"},
	{"speculation-kept", "inv/Z16 inv/C3 inv/C4", "m16, nearest: state speculated in a role that ended"},
	{"ack-before-join-counts", "inv/Z10", "m19, nearest: acks of one who has not joined"},
	{"blank-counts", "inv/Z2 inv/Z10 inv/Z11", "m20, nearest; model-check 3"},
	{"blank-establishes", "inv/Z10", "model-check 3, at the initial history"},
	{"old-snapshot", "inv/Z12", "F3"},
	{"blank-confirms", "inv/Z15", "model-check 3"},
	{"readmit-at-once", "inv/Z10", "model-check 3"},
	{"no-freshness", "inv/Z9 inv/Z5 inv/Z12 inv/DUR", "model-check 3"},
	{"no-epoch-in-freshness", "inv/Z9 inv/Z5 inv/Z12 inv/DUR inv/LIVE", "model-check 3, by zxid"},
	{"rollover-ignored", "inv/Z4 inv/Z7 inv/LIVE", "m21"},
	{"no-step-down", "inv/Z15", "m24"},
	{"any-founder-draws", "inv/LIVE inv/LINK", "model-check 3"},
	{"promise-before-born", "inv/LIVE", "model-check 3, epochs before all have initialised"},
	{"retry-judged-anew", "inv/C1", "a retry judged anew"},
	{"old-connection", "inv/Z19", "m18: frames of a former link accepted"},
	{"apply-uncommitted", "inv/Z14 inv/Z6", "own: a renewing leader applies what is only durable"},
	{"zxid-first", "inv/LIVE", "m23: votes compared without epoch"},
	{"id-only", "inv/LIVE", "own, election: votes compared by id"},
	{"stale-round-kept", "inv/LIVE", "own, election: a later round is not joined"},
	{"settled-is-silent", "inv/LIVE", "own, election: who has a leader does not answer"},
	{"no-resend", "inv/LIVE", "own, election: a vote is told once"},
	{"no-quorum-awaited", "inv/Z15 inv/LIVE", "own, election: decides without a quorum"},
}

var flagMutant = flag.String("mutant", "", "the only mutant of TestMutants")

// mutantSeeds is how many seeds a mutant may survive.
const mutantSeeds = 600

func TestMutants(t *testing.T) {
	defer mutant.Set("")
	caught, of := 0, 0
	for _, m := range mutants {
		if *flagMutant != "" && m.name != *flagMutant {
			continue
		}
		of++
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
					if id := invariant(o.Err); slices.Contains(strings.Fields(m.want), id) {
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
	t.Logf("mutants caught %d/%d", caught, of)
}
