package election

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

func ring(n int) (*Machine, *Output) {
	var members []quorum.Member
	for id := range n {
		members = append(members, quorum.Member{ID: quorum.ID(id + 1)})
	}
	v, _ := quorum.New(members)
	m, o := New(Config{Self: 1, Verifier: v}), &Output{}
	m.Look(Vote{Leader: 1}, true, o)
	for _, other := range members[1:] {
		m.Linked(other.ID, o)
	}
	return m, o
}

// A follower answers a member that looks.
func BenchmarkAnswer(b *testing.B) {
	m, o := ring(5)
	m.Settle(Following, 2, 1, o)
	n := &Notification{Vote: Vote{Leader: 3}, Round: 1}
	b.ReportAllocs()
	for b.Loop() {
		o.Reset()
		m.Receive(3, n, o)
	}
}

// A member that looks hears a vote that decides nothing.
func BenchmarkReceive(b *testing.B) {
	m, o := ring(5)
	n := &Notification{Vote: Vote{Leader: 5}, Round: 1}
	b.ReportAllocs()
	for b.Loop() {
		o.Reset()
		m.Receive(5, n, o)
	}
}

func BenchmarkTick(b *testing.B) {
	m, o := ring(5)
	b.ReportAllocs()
	for b.Loop() {
		o.Reset()
		m.Tick(o)
	}
}

// An election of five, from Look to Elected on one of them.
func BenchmarkElection(b *testing.B) {
	m, o := ring(5)
	b.ReportAllocs()
	for b.Loop() {
		o.Reset()
		m.Look(Vote{Leader: 1}, true, o)
		for id := quorum.ID(2); id <= 5; id++ {
			m.Receive(id, &Notification{Vote: Vote{Leader: 5}, Round: m.Round()}, o)
		}
		if o.Elected == 0 && m.Round() == 0 {
			b.Fatal("nobody")
		}
	}
}
