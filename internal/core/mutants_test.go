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
		{"session-told-by-clock", "ids are made of the wall clock", "TestH9SessionIDsAreUnique"},
	}.Test(t)
}
