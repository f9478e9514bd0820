//go:build mutants

package election

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// The mutant is a mistake that is too rare in the simulator's seeds: it takes an election in which a link dies and no transport tells.
func TestMutants(t *testing.T) {
	crashtest.Processes{
		{"silent-vote-kept", "who was cut off in an election is voted for, and nobody else, for as long as no transport tells that its link is dead", "TestScenarios/faults.txt", "it is voted for until it has been silent for two resends"},
	}.Test(t)
}
