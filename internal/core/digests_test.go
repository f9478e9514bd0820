package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// A digest may come after a snapshot and be of what was before it. What the member noted there was its former state, which is gone, and may have
// been given up for being wrong: it tells nothing of the present one.
func TestNotesEndWithTheirState(t *testing.T) {
	cfg := Config{Self: 2, Members: []quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, Run: zab.Incarnation{1}, InitLimit: 10, SyncLimit: 4}
	m := New(cfg, Recovered{}, StateMachine[*datatree.View, Result](NewZnodes(10)))
	m.digests.note(7, 1)
	if _, ok := m.digests.find(7); !ok {
		t.Fatal("nothing is noted")
	}
	host[*datatree.View, Result]{m}.Install(NewZnodes(10))
	if digest, ok := m.digests.find(7); ok || m.digests.newest() != (note{}) {
		t.Fatalf("the digest after 7 is still said to be %d", digest)
	}
	m.digests.note(9, 2)
	if n := m.digests.newest(); n != (note{9, 2}) {
		t.Fatalf("%+v", n)
	}
}
