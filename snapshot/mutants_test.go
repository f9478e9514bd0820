//go:build mutants

package snapshot

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that a store of snapshots could make, and is found by the test that is named beside it.
func TestMutants(t *testing.T) {
	images := crashtest.Seeds(16, crashImages)
	lies := crashtest.Seeds(60, func(seed uint64) (int, error) { _, damaged, err := lyingDisk(seed); return damaged, err })
	programs := crashtest.Seeds(60, runTwin)
	log := func() error { return second(journeys(150)) }
	scenario := func(name string) func() error { return scenarios.Find(t, name) }
	crashtest.Mutants{
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
	}.Test(t)
}
