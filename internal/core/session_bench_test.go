package core

import (
	"fmt"
	"testing"

	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// crowd returns the state of n sessions of clients with a timeout of 200 ticks, each with one answer in its window.
func crowd(tb testing.TB, n int) *Znodes {
	sm := NewZnodes(1 << 10)
	sm.SetSecret(session.Key{7})
	z := zab.Zxid(1)
	apply := func(txn []byte, ok bool) {
		tb.Helper()
		if _, err := sm.Apply(z, txn); !ok || err != nil {
			tb.Fatalf("%v, %v", ok, err)
		}
		z++
	}
	apply(sm.PrepareOpen(z, 9, 1, zab.Incarnation{1}, 5000))
	ephemeral := ephemeralAs(tb, "/none/e") // refused: there is no parent
	for i := range n {
		apply(sm.Prepare(z, 9, Call{Name: Name{1, 0, uint64(i + 1)}, Low: uint64(i + 1), Payload: AppendCreate(nil, 200*uint32(sessionTick.Milliseconds()))}))
		apply(sm.Prepare(z, 9, Call{Name: Name{uint64(z - 1), 0, 1}, Low: 1, Payload: ephemeral}))
	}
	return sm
}

// What of the sessions' bookkeeping is one step of a member, with so many sessions.
func BenchmarkSessions(b *testing.B) {
	for _, n := range []int{100_000, session.MaxSessions - 1} {
		sm := crowd(b, n)
		b.Run(fmt.Sprintf("lead/%d", n), func(b *testing.B) {
			for b.Loop() {
				sm.Lead(sessionTick)
			}
		})
		for name, stride := range map[string]int{"touch": 33, "touch-at-random": 7919} { // any order: each by itself; in ascending order is how a batch has them
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				sm.Lead(sessionTick)
				for range 20 {
					sm.Elapse()
				}
				i := 0
				for b.Loop() {
					i = (i + stride) % n
					if !sm.Touch(2*uint64(i)+2, 0) {
						b.Fatal("there is no such session")
					}
				}
			})
		}
		b.Run(fmt.Sprintf("elapse/%d", n), func(b *testing.B) {
			sm.Lead(sessionTick)
			i := uint64(0)
			for b.Loop() {
				for range n / 33 { // each six times in its timeout
					i = (i + 33) % uint64(n)
					sm.Touch(2*i+2, 0)
				}
				sm.Elapse()
			}
		})
		b.Run(fmt.Sprintf("abandon/%d", n), func(b *testing.B) {
			for b.Loop() {
				sm.Abandon()
			}
		})
		b.Run(fmt.Sprintf("snapshot/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sm.Snapshot(64 << 10).Close()
			}
		})
	}
}
