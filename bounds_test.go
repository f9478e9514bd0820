package ensemble_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/transport"
)

// A request that is short, and would become a transaction that nobody can be sent, is refused; whoever leads goes on.
func TestTransactionsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		leader := c.WaitLeader()
		for i, id := range []ensemble.ID{leader, c.Followers()[0]} {
			n := c.Node(id)
			s := newSession(t, n)
			for u := range 256 {
				if err := s.AddAuth(t.Context(), "digest", fmt.Appendf(nil, "user%d:p", u)); err != nil {
					t.Fatal(err)
				}
			}
			for _, many := range []int{800, 6200} {
				var ops []ensemble.Op
				for k := range many {
					ops = append(ops, ensemble.CreateOp{Path: fmt.Sprintf("/%d-%d", i, k), ACL: []ensemble.ACL{{Perm: ensemble.PermAll, Scheme: datatree.Auth}}})
				}
				_, err := s.Multi(patient(t), ops...)
				if e, ok := errors.AsType[*ensemble.OpError](err); !ok || !errors.Is(err, ensemble.ErrTooLarge) || e.Index < 1 || e.Path == "" {
					t.Fatalf("%d creates at member %d: %v", many, id, err)
				}
				if _, err := s.Create(patient(t), fmt.Sprintf("/after%d-%d", i, many), nil, ensemble.Persistent); err != nil {
					t.Fatal(err)
				}
			}
		}
		if c.Leader() != leader || c.Node(leader).Stats().FramesDropped != 0 {
			t.Errorf("leader %d, %+v", c.Leader(), c.Node(leader).Stats())
		}
	})
}

// What one transaction may be, a transport holds for a peer, with a batch beside it; and each request without much in few bytes becomes one.
func TestTransactionsFitTheTransport(t *testing.T) {
	const batch = 256 << 10
	if datatree.MaxTxn+2*batch > transport.QueueBytes {
		t.Error("a transaction may not fit")
	}
}

// What a session says of itself goes before each of its writes, so it is bounded, too.
func TestIdentityBytesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) { cfg.MaxData = 4 << 20 })
		c.WaitLeader()
		s := newSession(t, c.Node(c.Followers()[0]))
		long := append(bytes.Repeat([]byte("u"), 65<<20), ":p"...)
		if err := s.AddAuth(t.Context(), "digest", long); !errors.Is(err, ensemble.ErrTooLarge) {
			t.Fatal(err)
		}
		if _, err := s.Create(patient(t), "/a", nil, ensemble.Persistent); err != nil {
			t.Fatal(err)
		}
		const id = len("digest") + len(":") + 28 // beside the name: the scheme, and what a digest comes to
		fits := append(bytes.Repeat([]byte("u"), 64<<10-id), ":p"...)
		if err := s.AddAuth(t.Context(), "digest", append([]byte("u"), fits...)); !errors.Is(err, ensemble.ErrTooLarge) {
			t.Fatal(err)
		}
		if err := s.AddAuth(t.Context(), "digest", fits); err != nil {
			t.Fatal(err)
		}
		if err := s.AddAuth(t.Context(), "digest", []byte("one:more")); !errors.Is(err, ensemble.ErrTooLarge) {
			t.Fatal(err)
		}
		if err := s.AddAuth(t.Context(), "digest", fits); err != nil {
			t.Errorf("what the session is already: %v", err)
		}
		if _, err := s.Create(patient(t), "/"+string(bytes.Repeat([]byte("x"), datatree.MaxPath-1)), make([]byte, 4<<20), ensemble.Persistent); err != nil {
			t.Error(err)
		}
	})
}
