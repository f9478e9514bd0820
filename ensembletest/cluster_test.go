package ensembletest_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// What Example shows does what it says.
func TestExample(t *testing.T) { synctest.Test(t, failover) }

func TestCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.New(t, 5)
		leader := c.WaitLeader()
		if leader != c.Leader() || len(c.Followers()) != 4 || slices.Contains(c.Followers(), leader) {
			t.Fatalf("leader %d, followers %v", leader, c.Followers())
		}
		// The minority with the old leader does not write, the majority does.
		followers := c.Followers()
		c.Partition([]ensemble.ID{leader, followers[0]}, followers[1:])
		if _, err := c.Node(followers[2]).Create(t.Context(), "/a", nil, 0); err != nil {
			t.Fatal(err)
		}
		if l := c.WaitLeader(); !slices.Contains(followers[1:], l) {
			t.Fatalf("%d leads, of the minority", l)
		}
		late := c.Node(leader).Submit(ensemble.CreateOp{Path: "/b"})
		c.Heal()
		if _, err := late.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Isolate(followers[3])
		c.Crash(c.WaitLeader())
		n := c.Node(c.WaitLeader())
		if names, err := n.Children(t.Context(), "/"); err != nil || !slices.Equal(names, []string{"a", "b", "zookeeper"}) {
			t.Fatal(names, err)
		}
		if c.Network() == nil {
			t.Fatal("no network")
		}
	})
}

// Outside of a bubble it works in real time.
func TestRealTime(t *testing.T) {
	c := ensembletest.New(t, 3)
	c.Wipe(c.WaitLeader())
	c.WaitLeader()
	for id := ensemble.ID(1); id <= 3; id++ {
		if c.Node(id).Status().Role == ensemble.Stopped {
			if err := c.Restart(id).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
