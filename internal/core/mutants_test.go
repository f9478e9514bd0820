//go:build mutants

package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that a member could make, and is found by the test that is named beside it, in a process of its own, and by what that test says.
func TestMutants(t *testing.T) {
	crashtest.Processes{
		{"sync-old-round", "Sync is answered by a round that was over", "TestR2RoundUnderWay", "a round that began before it was asked for confirms"},
		{"sync-joins-round", "Sync is answered by a round that was under way", "TestR2RoundUnderWay", "a round that began before it was asked for confirms"},
		{"unsent-not-answered", "who has not handed a call to this leader does not know it in a commit", "TestR4CommitOfUnseenRequest", "request 3 of session .* was decided, and 1 is the next to be"},
		{"session-told-by-clock", "ids are made of the wall clock", "TestH9SessionIDsAreUnique", "comes twice"},
	}.Test(t)
}
