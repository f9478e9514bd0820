package ensemble_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// workers are clients that come and go: each opens a session at some member, writes, fights for a lock by an ephemeral, moves, and closes or is forgotten.
type workers struct {
	t     *testing.T
	c     *ensembletest.Cluster
	stop  context.Context
	names sync.Map // sequential names that were acknowledged

	holder                                                      atomic.Int64 // of the lock: whose Context has not ended
	sum, uncertain, held, moved, ended, writes, refused, opened atomic.Int64
}

// Whatever happens to members and links: two sessions never believe to hold the same ephemeral, increments are exact, no name is given twice, a
// session's writes are decided in order, and no ephemeral outlives its session.
func TestSessionsUnderFaults(t *testing.T) {
	var held, moved, ended, uncertain, writes int64
	seeds := uint64(6)
	if raced {
		seeds = 3
	}
	for seed := range seeds {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 6))
			n := 3 + 2*int(seed%2)
			c := ensembletest.New(t, n)
			stop, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			w := &workers{t: t, c: c, stop: stop}
			must[string](t)(c.Node(1).Create(t.Context(), "/counter", make([]byte, 8), 0))
			must[string](t)(c.Node(1).Create(t.Context(), "/names", nil, 0))
			var group sync.WaitGroup
			for id := range 6 {
				seed := r.Uint64()
				group.Go(func() { w.work(int64(id+1), rand.New(rand.NewPCG(seed, 1))) })
			}
			w.faults(r, n)
			group.Wait()
			w.settled()
			held, moved, ended = held+w.held.Load(), moved+w.moved.Load(), ended+w.ended.Load()
			uncertain, writes = uncertain+w.uncertain.Load(), writes+w.writes.Load()
		})
	}
	t.Logf("%d writes, %d uncertain; the lock was held %d times, sessions moved %d times and ended %d times under their owners", writes, uncertain, held, moved, ended)
	if n := int64(seeds); held < 8*n || moved < 3*n || ended < 3*n || writes < 150*n {
		t.Error("it was too tame")
	}
}

// faults goes on until the work stops, and mends everything then.
func (w *workers) faults(r *rand.Rand, n int) {
	down := ensemble.ID(0)
	for w.stop.Err() == nil {
		id := ensemble.ID(r.IntN(n) + 1)
		switch r.IntN(7) {
		case 0:
			w.c.Isolate(id)
		case 1, 2:
			w.c.Heal()
		case 3, 4:
			if down == 0 {
				down = id
				w.c.Crash(id)
			} else {
				w.c.Restart(down)
				down = 0
			}
		case 5:
			ids := make([]ensemble.ID, n)
			for i, p := range r.Perm(n) {
				ids[i] = ensemble.ID(p + 1)
			}
			w.c.Partition(ids[:n/2], ids[n/2:])
		case 6:
			ctx, cancel := context.WithTimeout(w.stop, time.Second)
			w.c.Node(id).Transfer(ctx, 0)
			cancel()
		}
		pause, cancel := context.WithTimeout(w.stop, time.Duration(r.IntN(1500))*time.Millisecond)
		<-pause.Done()
		cancel()
	}
	w.c.Heal()
	if down != 0 {
		w.c.Restart(down)
	}
}

// work is one client after the other.
func (w *workers) work(id int64, r *rand.Rand) {
	any := func() *ensemble.Node { return w.c.Node(ensemble.ID(r.IntN(3) + 1)) }
	for w.stop.Err() == nil {
		ctx, cancel := context.WithTimeout(w.stop, 3*time.Second)
		s, err := any().NewSession(ctx, ensemble.SessionOptions{Timeout: time.Duration(500+r.IntN(1500)) * time.Millisecond})
		if err != nil {
			cancel()
			w.pause(r, 50)
			continue
		}
		w.opened.Add(1)
		for range r.IntN(12) {
			w.pause(r, 300)
			w.write(ctx, s, r)
			w.lock(ctx, s, r, id)
			if r.IntN(6) == 0 {
				if next, err := any().ResumeSession(ctx, s.ID(), s.Password()); err == nil {
					if next.ID() != s.ID() {
						w.t.Errorf("session %x instead of %x", next.ID(), s.ID())
					}
					s = next
					w.moved.Add(1)
				}
			}
		}
		cancel()
		w.pause(r, 300)
		switch {
		case s.Context().Err() != nil:
			w.ended.Add(1)
		case r.IntN(2) == 0:
			ctx, cancel := context.WithTimeout(w.stop, time.Second)
			s.Close(ctx)
			cancel()
			if s.Context().Err() == nil {
				w.t.Error("a closed session has a Context")
			}
		}
	}
}

func (w *workers) pause(r *rand.Rand, ms int) {
	ctx, cancel := context.WithTimeout(w.stop, time.Duration(r.IntN(ms))*time.Millisecond)
	<-ctx.Done()
	cancel()
}

// write increments the counter and takes some names.
func (w *workers) write(ctx context.Context, s *ensemble.Session, r *rand.Rand) {
	z, err := s.Get(ctx, "/counter")
	if err == nil {
		next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(z.Data)+1)
		_, err := s.Set(ctx, "/counter", next, z.Stat.Version)
		switch {
		case err == nil:
			w.sum.Add(1)
		case errors.Is(err, ensemble.ErrUncertain):
			w.uncertain.Add(1)
		}
		w.writes.Add(1)
	}
	var pending []*ensemble.Pending
	for range r.IntN(8) {
		pending = append(pending, s.Submit(ensemble.CreateOp{Path: "/names/n-", Mode: ensemble.Sequential}))
	}
	last, lost := "", false
	for _, p := range pending {
		result, err := p.Wait(ctx)
		switch {
		case err != nil:
			lost = true
		case lost:
			w.t.Error("a write was made after one of its session that was not")
		case result.Path <= last:
			w.t.Errorf("%s after %s", result.Path, last)
		default:
			last = result.Path
			if _, twice := w.names.LoadOrStore(last, true); twice {
				w.t.Errorf("%s was given twice", last)
			}
		}
		if err != nil && ctx.Err() != nil {
			return // it may have been made
		}
	}
}

// lock holds what an ephemeral stands for, for as long as the session's Context lasts.
func (w *workers) lock(ctx context.Context, s *ensemble.Session, r *rand.Rand, id int64) {
	_, err := s.Create(ctx, "/lock", nil, ensemble.Ephemeral)
	if err != nil || s.Context().Err() != nil {
		w.refused.Add(1)
		return
	}
	if was := w.holder.Swap(id); was != 0 {
		w.t.Errorf("clients %d and %d believe to hold the lock", was, id)
	}
	w.held.Add(1)
	long := 300 + 4000*r.IntN(2) // some longer than any timeout
	hold, cancel := context.WithTimeout(s.Context(), time.Duration(r.IntN(long))*time.Millisecond)
	<-hold.Done()
	cancel()
	w.holder.CompareAndSwap(id, 0)
	if s.Context().Err() == nil {
		s.Delete(ctx, "/lock", ensemble.AnyVersion)
		if ctx.Err() != nil { // it may be there still, or be deleted later: the session is of no more use
			closing, cancel := context.WithTimeout(w.stop, time.Second)
			s.Close(closing)
			cancel()
		}
	}
}

// settled looks at what is left when all is mended.
func (w *workers) settled() {
	t := w.t
	n := w.c.Node(w.c.WaitLeader())
	wait(t, 30*time.Second)
	value := int64(-1)
	for id := ensemble.ID(1); id <= 3; id++ {
		n = w.c.Node(id)
		must[ensemble.Zxid](t)(n.Sync(t.Context()))
		z := must[ensemble.Znode](t)(n.Get(t.Context(), "/counter"))
		if v := int64(binary.BigEndian.Uint64(z.Data)); value >= 0 && v != value {
			t.Errorf("member %d has %d, another %d", id, v, value)
		} else {
			value = v
		}
	}
	if sum := w.sum.Load(); value < sum || value > sum+w.uncertain.Load() {
		t.Errorf("the counter is %d after %d increments and %d uncertain ones", value, sum, w.uncertain.Load())
	}
	there := map[string]bool{}
	for _, name := range must[[]string](t)(n.Children(t.Context(), "/names")) {
		there["/names/"+name] = true
	}
	w.names.Range(func(name, _ any) bool {
		if !there[name.(string)] {
			t.Errorf("%v was acknowledged and is not there", name)
		}
		return true
	})
	// Sessions that were forgotten, not closed, are renewed by the nodes that serve them, if these still run. Their ephemerals may be there; those of others not.
	if names := must[[]string](t)(n.Children(t.Context(), "/")); slices.Contains(names, "lock") {
		z := must[ensemble.Znode](t)(n.Get(t.Context(), "/lock"))
		if z.Stat.EphemeralOwner == 0 || strings.Contains(fmt.Sprint(names), "lock-") {
			t.Errorf("what is left: %v, of %x", names, z.Stat.EphemeralOwner)
		}
	}
}
