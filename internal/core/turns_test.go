package core

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// Each is due at the tick that was said last, once, and nobody else is.
func TestTurns(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var x turns
		due := map[*client]uint64{}
		all := make([]*client, 20)
		for i := range all {
			all[i] = &client{session: uint64(i)}
		}
		for now := uint64(1); now < 3000; now++ {
			for range r.IntN(4) {
				c := all[r.IntN(len(all))]
				switch r.IntN(5) {
				case 0:
					c.due = 0
					delete(due, c)
				case 1: // the same place, another round
					x.set(c, turnSlots*uint64(r.IntN(3)))
					due[c] = c.due
				default:
					after := uint64(r.IntN(1 + r.IntN(2*turnSlots)))
					x.set(c, after)
					due[c] = x.now + max(after, 1)
				}
			}
			var want, got []uint64
			for c, at := range maps.Clone(due) {
				if at == now {
					want = append(want, c.session)
					delete(due, c)
				}
			}
			for _, c := range x.tick(nil) {
				got = append(got, c.session)
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: at %d: %v, want %v", seed, now, got, want)
			}
		}
		for range turnSlots {
			x.tick(nil)
		}
		for range turnSlots * 2 {
			x.tick(nil)
		}
		for i := range x.slots {
			if len(x.slots[i]) != 0 {
				t.Fatalf("seed %d: %d are left at %d", seed, len(x.slots[i]), i)
			}
		}
	}
}

// A member may serve a hundred thousand.
func TestSizeOfAClient(t *testing.T) {
	if size := unsafe.Sizeof(client{}); size > 64 {
		t.Errorf("%d bytes", size)
	}
}
