package datatree

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Several goroutines wait for one subscription. One transaction has an event for each; the end of the wait is told to all.
func TestSeveralWaitForOne(t *testing.T) {
	const waiters = 5
	synctest.Test(t, func(t *testing.T) {
		tree := New(testMax)
		feed := tree.Feed(100, 1)
		must(t, tree, CreateOp{Path: "/a"})
		var s Subscription
		feed.Subscribe(&s, nil, "/a", WatchTree)
		var stop atomic.Bool
		var took, looked [waiters]int
		for i := range waiters {
			go func() {
				for !stop.Load() {
					w := s.Wait()
					sleep := !s.Ready() && !stop.Load()
					if sleep {
						<-w.C()
						looked[i]++
					}
					w.Done(sleep)
					if _, ok, err := nextOf(&s); err != nil {
						t.Error(err)
					} else if ok {
						took[i]++
					}
				}
			}()
		}
		ring := func() {
			for _, b := range feed.Rung() {
				b.Ring()
			}
			synctest.Wait()
		}
		total := func(all *[waiters]int) (n int) {
			for _, x := range all {
				n += x
			}
			return n
		}
		synctest.Wait()
		for round := range 3 {
			var ops []Op
			for i := range waiters {
				ops = append(ops, CreateOp{Path: fmt.Sprintf("/a/%d-%d", round, i)})
			}
			must(t, tree, ops...)
			ring()
			if n := total(&took); n != (round+1)*waiters {
				t.Fatalf("%d events were taken in %d rounds", n, round+1)
			}
		}
		before := looked
		ring() // nothing
		if looked != before {
			t.Error("somebody was woken for nothing")
		}
		s.Wake()
		synctest.Wait()
		if n := total(&looked) - total(&before); n < waiters || n > 2*waiters {
			t.Errorf("%d were woken of %d", n, waiters)
		}
		stop.Store(true)
		s.Wake()
		synctest.Wait() // or the bubble ends with goroutines left
	})
}

// Whoever waited in vain and left is not kept.
func TestBellsOfThoseWhoLeft(t *testing.T) {
	tree := New(testMax)
	feed := tree.Feed(100, 1)
	var stays Subscription
	feed.Subscribe(&stays, nil, "/a", WatchNode)
	waits := stays.Wait()
	for range 100 {
		var s Subscription
		feed.Subscribe(&s, nil, "/a", WatchNode)
		s.Wait().Done(false)
		feed.Unsubscribe(&s)
	}
	n := 0
	for b := stays.topic.bells.Load(); b != nil; b = b.next {
		n++
	}
	if n > 3 {
		t.Errorf("%d bells", n)
	}
	must(t, tree, CreateOp{Path: "/a"})
	for _, b := range feed.Rung() {
		b.Ring()
	}
	select {
	case <-waits.C():
	default:
		t.Error("who stays was not woken")
	}
}
