package quorum

import (
	"cmp"
	"slices"
)

type hierarchy struct {
	voters, leaders []ID    // ascending; a leader is a voter with weight
	groups          []group // ascending by number, without weight too
	counted         int     // groups with weight
}

type group struct {
	number  int
	total   uint64
	members []weighed // ascending by id
}

type weighed struct {
	id     ID
	weight uint64
}

func newHierarchy(voters []Member) *hierarchy {
	h := &hierarchy{}
	for _, v := range voters {
		h.voters = append(h.voters, v.ID)
		if v.Weight > 0 {
			h.leaders = append(h.leaders, v.ID)
		}
		i, found := slices.BinarySearchFunc(h.groups, v.Group, func(g group, n int) int { return cmp.Compare(g.number, n) })
		if !found {
			h.groups = slices.Insert(h.groups, i, group{number: v.Group})
		}
		g := &h.groups[i]
		// The sum fits: a weight is at most MaxWeight.
		g.total += uint64(v.Weight)
		g.members = append(g.members, weighed{v.ID, uint64(v.Weight)})
	}
	for _, g := range h.groups {
		if g.total > 0 {
			h.counted++
		}
	}
	return h
}

func (h *hierarchy) need() int { return h.counted/2 + 1 }

// need is the least weight that wins the group.
func (g *group) need() uint64 { return g.total/2 + 1 }

func (h *hierarchy) Contains(in func(ID) bool) bool {
	won := 0
	for i := range h.groups {
		if h.groups[i].contains(in) {
			won++
		}
	}
	return won >= h.need()
}

func (g *group) contains(in func(ID) bool) bool {
	var sum uint64
	for _, m := range g.members {
		if m.weight > 0 && in(m.id) {
			sum += m.weight
		}
	}
	return sum >= g.need() // never so for a group without weight
}

func (h *hierarchy) Position(acked func(ID) uint64) uint64 {
	var buf [onStack]uint64
	at := buf[:0]
	if h.counted > onStack {
		at = make([]uint64, 0, h.counted)
	}
	for i := range h.groups {
		if g := &h.groups[i]; g.total > 0 {
			at = append(at, g.position(acked))
		}
	}
	return nth(at, h.need())
}

// position is the greatest position at which the group is won. The group has weight.
func (g *group) position(acked func(ID) uint64) uint64 {
	type ack struct{ at, weight uint64 }
	var buf [onStack]ack
	acks := buf[:0]
	if len(g.members) > onStack {
		acks = make([]ack, 0, len(g.members))
	}
	for _, m := range g.members {
		if m.weight > 0 {
			acks = append(acks, ack{acked(m.id), m.weight})
		}
	}
	slices.SortFunc(acks, func(a, b ack) int { return cmp.Compare(b.at, a.at) })
	var sum uint64
	for _, a := range acks {
		if sum += a.weight; sum >= g.need() {
			return a.at
		}
	}
	return 0
}

func (h *hierarchy) Voters() []ID       { return h.voters }
func (h *hierarchy) Votes(id ID) bool   { return has(h.voters, id) }
func (h *hierarchy) CanLead(id ID) bool { return has(h.leaders, id) }
