package session

import (
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// A table is full, the own session of a member is about to become a client's, and that member has started anew.
func TestFullBesideAMove(t *testing.T) {
	var tab Table
	run := zab.Incarnation{1}
	if _, err := tab.Open(1, 1, run, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Open(2, 2, run, 1000); err != nil {
		t.Fatal(err)
	}
	for id := uint64(3); id <= MaxSessions; id++ {
		if err := tab.OpenFor(id, 1, run, 1000); err != nil {
			t.Fatal(err)
		}
	}
	next := uint64(MaxSessions + 2)
	tab.ClaimMove(2)                                       // member 1 resumes member 2's own session: outstanding
	ends, ok := tab.FreshOpen(next, 2, zab.Incarnation{2}) // member 2 has started anew
	if ends != 0 {
		t.Errorf("it ends %d", ends)
	}
	if !ok { // what is not proposed breaks nothing
		return
	}
	tab.ClaimOpen(next, 2, zab.Incarnation{2})
	if _, err := tab.Move(2, 1, run); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Open(next, 2, zab.Incarnation{2}, 1000); err != nil {
		t.Errorf("what was proposed cannot be applied by anybody: %v", err)
	}
}
