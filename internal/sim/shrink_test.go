//go:build mutants

package sim

import (
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// What the shrinker leaves of a run fails as the run did, each time, with fewer faults, and says how.
func TestShrink(t *testing.T) {
	defer mutant.Set("")
	mutant.Set("counts-by-log") // it takes a wipe or two to show
	first := Outcome{}
	for seed := uint64(1); first.Err == nil || invariant(first.Err) != "inv/Z20"; seed++ {
		if seed > *flagMutantSeeds {
			t.Fatal("nothing to shrink")
		}
		first = Run(seed, Options{})
	}
	all := newWorld(first.Seed, Options{}).actions
	s := shrink(first)
	t.Logf("seed %d: %d of %d faults, %d of %d events, %d runs", first.Seed, len(s.actions), len(all), s.outcome.Steps, first.Steps, s.tries)
	if len(s.actions) >= len(all) || s.outcome.Faults >= first.Faults {
		t.Errorf("%d faults of %d are left, %d counted of %d", len(s.actions), len(all), s.outcome.Faults, first.Faults)
	}
	for range 2 {
		o := Run(first.Seed, Options{Config: &s.config, Actions: s.actions, Calls: s.calls})
		if o.Err == nil || invariant(o.Err) != "inv/Z20" || o.Hash != s.outcome.Hash {
			t.Errorf("what is left ends with %v", o.Err)
		}
	}
	if text := s.String(); !strings.Contains(text, "inv/Z20") || len(s.actions) > 0 && !strings.Contains(text, s.actions[0].String()) {
		t.Error(text)
	}
}
