package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// shrunk is what is left of a run that failed.
type shrunk struct {
	seed    uint64
	want    string // the invariant
	config  Config
	actions []Action
	calls   int // 0: no limit
	tries   int
	outcome Outcome // of the last run that failed as the first did
}

// shrink looks for a shorter list of faults, a shorter run, fewer calls and fewer clients with which the same invariant fails.
func shrink(o Outcome) *shrunk {
	s := &shrunk{seed: o.Seed, want: invariant(o.Err), config: newConfig(o.Seed), outcome: o}
	s.actions = drawActions(&s.config, rand.New(rand.NewPCG(o.Seed, 4)))
	s.shorten()
	s.fewerActions()
	s.fewerCalls()
	for s.config.Clients > 1 {
		c := s.config
		if c.Clients--; !s.try(c, s.actions, s.calls) {
			break
		}
	}
	return s
}

// try keeps a smaller run if it fails in the same way.
func (s *shrunk) try(c Config, actions []Action, calls int) bool {
	s.tries++
	o := Run(s.seed, Options{Config: &c, Actions: actions, Calls: calls})
	if o.Err == nil || invariant(o.Err) != s.want {
		return false
	}
	s.config, s.actions, s.calls, s.outcome = c, actions, calls, o
	return true
}

// shorten leaves out what comes after the failure, and then ends the faults earlier and earlier.
func (s *shrunk) shorten() {
	late := slices.IndexFunc(s.actions, func(a Action) bool { return a.At > s.outcome.Time })
	if late >= 0 {
		s.try(s.config, slices.Clone(s.actions[:late]), 0)
	}
	for range 6 {
		c := s.config
		if c.Chaos /= 2; !s.try(c, s.actions, 0) {
			return
		}
	}
}

// fewerActions leaves out faults, many at a time at first, until none can be spared.
func (s *shrunk) fewerActions() {
	for n := (len(s.actions) + 1) / 2; len(s.actions) > 0; {
		spared := false
		for i := 0; i < len(s.actions); {
			fewer := append(append([]Action{}, s.actions[:i]...), s.actions[min(len(s.actions), i+n):]...)
			if s.try(s.config, fewer, s.calls) {
				spared = true
			} else {
				i += n
			}
		}
		if n == 1 && !spared {
			return
		}
		n = max(1, n/2)
	}
}

func (s *shrunk) fewerCalls() {
	for k := s.outcome.Calls / 2; k >= 1; k /= 2 {
		if !s.try(s.config, s.actions, k) {
			return
		}
	}
}

func (s *shrunk) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "shrunk in %d runs to %d faults, chaos %v ms, %d calls, %d clients: %v\n", s.tries, len(s.actions), s.config.Chaos/ms, s.calls, s.config.Clients, s.outcome.Err)
	for _, a := range s.actions {
		fmt.Fprintln(&b, " ", a)
	}
	for _, l := range s.outcome.Last {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

func invariant(err error) string {
	name, _, _ := strings.Cut(err.Error(), ":")
	return name
}
