package core

import (
	"testing"
	"time"
)

// Few are outstanding where they are applied at once, and more where they take long.
func TestPaceOfEnds(t *testing.T) {
	const tick = 50 * time.Millisecond
	for name, x := range map[string]struct {
		each        int // how often in a tick as many as may be are applied
		first, last int // how many may be, in the second tick and later on
	}{
		"memory":       {500, 2, 2},
		"fast disk":    {50, 4, 32},
		"slow disk":    {5, 4, 128},
		"less than it": {0, 4, 128},
	} {
		var e ends
		e.tick(tick)
		if e.most != leastEnds {
			t.Errorf("%s: begins with %d", name, e.most)
		}
		e.out.push(7)
		for i := range 20 {
			e.done = x.each * e.most
			e.tick(tick)
			if i == 0 && e.most != x.first || i > 10 && e.most != x.last {
				t.Errorf("%s: %d in tick %d", name, e.most, i)
			}
		}
		e.out.pop()
		if e.tick(tick); e.most != leastEnds {
			t.Errorf("%s: %d when there was nothing to end", name, e.most)
		}
	}
}
