package ensembletest_test

import (
	"testing"
	"testing/synctest"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// failover is a test of a host's own: what was acknowledged survives the power loss of the leader. TestExample runs it.
func failover(t *testing.T) {
	c := ensembletest.New(t, 3)
	leader := c.WaitLeader()
	if _, err := c.Node(leader).Create(t.Context(), "/job", []byte("mine"), ensemble.Persistent); err != nil {
		t.Fatal(err)
	}
	c.Crash(leader)
	n := c.Node(c.WaitLeader()) // another one
	if _, err := n.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	z, err := n.Get(t.Context(), "/job")
	if err != nil || string(z.Data) != "mine" {
		t.Errorf("%q, %v", z.Data, err)
	}
	c.Restart(leader)
}

// A test in virtual time, where the failover takes milliseconds.
func Example() {
	_ = func(t *testing.T) { // func TestFailover(t *testing.T)
		synctest.Test(t, failover)
	}
	// Output:
}
