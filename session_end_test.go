package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/transport"
)

// A Close that is handed to nobody, since its ctx is over as in a deferred one: nobody renews the session, and it ends after its timeout. The node has its next.
func TestCloseWithEndedContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		n := c.Node(c.WaitLeader())
		s := newSession(t, n)
		ephemeral(t, s, "/e")
		own := n.Session()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(ctx); !errors.Is(err, ensemble.ErrNoQuorum) {
			t.Fatal(err)
		}
		if err := own.Close(ctx); !errors.Is(err, ensemble.ErrNoQuorum) {
			t.Fatal(err)
		}
		wait(t, 5*time.Minute)
		if exists(t, n, "/e") {
			t.Error("the ephemeral is there five minutes later")
		}
		if n.Session().Context().Err() != nil {
			t.Error("the node has no next session of its own")
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The same, when ctx ends before the node is ready again.
func TestCloseWithdrawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		n := c.Node(c.Followers()[0])
		s := must[*ensemble.Session](t)(n.NewSession(t.Context(), ensemble.SessionOptions{Timeout: 10 * time.Second}))
		ephemeral(t, s, "/e")
		c.Isolate(n.Status().ID)
		wait(t, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := s.Close(ctx); !errors.Is(err, ensemble.ErrNoQuorum) {
			t.Error(err)
		}
		cancel()
		c.Heal()
		wait(t, 5*time.Minute)
		if exists(t, n, "/e") {
			t.Error("the ephemeral is there five minutes later")
		}
	})
}

// A session that was given up here and lives elsewhere is not closed from here, and Close says so.
func TestCloseOfLapsedAndMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		a, b := c.Node(c.Followers()[0]), c.Node(c.Followers()[1])
		s := newSession(t, a)
		ephemeral(t, s, "/e")
		c.Isolate(a.Status().ID)
		next := must[*ensemble.Session](t)(b.ResumeSession(t.Context(), s.ID(), s.Password()))
		wantCause(t, s, ensemble.ErrNoQuorum)
		c.Heal()
		must[ensemble.Zxid](t)(a.Sync(t.Context()))
		if err := s.Close(t.Context()); !errors.Is(err, ensemble.ErrSessionMoved) {
			t.Errorf("Close of a session that is served elsewhere: %v", err)
		}
		if next.Context().Err() != nil || !exists(t, b, "/e") {
			t.Error("closed elsewhere")
		}
	})
}

// Nor does a session that was given up meanwhile.
func TestShutdownWithoutQuorum(t *testing.T) {
	for _, before := range []time.Duration{time.Second, 10 * time.Second} {
		bubble(t, func(t *testing.T) {
			c := ensembletest.New(t, 3)
			c.WaitLeader()
			a := c.Node(c.Followers()[0])
			wait(t, time.Second)
			c.Isolate(a.Status().ID)
			wait(t, before)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			begin := time.Now()
			if err := a.Shutdown(ctx); err != nil {
				t.Errorf("%v after the cut: %v after %v", before, err, time.Since(begin))
			}
		})
	}
}

// What the node itself has asked for, and nobody can answer, does not hold Shutdown up.
func TestShutdownBesideReaps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		l := c.WaitLeader()
		n := c.Node(l)
		must[ensemble.Result](t)(n.Do(t.Context(), ensemble.CreateOp{Path: "/t", TTL: 2 * time.Second}))
		wait(t, 1900*time.Millisecond)
		c.Isolate(l)
		wait(t, 5*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

// Ready waits for the first session of the node.
func TestSessionAfterReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := transport.NewMemory()
		net.SetDelay(20*time.Millisecond, 20*time.Millisecond)
		members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
		var nodes []*ensemble.Node
		for _, m := range members {
			n, err := ensemble.Open(t.Context(), ensemble.Config{ID: m.ID, Members: members, Transport: net.Peer(m.ID)})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			nodes = append(nodes, n)
		}
		for _, n := range nodes {
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := n.Session()
			if s.ID() == 0 || s.Context().Err() != nil {
				_, err := s.Create(t.Context(), "/x", nil, ensemble.Ephemeral)
				t.Errorf("ready, and its session is %x: %v; a write on it: %v", s.ID(), s.Context().Err(), err)
			}
		}
	})
}

// A session has a bounded number of identities; the one that is too many is refused, and not the writes after it.
func TestIdentitiesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 1)
		s := newSession(t, c.Node(1))
		for i := range 256 {
			if err := s.AddAuth(t.Context(), "digest", fmt.Appendf(nil, "u%d:p", i)); err != nil {
				t.Fatal(i, err)
			}
		}
		if err := s.AddAuth(t.Context(), "digest", []byte("one:more")); !errors.Is(err, ensemble.ErrTooLarge) {
			t.Error(err)
		}
		if _, err := s.Create(t.Context(), "/x", nil, 0); err != nil {
			t.Error(err)
		}
	})
}
