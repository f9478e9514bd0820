//go:build mutants

package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that a member could make, and is found by the test that is named beside it, in a process of its own.
func TestMutants(t *testing.T) {
	crashtest.Processes{
		{"sync-old-round", "Sync is answered by a round that was over", "TestR2RoundUnderWay"},
		{"sync-joins-round", "Sync is answered by a round that was under way", "TestR2RoundUnderWay"},
		{"unsent-not-answered", "who has not handed a call to this leader does not know it in a commit", "TestR4CommitOfUnseenRequest"},
		{"word-outlives-role", "a leader that has left its role goes on saying that it leads, while its disk hangs", "TestScenarios/roles.txt"},
		{"weightless-aborts", "a fresher voter of weight 0 ends whoever stands", "TestScenarios/roles.txt"},
		{"session-told-by-clock", "ids are made of the wall clock", "TestH9SessionIDsAreUnique"},
	}.Test(t)
}
