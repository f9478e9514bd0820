package ensemble_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// BenchmarkWatchFanOut sets a znode that 10 000 watchers watch, at the leader of three members in memory, and measures from the call of Set, which waits for a quorum,
// until the last of them has its event: read one after the other by one goroutine, or waited for by 10 000 goroutines, which the scheduler has to bring to their
// processors and back.
func BenchmarkWatchFanOut(b *testing.B) {
	const watchers = 10_000
	for _, readers := range []int{1, watchers} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			c := ensembletest.New(b, 3)
			n, ctx := c.Node(c.WaitLeader()), b.Context()
			if _, err := n.Create(ctx, "/a", nil, ensemble.Persistent); err != nil {
				b.Fatal(err)
			}
			var told atomic.Int64
			last := make(chan time.Time, 1)
			take := func(w *ensemble.Watcher) bool {
				if _, err := w.Next(ctx); err != nil {
					return false
				}
				if told.Add(1)%watchers == 0 {
					last <- time.Now()
				}
				return true
			}
			all := make([]*ensemble.Watcher, watchers)
			var group sync.WaitGroup
			for i := range all {
				w, err := n.Watch(ctx, "/a", ensemble.WatchNode)
				if err != nil {
					b.Fatal(err)
				}
				if all[i] = w; readers > 1 {
					group.Go(func() {
						for take(w) {
						}
					})
				}
			}
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				if _, err := n.Set(ctx, "/a", nil, ensemble.AnyVersion); err != nil {
					b.Fatal(err)
				}
				if readers == 1 {
					for _, w := range all {
						take(w)
					}
				}
				took = append(took, (<-last).Sub(begin))
				<-time.After(10 * time.Millisecond) // they wait again
			}
			slices.Sort(took)
			for _, x := range []struct {
				name string
				at   int
			}{{"best", 0}, {"median", len(took) / 2}, {"p90", len(took) * 9 / 10}} {
				b.ReportMetric(float64(took[x.at].Microseconds())/1000, "ms-"+x.name)
			}
			n.Close()
			group.Wait()
		})
	}
}

// BenchmarkWatchMemory makes 100 000 watchers and measures the live heap of each.
func BenchmarkWatchMemory(b *testing.B) {
	const watchers = 100_000
	live := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	cancelable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, x := range []struct {
		name string
		ctx  context.Context
		path func(i int) string
	}{
		{"OnePath", context.Background(), func(int) string { return "/a" }},
		{"OnePathOneContext", cancelable, func(int) string { return "/a" }},
		{"PathsOfTheirOwn", context.Background(), func(i int) string { return fmt.Sprintf("/jobs/%06d", i) }},
		{"PathsOfTheirOwnOneContext", cancelable, func(i int) string { return fmt.Sprintf("/jobs/%06d", i) }},
	} {
		b.Run(x.name, func(b *testing.B) {
			c := ensembletest.New(b, 1)
			n := c.Node(1)
			paths := make([]string, watchers)
			for i := range paths {
				paths[i] = x.path(i)
			}
			all := make([]*ensemble.Watcher, watchers)
			for b.Loop() {
				clear(all)
				<-time.After(2 * time.Second / 10) // those of the round before have been taken out
				before := live()
				for i := range all {
					w, err := n.Watch(x.ctx, paths[i], ensemble.WatchNode)
					if err != nil {
						b.Fatal(err)
					}
					all[i] = w
				}
				b.ReportMetric((live()-before)/watchers, "B/watcher")
				for _, w := range all {
					w.Close()
				}
			}
			runtime.KeepAlive(all)
		})
	}
}

// BenchmarkUnreadWatchers sets a znode at a node of its own, which none or 10 000 watchers watch that are never read. They overflow, and what they have not read goes.
func BenchmarkUnreadWatchers(b *testing.B) {
	for _, watchers := range []int{0, 1, 10_000} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			c := ensembletest.New(b, 1, func(c *ensemble.Config) { c.WatchBuffer = 64 })
			n, ctx := c.Node(1), b.Context()
			if _, err := n.Create(ctx, "/a", nil, ensemble.Persistent); err != nil {
				b.Fatal(err)
			}
			for range watchers {
				if _, err := n.Watch(ctx, "/a", ensemble.WatchTree); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				p := [64]*ensemble.Pending{}
				for i := range p {
					p[i] = n.Submit(ensemble.SetOp{Path: "/a"})
				}
				for i := range p {
					if _, err := p[i].Wait(ctx); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/write")
		})
	}
}
