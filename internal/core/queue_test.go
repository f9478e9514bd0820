package core

import (
	"math/rand/v2"
	"testing"
)

// The queue against a slice, at sizes where it moves and grows.
func TestQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var q queue[int]
	var twin []int
	for i := range 20000 {
		if r.IntN(1000) < 480+i/200 && len(twin) > 0 {
			if got := q.pop(); got != twin[0] {
				t.Fatalf("step %d: popped %d, want %d", i, got, twin[0])
			}
			twin = twin[1:]
		} else {
			q.push(i)
			twin = append(twin, i)
		}
		if q.len() != len(twin) {
			t.Fatalf("step %d: %d, want %d", i, q.len(), len(twin))
		}
		for k, v := range twin {
			if *q.at(k) != v {
				t.Fatalf("step %d: at %d is %d, want %d", i, k, *q.at(k), v)
			}
		}
	}
	if cap(q.list) > 4096 {
		t.Errorf("%d places for %d", cap(q.list), q.len())
	}
}
