package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	flagSeeds  = flag.Int("seeds", 60, "seeds of TestSeeds")
	flagFirst  = flag.Uint64("first", 1, "the first of them")
	flagSeed   = flag.Uint64("seed", 1, "the seed of TestSeed")
	flagTwice  = flag.Bool("twice", false, "run every seed twice, not each tenth")
	flagTrace  = flag.Bool("trace", false, "print every event")
	flagShrink = flag.Bool("shrink", false, "look for a shorter list of faults")
	flagKeep   = flag.Bool("keep", false, "go on after a failure")
)

const replay = "go test ./internal/sim -run 'TestSeed$' -v -args -seed %#x"

func report(o Outcome) string {
	return fmt.Sprintf("seed %#x: %v\nlast events:\n%s\nreplay: "+replay, o.Seed, o.Err, strings.Join(o.Last, "\n"), o.Seed)
}

// TestMain lets the heap, which is small, grow a little: collecting it again and again costs a quarter of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

func TestSeeds(t *testing.T) {
	seeds := *flagSeeds
	var next atomic.Int64
	var mu sync.Mutex
	var sum Outcome
	var busy time.Duration
	longest := uint64(0)
	failures := map[string]int{}
	var first *Outcome
	began := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= seeds {
					return
				}
				mu.Lock()
				stop := first != nil && !*flagKeep
				mu.Unlock()
				if stop {
					return
				}
				seed := *flagFirst + uint64(i)
				at := time.Now()
				o := Run(seed, Options{})
				took := time.Since(at)
				if *flagTwice || i%10 == 0 {
					if again := Run(seed, Options{}); again.Hash != o.Hash && o.Err == nil {
						o.Err = fmt.Errorf("inv/SAME: two runs of the seed have hashes %x and %x", o.Hash, again.Hash)
					}
				}
				mu.Lock()
				sum.Faults += o.Faults
				sum.Wipes += o.Wipes
				sum.Steps += o.Steps
				longest = max(longest, o.Steps)
				sum.Writes += o.Writes
				sum.Time += o.Time
				busy += took
				for k, n := range o.Cover {
					sum.Cover[k] += n
				}
				for k, n := range o.Kinds {
					sum.Kinds[k] += n
				}
				if o.Err != nil {
					failures[invariant(o.Err)]++
					if first == nil || o.Seed < first.Seed {
						first = &o
					}
					if *flagKeep {
						line, _, _ := strings.Cut(o.Err.Error(), "\n")
						t.Logf("seed %#x: %s", o.Seed, line)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds, %d faults, %d wipes, %d events (in one seed at most %d), %d writes, %.0f virtual seconds in %v; %.0f events per second and core",
		seeds, sum.Faults, sum.Wipes, sum.Steps, longest, sum.Writes, float64(sum.Time)/1e9, time.Since(began).Round(time.Millisecond), float64(sum.Steps)/busy.Seconds())
	var kinds []string
	for k, n := range sum.Kinds {
		kinds = append(kinds, fmt.Sprintf("%s %d", faultNames[k], n))
	}
	t.Log("faults: " + strings.Join(kinds, ", "))
	for k, g := range goals {
		t.Logf("reached %7d  %s", sum.Cover[k], g.name)
	}
	if first != nil {
		t.Fatalf("failures: %v\n%s", failures, report(*first))
	}
	if missed := tame(&sum.Cover, seeds); len(missed) > 0 && seeds >= 60 {
		t.Errorf("too tame; hardly reached: %s", strings.Join(missed, ", "))
	}
}

func TestSeed(t *testing.T) {
	w := newWorld(*flagSeed, Options{})
	if *flagTrace {
		w.Out = func(s string) { fmt.Println(s) }
	}
	o := w.run()
	t.Logf("config %+v", w.cfg)
	t.Logf("%d faults, %d events, %d writes, hash %016x", o.Faults, o.Steps, o.Writes, o.Hash)
	if o.Err == nil {
		return
	}
	if *flagShrink {
		t.Log(shrink(o))
	}
	t.Fatal(report(o))
}
