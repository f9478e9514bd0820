package zab

import (
	"math/rand/v2"
	"testing"
)

// What was proposed in one Output can be had as one piece, unless there is too much data, and a piece never changes.
func TestRun(t *testing.T) {
	type piece struct {
		at      int
		entries []Entry
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var r run
		var all []Entry
		var pieces []piece
		first := uint64(rng.IntN(1000)) // absolute index of all[0]
		for output := range uint64(60) {
			begun := len(all)
			for range rng.IntN(600) {
				e := Entry{Zxid: Zxid(len(all) + 1), Data: make([]byte, rng.IntN(60))}
				if large := seed%2 == 1; large && rng.IntN(200) == 0 {
					e.Data = make([]byte, runBytes/2)
				}
				all = append(all, e)
				i := first + uint64(len(all)) - 1
				r.push(i, e, output+1)
				n := len(all) - 1 - begun
				p := r.upTo(i, n)
				if p == nil && seed%2 == 0 {
					t.Fatalf("seed %d: %d entries of an output are not together", seed, n+1)
				}
				if p == nil {
					begun = len(all) - 1 // as a learner that begins another message
					p = r.upTo(i, 0)
				}
				if rng.IntN(20) == 0 {
					pieces = append(pieces, piece{begun, p})
				}
			}
		}
		for _, p := range pieces {
			for i, e := range p.entries {
				if want := all[p.at+i]; e.Zxid != want.Zxid || len(e.Data) != len(want.Data) {
					t.Fatalf("seed %d: a piece has %v where %v was proposed", seed, e.Zxid, want.Zxid)
				}
			}
		}
		if len(pieces) == 0 {
			t.Fatal("no piece was looked at")
		}
	}
}
