//go:build mutants

package wal

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that a log could make, and is found by the test that is named beside it.
func TestMutants(t *testing.T) {
	images := crashtest.Seeds(12, crashImages)
	bits := crashtest.Seeds(3, func(seed uint64) (n flips, err error) { return n, flipAll(seed, &n) })
	scenario := func(name string) func() error { return scenarios.Find(t, name) }
	asides := func() error {
		_, err := asideImages()
		return err
	}
	crashtest.Mutants{
		{"wal-ack-before-sync", "m1", "TestCrashImages", images},
		{"wal-no-dirsync", "m2", "TestCrashImages", images},
		{"wal-sync-retried", "m3", "TestScenario/D4", scenario("D4")},
		{"wal-cut-always", "m4", "TestBitFlips", bits},
		{"wal-cut-always", "m4", "TestScenario/D2", scenario("D2")},
		{"wal-eio-is-eof", "m5", "TestScenario/D2", scenario("D2")},
		{"wal-page-cache-trusted", "m6", "TestCrashImages", images},
		{"wal-page-cache-trusted", "m6", "TestScenario/D20", scenario("D20")},
		{"wal-purge-one-more", "m7", "TestCrashImages", images},
		{"wal-purge-one-more", "m7", "TestScenario/D12", scenario("D12")},
		{"wal-zero-record", "m8", "TestScenario/D2", scenario("D2")},
		{"wal-one-slot", "a mark written to one slot only", "TestCrashImages", images},
		{"wal-one-slot", "a mark written to one slot only", "TestScenario/D14", scenario("D14")},
		{"wal-shared-sector", "two batches in one sector", "TestCrashImages", images},
		{"aside-unmarked", "a repair without a marker", "TestAsideImages", asides},
		{"aside-marker-unsynced", "the first file moves before the marker is durable", "TestAsideImages", asides},
		{"aside-evidence-unsynced", "only one of two directories is synced after a move", "TestAsideImages", asides},
		{"aside-marker-early", "the marker goes before the new mark is there", "TestAsideImages", asides},
		{"aside-straight", "half of the evidence looks like all of it", "TestAsideImages", asides},
		{"aside-counts", "the new mark counts", "TestAsideImages", asides},
		{"aside-marker-returns", "a start that does not make durable that the marker has gone", "TestAsideImages", asides},
	}.Test(t)
}
