package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Who was followed in vain is not believed for longer than it takes to find that out: two voters that take turns in following it meet in between.
func TestFollowedInVain(t *testing.T) {
	for _, syncLimit := range []int{2, 10, 40} {
		m := New[*datatree.View, Result](Config{
			Self: 1, Members: []quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, InitLimit: 1000, SyncLimit: syncLimit, MaxInFlight: 10, MaxTail: 1 << 20, Window: 1 << 20, ChunkSize: 1 << 10,
			Run: zab.Incarnation{1},
		}, Recovered{Mark: zab.Mark{Ensemble: zab.EnsembleID{1}, Member: 1, Incarnation: zab.Incarnation{1}, Counts: true, Born: true}}, NewZnodes(1<<10))
		var out Output[*datatree.View, Result]
		follows := func(in Input) (asks bool) {
			m.Step(in, &out)
			for _, s := range out.Sends {
				_, is := s.Message.(*zab.FollowerInfo)
				asks = asks || is
			}
			out.Reset()
			return asks
		}
		leads := &Receive{From: 2, Message: &election.Notification{State: election.Leading, Vote: election.Vote{Leader: 2, Epoch: 1}, Round: 1, Established: 1}}
		follows(&Linked{Peer: 2})
		follows(&Tick{})
		if !follows(leads) {
			t.Fatal("an established leader is not followed")
		}
		inVain := 0
		for m.zab.Role() != zab.Looking {
			follows(&Tick{})
			inVain++
		}
		wait := 0
		for !follows(leads) && wait < 1000 {
			wait++
			if follows(&Tick{}) {
				break
			}
		}
		if wait <= inVain || wait > 10+3*syncLimit {
			t.Errorf("a leader that was followed in vain for %d ticks is not believed for %d", inVain, wait)
		}
	}
}
