//go:build mutants

package snapshot

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that a store of snapshots could make, and is found by the test that is named beside it, by the error that it gives.
func TestMutants(t *testing.T) {
	images := crashtest.Seeds(16, crashImages)
	lies := crashtest.Seeds(60, func(seed uint64) (int, error) { _, damaged, err := lyingDisk(seed); return damaged, err })
	programs := crashtest.Seeds(60, runTwin)
	log := func() error { return second(journeys(150)) }
	scenario := func(name string) func() error { return scenarios.Find(t, name) }
	crashtest.Mutants{
		{"snapshot-no-dirsync", "m2", "TestCrashImages", images, "was installed and is gone"},
		{"snapshot-no-dirsync", "m2", "TestScenario/D11", scenario("D11"), "was installed and is gone"},
		{"snapshot-no-sync", "renamed before it is synced", "TestCrashImages", images, "false alarm: .* no trailer"},
		{"snapshot-no-sync", "renamed before it is synced", "TestScenario/D11", scenario("D11"), "false alarm: .* no such header"},
		{"snapshot-sync-retried", "m3", "TestScenario/D4", scenario("D4"), "sync 0: written, with <nil>"},
		{"snapshot-purge-one-more", "m7", "TestCrashImages", images, "the log is to be kept from"},
		{"snapshot-purge-one-more", "m7", "TestTwin", programs, "the log is to be kept from"},
		{"snapshot-purge-one-more", "m7", "TestScenario/D12", scenario("D12"), `kept \[.*\], oldest`},
		{"snapshot-no-trailer", "the end is not checked", "TestLyingDisk", lies, "chunks: wrong bytes"},
		{"snapshot-no-trailer", "the end is not checked", "TestTruncations", truncations, "as a stream: .* chunks: wrong bytes"},
		{"snapshot-no-trailer", "the end is not checked", "TestBitFlips", func() error { return second(bitFlips(0)) }, "as a stream: .* chunks: wrong bytes"},
		{"snapshot-no-trailer", "the end is not checked", "TestScenario/D9", scenario("D9"), "without trailer: loaded"},
		{"snapshot-received-unasked", "used without the RESET that names it", "TestWithLog", log, "the state at .* is another"},
		{"snapshot-received-unasked", "used without the RESET that names it", "TestScenario/received", scenario("received"), "loaded 0.6"},
		{"snapshot-reset-let-go", "the log may lose the RESET too early", "TestScenario/reset", scenario("reset"), `\[.*\] kept, from`},
		{"snapshot-no-dirsync", "m2", "TestWithLog", log, "the log needs one from .* made after it"},
		{"snapshot-across-reset", "an older history is used behind a RESET", "TestWithLog", log, "the state at .* is another"},
		{"snapshot-across-reset", "an older history is used behind a RESET", "TestTwin", programs, "the log is to be kept from"},
		{"snapshot-across-reset", "an older history is used behind a RESET", "TestScenario/reset", scenario("reset"), "loaded, with <nil>"},
	}.Test(t)
}
