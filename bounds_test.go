package ensemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

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

// What a leader sends to a learner before it waits is its window, with one transaction beyond it, and some batches. A transport has to hold that.
func TestTransactionsFitTheTransport(t *testing.T) {
	const window, batch = 8 << 20, 256 << 10
	if window+datatree.MaxTxn+2*batch > transport.QueueBytes {
		t.Error("they may not fit")
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

// What waits in the queue has its bytes counted before the loop has seen any of it; what is withdrawn is gone at once, and leaves room.
func TestQueuedBytesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}, Transport: transport.NewMemory().Peer(1)}))
		defer n.Close()
		over := func(p *ensemble.Pending) bool {
			select {
			case <-p.Done():
			default:
				return false
			}
			if _, err := p.Wait(t.Context()); !errors.Is(err, ensemble.ErrOverloaded) {
				t.Fatal(err)
			}
			return true
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		var m runtime.MemStats
		heap := func() uint64 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		begin := heap()
		op := ensemble.SetOp{Path: "/a", Data: make([]byte, 1<<20-64)} // with what is beside it, 256 fit
		for round := range 2 {
			var waiting []*ensemble.Pending
			for i := range 300 {
				p := n.Submit(op)
				if over(p) != (i >= 256) {
					t.Fatalf("round %d: submit %d: overloaded %v", round, i, i < 256)
				}
				if i < 256 {
					waiting = append(waiting, p)
				}
			}
			if s := n.Status(); s.InFlight != 256 {
				t.Errorf("%d in flight", s.InFlight)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			if _, err := n.Sync(ctx); !errors.Is(err, ensemble.ErrNoQuorum) { // it has no bytes
				t.Error(err)
			}
			cancel()
			if _, err := n.Create(left, "/b", nil, 0); !errors.Is(err, ensemble.ErrNoQuorum) {
				t.Error(err)
			}
			if _, err := waiting[7].Wait(left); !errors.Is(err, ensemble.ErrNoQuorum) {
				t.Error(err)
			}
			if p := n.Submit(op); over(p) {
				t.Error("one has gone, and there is no room")
			} else {
				waiting[7] = p
			}
			if p := n.Submit(op); !over(p) {
				t.Error("one has gone, and there is room for two")
			}
			for _, p := range waiting {
				if _, err := p.Wait(left); !errors.Is(err, ensemble.ErrNoQuorum) || errors.Is(err, ensemble.ErrUncertain) {
					t.Fatal(err)
				}
			}
			if now := heap(); now > begin+64<<20 {
				t.Errorf("%d MiB are held of what was withdrawn", (now-begin)>>20)
			}
			runtime.KeepAlive(waiting)
		}
		if s := n.Status(); s.InFlight != 0 || n.Stats().Overloaded != 2*(44+1) {
			t.Errorf("%d in flight, %+v", s.InFlight, n.Stats())
		}
	})
}

// However much is submitted at once, at whichever member, over a network that takes its time: nobody is sent more than a transport holds, so no link is lost and no leader.
func TestManyLargeWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		resets, data := atomic.Int64{}, make([]byte, 4<<20)
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) {
			cfg.MaxData, cfg.Dir = 4<<20, "" // a disk in memory copies all of a file whenever it is synced
			cfg.Trace = &ensemble.Trace{PeerChanged: func(p ensemble.PeerChange) {
				if !p.Reachable {
					resets.Add(1)
				}
			}}
		})
		leader := c.WaitLeader()
		c.Network().SetDelay(20*time.Millisecond, 20*time.Millisecond)
		must[string](t)(c.Node(leader).Create(t.Context(), "/a", nil, ensemble.Persistent))
		for _, id := range []ensemble.ID{c.Followers()[0], leader} {
			var all []*ensemble.Pending
			for range 10 {
				all = append(all, c.Node(id).Submit(ensemble.SetOp{Path: "/a", Data: data}))
			}
			for _, p := range all {
				if _, err := p.Wait(patient(t)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := resets.Load(); n != 0 || c.Leader() != leader {
			t.Errorf("links were lost %d times, and %d leads", n, c.Leader())
		}
	})
}
