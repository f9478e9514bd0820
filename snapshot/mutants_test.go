//go:build mutants

package snapshot

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Each mutant is a mistake that a store of snapshots could make, and is found by the test that is named beside it.
func TestMutants(t *testing.T) {
	seeds := func(n uint64, f func(seed uint64) error) func() error {
		return func() error {
			for seed := range n {
				if err := f(seed); err != nil {
					return err
				}
			}
			return nil
		}
	}
	images := seeds(16, func(seed uint64) error { return second(crashImages(seed)) })
	lies := seeds(60, func(seed uint64) error { _, _, err := lyingDisk(seed); return err })
	programs := seeds(60, func(seed uint64) error { return second(runTwin(seed)) })
	scenario := func(name string) func() error {
		for _, s := range scenarios {
			if s.name == name {
				return s.run
			}
		}
		t.Fatalf("no scenario %s", name)
		return nil
	}
	log := func() error { return second(journeys(150)) }
	defer mutant.Set("")
	caught, all := 0, 0
	for _, m := range []struct {
		name, note, by string
		test           func() error
	}{
		{"snapshot-no-dirsync", "m2", "TestCrashImages", images},
		{"snapshot-no-dirsync", "m2", "TestScenario/D11", scenario("D11")},
		{"snapshot-no-sync", "renamed before it is synced", "TestCrashImages", images},
		{"snapshot-no-sync", "renamed before it is synced", "TestScenario/D11", scenario("D11")},
		{"snapshot-sync-retried", "m3", "TestScenario/D4", scenario("D4")},
		{"snapshot-purge-one-more", "m7", "TestCrashImages", images},
		{"snapshot-purge-one-more", "m7", "TestTwin", programs},
		{"snapshot-purge-one-more", "m7", "TestScenario/D12", scenario("D12")},
		{"snapshot-no-trailer", "the end is not checked", "TestLyingDisk", lies},
		{"snapshot-no-trailer", "the end is not checked", "TestTruncations", truncations},
		{"snapshot-no-trailer", "the end is not checked", "TestBitFlips", func() error { return second(bitFlips(0)) }},
		{"snapshot-no-trailer", "the end is not checked", "TestScenario/D9", scenario("D9")},
		{"snapshot-received-unasked", "used without the RESET that names it", "TestWithLog", log},
		{"snapshot-received-unasked", "used without the RESET that names it", "TestScenario/received", scenario("received")},
		{"snapshot-reset-let-go", "the log may lose the RESET too early", "TestScenario/reset", scenario("reset")},
		{"snapshot-no-dirsync", "m2", "TestWithLog", log},
		{"snapshot-across-reset", "an older history is used behind a RESET", "TestWithLog", log},
		{"snapshot-across-reset", "an older history is used behind a RESET", "TestTwin", programs},
		{"snapshot-across-reset", "an older history is used behind a RESET", "TestScenario/reset", scenario("reset")},
	} {
		mutant.Set(m.name)
		all++
		if err := m.test(); err != nil {
			caught++
			t.Logf("%-24s (%s) caught by %s: %v", m.name, m.note, m.by, err)
		} else {
			t.Errorf("%-24s (%s) not caught by %s", m.name, m.note, m.by)
		}
	}
	t.Logf("mutants caught %d/%d", caught, all)
}
