//go:build mutants

package ensemble_test

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that the writer could make, and is found by the test that is named beside it.
func TestMutants(t *testing.T) {
	crashtest.Mutants{
		{"reset-before-snapshot", "a RESET is durable before the snapshot that it names", "TestPowerLossAtEachStepOfReceiving", func() error { return powerLossWhileReceiving(t) }},
		{"failed-batch-told", "what could not be written is told as durable", "TestFailedSyncIsNoAcknowledgement", func() error { return failedSync(t) }},
	}.Test(t)
}
