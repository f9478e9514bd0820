package ensemble

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// Each context ends at the moment up to which it was renewed last, whatever others do.
func TestLeases(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			h := &host{wake: make(chan struct{}, 1)}
			h.leases.began = time.Now()
			defer h.leases.stop()
			type lease struct {
				s     *Session
				until time.Time
				ended bool // by hand
			}
			var all []*lease
			check := func() {
				t.Helper()
				synctest.Wait()
				for i, l := range all {
					if over := l.ended || !time.Now().Before(l.until); over != (l.s.alive() != nil) || over != (l.s.Context().Err() != nil) {
						t.Fatalf("seed %d: %d is over: %v, its context: %v", seed, i, over, l.s.Context().Err())
					}
				}
			}
			for range 500 {
				switch k := rng.IntN(10); {
				case k < 3:
					l := &lease{s: &Session{timeout: time.Duration(1+rng.IntN(30)) * 300 * time.Millisecond}}
					l.s.client = client{h, l.s}
					since := time.Now().Add(-time.Duration(rng.IntN(200)) * time.Millisecond)
					l.until = since.Add(l.s.timeout * 2 / 3)
					if h.leases.add(l.s, l.until) != time.Now().Before(l.until) {
						t.Fatalf("seed %d: it is taken although over, or not", seed)
					}
					if time.Now().Before(l.until) {
						all = append(all, l)
					}
				case k < 7 && len(all) > 0:
					l := all[rng.IntN(len(all))]
					since := time.Now().Add(-time.Duration(rng.IntN(500)) * time.Millisecond)
					l.s.lasts(since)
					if until := since.Add(l.s.timeout * 2 / 3); until.After(l.until) && time.Now().Before(l.until) {
						l.until = until
					}
				case k < 8 && len(all) > 0:
					l := all[rng.IntN(len(all))]
					l.s.end(ErrSessionMoved)
					l.ended = true
				default:
					pass := time.NewTimer(time.Duration(rng.IntN(400)) * time.Millisecond)
					<-pass.C
				}
				check()
			}
			pass := time.NewTimer(time.Hour)
			<-pass.C
			check()
			if n := len(h.leases.queue); n != 0 {
				t.Errorf("seed %d: %d are left", seed, n)
			}
		})
	}
}

// A process may serve a hundred thousand.
func TestSizeOfASession(t *testing.T) {
	if size := unsafe.Sizeof(Session{}); size > 128 {
		t.Errorf("%d bytes", size)
	}
}
