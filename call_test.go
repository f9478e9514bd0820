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
		if n := h.inFlight.Load(); n != 0 {
			t.Errorf("%d calls are in flight", n)
		}
		if s.alive() != ErrClosed {
			t.Error(s.alive())
		}
	})
}
