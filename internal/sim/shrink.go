package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// shrink looks for a shorter list of faults, a shorter run and fewer calls with which the same invariant fails, and tells what is left.
func shrink(o Outcome) string {
	want := invariant(o.Err)
	cfg := newConfig(o.Seed)
	actions := drawActions(&cfg, rand.New(rand.NewPCG(o.Seed, 4)))
	if len(actions) == 0 {
		actions = []Action{}
	}
	calls, tries := 0, 0
	best := o
	same := func(c Config, a []Action, k int) bool {
		tries++
		r := Run(o.Seed, Options{Config: &c, Actions: a, Calls: k})
		if r.Err == nil || invariant(r.Err) != want {
			return false
		}
		best = r
		return true
	}
	for range 6 { // a shorter run
		c := cfg
		if c.Chaos /= 2; !same(c, actions, calls) {
			break
		}
		cfg = c
	}
	for n := max(1, len(actions)/2); len(actions) > 0; n /= 2 { // ddmin
		for i := 0; i < len(actions); {
			fewer := append(append([]Action{}, actions[:i]...), actions[min(len(actions), i+n):]...)
			if same(cfg, fewer, calls) {
				actions = fewer
			} else {
				i += n
			}
		}
		if n <= 1 {
			break
		}
	}
	for k := 256; k >= 1; k /= 2 {
		if !same(cfg, actions, k) {
			break
		}
		calls = k
	}
	for cfg.Clients > 1 {
		c := cfg
		if c.Clients--; !same(c, actions, calls) {
			break
		}
		cfg = c
	}
	var b strings.Builder
	fmt.Fprintf(&b, "shrunk in %d runs to %d faults, chaos %v ms, %d calls, %d clients: %v\n", tries, len(actions), cfg.Chaos/ms, calls, cfg.Clients, best.Err)
	for _, a := range actions {
		fmt.Fprintln(&b, " ", a)
	}
	for _, l := range best.Last {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

func invariant(err error) string {
	name, _, _ := strings.Cut(err.Error(), ":")
	return name
}
