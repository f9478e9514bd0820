package election

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/script"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The files of testdata hold cases as package script describes them; what follows from a directive is expected below it.
// Nothing happens by itself: what is sent lies on the link until it is delivered.
//
//	members 1 2*0@1 4o        member 1, member 2 of weight 0 in group 1, observer 4
//	vote 1 2 1.7              member 1 has joined epoch 2, its last zxid is 1.7
//	blank 1                   member 1 does not vote
//	link 1 2, link all        new links
//	lost 1 2, lost 1          both ends lose it, and what was on it; or all links of 1
//	restart 1                 lost 1, and a machine that has forgotten everything
//	look 1 2 3                enter LOOKING, in this order
//	settle 1 following 2 5    with epoch 5 established, 0 if not
//	auto                      from here on settle with epoch 0 when elected
//	failed 1 2                following 2 failed 1
//	withdraw 1                its role has ended
//	deliver, deliver 1 2      everything until nothing is left, or what lies from 1 to 2
//	drop 1 2                  what lies from 1 to 2 is lost
//	say 2 1 following 3 4 0.0 9 4    what 2 never sent to 1: state, vote, round, established, perhaps ask
//	tick, tick 3 2            all members, or member 3 by 2 ticks
//	show                      states
func TestScenarios(t *testing.T) { script.Run(t, play) }

type stage struct {
	script.Story
	verifier quorum.Verifier
	ids      []quorum.ID
	machines map[quorum.ID]*Machine
	votes    map[quorum.ID]Vote
	blank    map[quorum.ID]bool
	lines    map[[2]quorum.ID][]*Notification
	linked   map[[2]quorum.ID]bool
	auto     bool
}

func play(t testing.TB, directives [][]string) string {
	s := &stage{
		Story: script.Story{TB: t}, machines: map[quorum.ID]*Machine{}, votes: map[quorum.ID]Vote{}, blank: map[quorum.ID]bool{},
		lines: map[[2]quorum.ID][]*Notification{}, linked: map[[2]quorum.ID]bool{},
	}
	return s.Play(directives, "members vote blank auto", s.do)
}

func (s *stage) id(word string) quorum.ID { return quorum.ID(s.number(word)) }

func (s *stage) number(word string) uint64 { return uint64(script.Number(s, word)) }

func (s *stage) vote(leader, epoch, zxid string) Vote {
	z, err := zab.ParseZxid(zxid)
	if err != nil {
		s.Fatal(err)
	}
	return Vote{s.id(leader), uint32(s.number(epoch)), z}
}

func (s *stage) state(word string) State {
	for st := Looking; st <= Observing; st++ {
		if st.String() == word {
			return st
		}
	}
	s.Fatalf("no state %q", word)
	return 0
}

func (s *stage) fresh(id quorum.ID) *Machine {
	return New(Config{Self: id, Verifier: s.verifier, Seed: 1})
}

func (s *stage) do(verb string, f []string) {
	switch verb {
	case "members":
		var members []quorum.Member
		for _, word := range f {
			x := script.ParseMember(s, word)
			m := quorum.Member{ID: quorum.ID(x.ID), Observer: x.Observer, Group: x.Group, Weight: x.Weight}
			members = append(members, m)
			s.ids = append(s.ids, m.ID)
		}
		v, err := quorum.New(members)
		if err != nil {
			s.Fatal(err)
		}
		s.verifier = v
		for _, id := range s.ids {
			s.machines[id] = s.fresh(id)
		}
	case "vote":
		s.votes[s.id(f[0])] = s.vote(f[0], f[1], f[2])
	case "blank":
		s.blank[s.id(f[0])] = true
	case "auto":
		s.auto = true
	case "link":
		if f[0] == "all" {
			for i, a := range s.ids {
				for _, b := range s.ids[i+1:] {
					s.link(a, b)
				}
			}
			return
		}
		s.link(s.id(f[0]), s.id(f[1]))
	case "lost":
		if len(f) == 2 {
			s.lost(s.id(f[0]), s.id(f[1]))
			return
		}
		for _, b := range s.ids {
			s.lost(s.id(f[0]), b)
		}
	case "restart":
		for _, b := range s.ids {
			s.lost(s.id(f[0]), b)
		}
		s.machines[s.id(f[0])] = s.fresh(s.id(f[0]))
	case "look":
		for _, word := range f {
			id := s.id(word)
			s.step(id, func(m *Machine, o *Output) { m.Look(s.votes[id], !s.blank[id], o) })
		}
	case "settle":
		s.settle(s.id(f[0]), s.state(f[1]), s.id(f[2]), uint32(s.number(f[3])))
	case "failed":
		s.machines[s.id(f[0])].Failed(s.id(f[1]))
	case "withdraw":
		s.machines[s.id(f[0])].Withdraw()
	case "deliver":
		if len(f) == 2 {
			s.deliver(s.id(f[0]), s.id(f[1]))
			return
		}
		for range 100 {
			quiet := true
			for _, a := range s.ids {
				for _, b := range s.ids {
					if len(s.lines[[2]quorum.ID{a, b}]) > 0 {
						quiet = false
						s.deliver(a, b)
					}
				}
			}
			if quiet {
				return
			}
		}
		s.Fatal("a storm")
	case "drop":
		delete(s.lines, [2]quorum.ID{s.id(f[0]), s.id(f[1])})
	case "say":
		n := &Notification{State: s.state(f[2]), Vote: s.vote(f[3], f[4], f[5]), Round: s.number(f[6])}
		if len(f) > 7 {
			n.Established, n.Ask = uint32(s.number(f[7])), len(f) > 8
		}
		from := s.id(f[0])
		s.step(s.id(f[1]), func(m *Machine, o *Output) { m.Receive(from, n, o) })
	case "tick":
		ids, n := s.ids, uint64(1)
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		if len(f) > 1 {
			n = s.number(f[1])
		}
		for range n {
			for _, id := range ids {
				s.step(id, (*Machine).Tick)
			}
		}
	case "show":
		for _, id := range s.ids {
			m := s.machines[id]
			s.Tell("  %d %v %v round %d", id, m.State(), m.Vote(), m.Round())
		}
	default:
		s.Fatalf("unknown directive %q", verb)
	}
}

func (s *stage) link(a, b quorum.ID) {
	if a == b {
		return
	}
	for _, e := range [][2]quorum.ID{{a, b}, {b, a}} {
		delete(s.lines, e)
		s.linked[e] = true
	}
	for _, e := range [][2]quorum.ID{{a, b}, {b, a}} {
		s.step(e[0], func(m *Machine, o *Output) { m.Linked(e[1], o) })
	}
}

func (s *stage) lost(a, b quorum.ID) {
	if !s.linked[[2]quorum.ID{a, b}] {
		return
	}
	for _, e := range [][2]quorum.ID{{a, b}, {b, a}} {
		delete(s.lines, e)
		delete(s.linked, e)
	}
	for _, e := range [][2]quorum.ID{{a, b}, {b, a}} {
		s.step(e[0], func(m *Machine, o *Output) { m.Lost(e[1], o) })
	}
}

func (s *stage) deliver(a, b quorum.ID) {
	e := [2]quorum.ID{a, b}
	line := s.lines[e]
	delete(s.lines, e)
	for _, n := range line {
		s.step(b, func(m *Machine, o *Output) { m.Receive(a, n, o) })
	}
}

func (s *stage) settle(id quorum.ID, st State, leader quorum.ID, epoch uint32) {
	s.step(id, func(m *Machine, o *Output) { m.Settle(st, leader, epoch, o) })
}

func (s *stage) step(id quorum.ID, f func(*Machine, *Output)) {
	var o Output
	f(s.machines[id], &o)
	// Equal notifications to several peers are one line.
	for i, send := range o.Sends {
		e := [2]quorum.ID{id, send.To}
		if s.linked[e] {
			s.lines[e] = append(s.lines[e], send.Notification)
		}
		if slices.ContainsFunc(o.Sends[:i], func(x Send) bool { return x.To == send.To }) {
			s.Errorf("%d: two notifications to %d in one step", id, send.To)
		}
	}
	if len(o.Sends) > 0 {
		var to []string
		for _, send := range o.Sends {
			to = append(to, fmt.Sprint(send.To))
			if send.Notification != o.Sends[0].Notification {
				s.Errorf("%d: two different notifications in one step", id)
			}
		}
		s.Tell("  %d->%s %v", id, strings.Join(to, ","), *o.Sends[0].Notification)
	}
	if o.Elected != 0 {
		s.Tell("  %d elects %d", id, o.Elected)
		if s.auto {
			st := Following
			switch {
			case o.Elected == id:
				st = Leading
			case !s.verifier.Votes(id):
				st = Observing
			}
			s.settle(id, st, o.Elected, 0)
		}
	}
}
