//go:build mutants

package wal

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that a log could make, and is found by the test that is named beside it, by the error that it gives.
func TestMutants(t *testing.T) {
	images := crashtest.Seeds(12, crashImages)
	bits := crashtest.Seeds(3, func(seed uint64) (n flips, err error) { return n, flipAll(seed, &n) })
	scenario := func(name string) func() error { return scenarios.Find(t, name) }
	asides := func() error {
		_, err := asideImages()
		return err
	}
	crashtest.Mutants{
		{"wal-ack-before-sync", "m1", "TestCrashImages", images, "false alarm: .* damaged record"},
		{"wal-no-dirsync", "m2", "TestCrashImages", images, "false alarm: .* the segment before it, .* is missing"},
		{"wal-sync-retried", "m3", "TestScenario/D4", scenario("D4"), "a failed sync is reported as <nil>"},
		{"wal-cut-always", "m4", "TestBitFlips", bits, "not noticed: clean"},
		{"wal-cut-always", "m4", "TestScenario/D2", scenario("D2"), "not noticed: clean"},
		{"wal-eio-is-eof", "m5", "TestScenario/D2", scenario("D2"), "unreadable, .*: not noticed"},
		{"wal-page-cache-trusted", "m6", "TestCrashImages", images, "what was recovered is not .* of the records"},
		{"wal-page-cache-trusted", "m6", "TestScenario/D20", scenario("D20"), "what was recovered is not .* of the records"},
		{"wal-purge-one-more", "m7", "TestCrashImages", images, "false alarm: .* the segment before it, .* is missing"},
		{"wal-purge-one-more", "m7", "TestScenario/D12", scenario("D12"), "false alarm: .* the segment before it, .* is missing"},
		{"wal-zero-record", "m8", "TestScenario/D2", scenario("D2"), "zero page, .*: not noticed"},
		{"wal-one-slot", "a mark written to one slot only", "TestCrashImages", images, "false alarm: .* the mark is older than this record"},
		{"wal-one-slot", "a mark written to one slot only", "TestScenario/D14", scenario("D14"), "false alarm: .* it belongs to another member or ensemble"},
		{"wal-shared-sector", "two batches in one sector", "TestCrashImages", images, "what was recovered is not .* of the records"},
		{"aside-unmarked", "a repair without a marker", "TestAsideImages", asides, "inspected: .*Dir:damaged-"},
		{"aside-marker-unsynced", "the first file moves before the marker is durable", "TestAsideImages", asides, "directory with .*damaged-"},
		{"aside-evidence-unsynced", "only one of two directories is synced after a move", "TestAsideImages", asides, "not repaired: .* what is here now is not of its making"},
		{"aside-marker-early", "the marker goes before the new mark is there", "TestAsideImages", asides, "opened with mark .*, marker false"},
		{"aside-straight", "half of the evidence looks like all of it", "TestAsideImages", asides, "not repaired: .* what is here now is not of its making"},
		{"aside-counts", "the new mark counts", "TestAsideImages", asides, "mark .*Counts:true"},
		{"aside-marker-returns", "a start that does not make durable that the marker has gone", "TestAsideImages", asides, "after the repair and a power loss: .* a repair is under way"},
	}.Test(t)
}
