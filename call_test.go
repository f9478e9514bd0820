package ensemble

import (
	"testing"
	"testing/synctest"
	"time"
)

// A Shutdown beside a Close, or a failure, finds that nobody takes calls any more, and does not wait for an answer to one.
func TestEndOwnOfAClosedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{cfg: Config{Tick: 50 * time.Millisecond, SyncLimit: 10}, wake: make(chan struct{}, 1)}
		s := &Session{id: 1, own: true}
		s.client = client{h, s}
		h.session.Store(s)
		h.queue.closed = true
		begin := time.Now()
		h.endOwn(t.Context())
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %v", took)
		}
		if n := h.inFlight.calls(); n != 0 {
			t.Errorf("%d calls are in flight", n)
		}
		if s.alive() != ErrClosed {
			t.Error(s.alive())
		}
	})
}

// A call on the node's own session that is made when its Context has ended is made on the next one, whether the node's goroutine has been told of the end or not.
func TestCallAfterTheOwnSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := Open(t.Context(), Config{ID: 1, Members: []Member{{ID: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			own := n.h.session.Load()
			own.end(ErrNoQuorum) // as lapse does first
			path, err := n.Create(t.Context(), "/e-", nil, Ephemeral|Sequential)
			if err != nil {
				t.Fatal(err)
			}
			own.lapse()
			<-time.After(time.Minute)
			z, err := n.Get(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if next := n.Session(); SessionID(z.Stat.EphemeralOwner) != next.ID() || next.ID() == own.ID() || next.Context().Err() != nil {
				t.Fatalf("the node's own session is %x after %x, and the ephemeral is of %x", next.ID(), own.ID(), z.Stat.EphemeralOwner)
			}
		}
	})
}
