package ensemble_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// BenchmarkTenThousandExpire has 10 000 of 100 000 sessions, each with an ephemeral, end at once, because the node that serves them is gone, while another node writes and
// the two that are left renew the 90 000 others. It reports the latency of writes before and while they end, how many turns of these two took longer than a tick, how many cycles of the collector ended meanwhile, and how long it took from the kill until
// all were gone; the timeout is 2 s, that of the others 20 s.
func BenchmarkTenThousandExpire(b *testing.B) {
	const dying, staying, writers = 10_000, 90_000, 8
	for b.Loop() {
		c := ensembletest.New(b, 3, func(c *ensemble.Config) { c.Dir = "" })
		ctx := context.Background()
		c.WaitLeader()
		leader, gone, n := c.Node(c.WaitLeader()), c.Followers()[0], c.Node(c.Followers()[1])
		stay := append(openMany(b, n, staying/2, 20*time.Second), openMany(b, leader, staying/2, 20*time.Second)...)
		openMany(b, c.Node(gone), dying, timeout)
		var mu sync.Mutex
		var before, during []time.Duration
		killed := false
		stop := make(chan struct{})
		var group sync.WaitGroup
		for w := range writers {
			path := must[string](b)(n.Create(ctx, fmt.Sprintf("/w-%d", w), nil, 0))
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					begin := time.Now()
					if _, err := n.Set(ctx, path, nil, ensemble.AnyVersion); err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					if killed {
						during = append(during, time.Since(begin))
					} else {
						before = append(before, time.Since(begin))
					}
					mu.Unlock()
				}
			})
		}
		pass(b, 5*time.Second)
		stalls := leader.Stats().Stalls + n.Stats().Stalls
		c.Crash(gone)
		at := time.Now()
		for n.Status().Sessions > staying+3+dying-1 {
			pass(b, time.Millisecond)
		}
		mu.Lock()
		killed = true // from the first end on
		mu.Unlock()
		first, cycles := time.Now(), collections()
		for n.Status().Sessions > staying+3 {
			pass(b, time.Millisecond)
		}
		ended := time.Now()
		b.ReportMetric(float64(collections()-cycles), "GCs-during")
		close(stop)
		group.Wait()
		for _, s := range stay {
			if s.Context().Err() != nil {
				b.Errorf("a session that was renewed has ended: %v", context.Cause(s.Context()))
			}
		}
		slices.Sort(before)
		slices.Sort(during)
		b.ReportMetric(float64(leader.Stats().Stalls+n.Stats().Stalls-stalls), "stalls")
		b.ReportMetric(before[len(before)*99/100].Seconds()*1e3, "p99-ms-before")
		b.ReportMetric(during[len(during)*99/100].Seconds()*1e3, "p99-ms-during")
		b.ReportMetric(before[len(before)-1].Seconds()*1e3, "most-ms-before")
		b.ReportMetric(during[len(during)-1].Seconds()*1e3, "most-ms-during")
		b.ReportMetric(ended.Sub(first).Seconds(), "ending-s")
		b.ReportMetric(ended.Sub(at).Seconds(), "after-kill-s")
	}
}

func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

func pass(b *testing.B, d time.Duration) {
	ctx, cancel := context.WithTimeout(b.Context(), d)
	<-ctx.Done()
	cancel()
}

func openMany(b *testing.B, n *ensemble.Node, count int, timeout time.Duration) []*ensemble.Session {
	list := make([]*ensemble.Session, count)
	var group sync.WaitGroup
	for w := range 64 {
		group.Go(func() {
			for i := w; i < count; i += 64 {
				list[i] = must[*ensemble.Session](b)(n.NewSession(b.Context(), ensemble.SessionOptions{Timeout: timeout}))
				must[string](b)(list[i].Create(b.Context(), "/e-", nil, ensemble.Ephemeral|ensemble.Sequential))
			}
		})
	}
	group.Wait()
	return list
}
