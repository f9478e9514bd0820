//go:build linux

package ensemble_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// BenchmarkHundredThousandSessions opens 100 000 sessions, spread over three members in memory, lets them be renewed for some seconds, and changes the leader. It reports what a session takes of the
// heap, of all three members together, how many goroutines there are for them, what the processors do for their renewal, the transactions of that, and how many turns of a
// member's goroutine took longer than a tick while nothing but renewals went on, and with the change of leader.
func BenchmarkHundredThousandSessions(b *testing.B) {
	const n, timeout = 100_000, 10 * time.Second
	for b.Loop() {
		c := ensembletest.New(b, 3, func(c *ensemble.Config) { c.Dir = "" })
		stalls := func() (n uint64) {
			for id := ensemble.ID(1); id <= 3; id++ {
				n += c.Node(id).Stats().Stalls
			}
			return n
		}
		before, goroutines := heap(), runtime.NumGoroutine()
		sessions := make([]*ensemble.Session, n)
		var group sync.WaitGroup
		begin := time.Now()
		for w := range 64 {
			group.Go(func() {
				for i := w; i < n; i += 64 {
					sessions[i] = must[*ensemble.Session](b)(c.Node(ensemble.ID(i%3+1)).NewSession(b.Context(), ensemble.SessionOptions{Timeout: timeout}))
				}
			})
		}
		group.Wait()
		b.ReportMetric(time.Since(begin).Seconds(), "s-to-open")
		pass(b, time.Second)
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
		leader := c.Node(c.WaitLeader())
		from, busy := must[ensemble.Zxid](b)(leader.Sync(b.Context())), processor()
		quiet := stalls()
		begin = time.Now()
		pass(b, 2*timeout)
		b.ReportMetric(float64((processor()-busy).Nanoseconds())/(float64(n)*6*time.Since(begin).Seconds()/timeout.Seconds()), "ns/renewal")
		b.ReportMetric(float64(stalls()-quiet), "stalls")
		quiet = stalls()
		if to := must[ensemble.Zxid](b)(leader.Sync(b.Context())); to != from {
			b.Errorf("%v became %v by renewals", from, to)
		}
		if err := leader.Transfer(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		pass(b, timeout)
		b.ReportMetric(float64(stalls()-quiet), "stalls-at-change")
		for _, s := range sessions {
			if s.Context().Err() != nil {
				b.Fatalf("session %x has ended: %v", s.ID(), context.Cause(s.Context()))
			}
		}
		if got := c.Node(c.WaitLeader()).Status().Sessions; got != n+3 {
			b.Errorf("%d sessions", got)
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
