package quorum

import "slices"

// onStack is how many voters are counted without allocation.
const onStack = 16

type majority struct {
	voters []ID
}

func newMajority(voters []Member) *majority {
	m := &majority{voters: make([]ID, len(voters))}
	for i, v := range voters {
		m.voters[i] = v.ID
	}
	return m
}

func (m *majority) need() int { return len(m.voters)/2 + 1 }

func (m *majority) Contains(in func(ID) bool) bool {
	n := 0
	for _, id := range m.voters {
		if in(id) {
			n++
		}
	}
	return n >= m.need()
}

func (m *majority) Position(acked func(ID) uint64) uint64 {
	var buf [onStack]uint64
	at := buf[:0]
	if len(m.voters) > onStack {
		at = make([]uint64, 0, len(m.voters))
	}
	for _, id := range m.voters {
		at = append(at, acked(id))
	}
	return nth(at, m.need())
}

func (m *majority) Voters() []ID       { return m.voters }
func (m *majority) Votes(id ID) bool   { return has(m.voters, id) }
func (m *majority) CanLead(id ID) bool { return has(m.voters, id) }

// nth returns the n-th greatest of at, counting from 1, and leaves at sorted.
func nth(at []uint64, n int) uint64 {
	slices.Sort(at) // an insertion sort at the sizes ensembles have
	return at[len(at)-n]
}
