package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// twin is the definition written down again, slowly, over the members themselves.
type twin []Member

func (t twin) grouped() bool {
	for _, m := range t {
		if m.Group != 0 {
			return true
		}
	}
	return false
}

func (t twin) contains(in func(ID) bool) bool {
	if !t.grouped() {
		all, got := 0, 0
		for _, m := range t {
			if m.Observer {
				continue
			}
			all++
			if in(m.ID) {
				got++
			}
		}
		return got > all/2
	}
	total, got := map[int]int{}, map[int]int{}
	for _, m := range t {
		total[m.Group] += m.Weight
		if in(m.ID) {
			got[m.Group] += m.Weight
		}
	}
	groups, won := 0, 0
	for g, w := range total { // any order: it is a sum
		if w > 0 {
			groups++
			if got[g] > w/2 {
				won++
			}
		}
	}
	return won > groups/2
}

// slowPosition tries every position anybody acknowledged, and 0.
func slowPosition(members []Member, contains func(func(ID) bool) bool, acked func(ID) uint64) uint64 {
	best := uint64(0)
	for _, m := range members {
		if p := acked(m.ID); p > best && contains(func(id ID) bool { return acked(id) >= p }) {
			best = p
		}
	}
	return best
}

// randomMembers returns a membership that Validate accepts, with ids that are neither dense nor in order.
func randomMembers(r *rand.Rand, most int) []Member {
	for {
		grouped := r.IntN(2) == 0
		groups := 1 + r.IntN(5)
		ids := r.Perm(3 * most)
		members := make([]Member, 1+r.IntN(most))
		for i := range members {
			m := Member{ID: ID(ids[i] + 1)}
			switch {
			case r.IntN(6) == 0:
				m.Observer = true
			case grouped:
				m.Group = 1 + r.IntN(groups)
				m.Weight = r.IntN(4)
				if r.IntN(20) == 0 {
					m.Weight = MaxWeight
				}
			}
			members[i] = m
		}
		if Validate(members) == nil {
			return members
		}
	}
}

func must(t testing.TB, members []Member) Verifier {
	t.Helper()
	v, err := New(members)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAgainstTwin(t *testing.T) {
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 1))
		most := 9
		if seed%50 == 0 {
			most = 60 // more than fit on the stack
		}
		a, b := randomMembers(r, most), randomMembers(r, most)
		acks := map[ID]uint64{}
		for id := range ID(3*most + 1) {
			acks[id] = uint64(r.IntN(8)) // observers, strangers and id 0 too
		}
		acked := func(id ID) uint64 { return acks[id] }
		in := func(id ID) bool { return acks[id]%2 == 0 }

		va, vb := must(t, a), must(t, b)
		both := func(in func(ID) bool) bool { return twin(a).contains(in) && twin(b).contains(in) }
		for _, c := range []struct {
			name     string
			v        Verifier
			members  []Member
			contains func(func(ID) bool) bool
		}{
			{"a", va, a, twin(a).contains},
			{"b", vb, b, twin(b).contains},
			{"joint", Joint(va, vb), slices.Concat(a, b), both},
		} {
			if got, want := c.v.Contains(in), c.contains(in); got != want {
				t.Fatalf("seed %d, %s of %v: Contains is %v, want %v, of acks %v", seed, c.name, c.members, got, want, acks)
			}
			if got, want := c.v.Position(acked), slowPosition(c.members, c.contains, acked); got != want {
				t.Fatalf("seed %d, %s of %v: Position is %d, want %d, of acks %v", seed, c.name, c.members, got, want, acks)
			}
			checkRoll(t, c.v, c.members)
		}
	}
}

// checkRoll checks what v says about each member. In a joint membership an id may appear twice, and once is enough.
func checkRoll(t *testing.T, v Verifier, members []Member) {
	t.Helper()
	votes, leads := map[ID]bool{}, map[ID]bool{}
	for _, m := range members {
		votes[m.ID] = votes[m.ID] || !m.Observer
		leads[m.ID] = leads[m.ID] || !m.Observer && (m.Group == 0 || m.Weight > 0)
	}
	var voters []ID
	for id := range ID(200) {
		if v.Votes(id) != votes[id] || v.CanLead(id) != leads[id] {
			t.Fatalf("%v: id %d votes %v, leads %v; want %v, %v", members, id, v.Votes(id), v.CanLead(id), votes[id], leads[id])
		}
		if votes[id] {
			voters = append(voters, id)
		}
	}
	if !slices.Equal(v.Voters(), voters) {
		t.Fatalf("%v: voters %v, want %v", members, v.Voters(), voters)
	}
}

// Only voters are asked about: a caller may index a table of voters without a check.
func TestAsksOnlyVoters(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		va, vb := must(t, randomMembers(r, 9)), must(t, randomMembers(r, 9))
		for _, v := range []Verifier{va, vb, Joint(va, vb)} {
			v.Contains(func(id ID) bool {
				if !v.Votes(id) {
					t.Fatalf("seed %d: Contains asked about %d", seed, id)
				}
				return true
			})
			v.Position(func(id ID) uint64 {
				if !v.Votes(id) {
					t.Fatalf("seed %d: Position asked about %d", seed, id)
				}
				return 1
			})
		}
	}
}

// New must not see later changes of what it was given.
func TestNewKeepsNothing(t *testing.T) {
	members := []Member{{ID: 3}, {ID: 1}, {ID: 2}}
	v := must(t, members)
	if fmt.Sprint(members[0].ID, members[1].ID, members[2].ID) != "3 1 2" {
		t.Fatal("New reordered its argument")
	}
	members[0].ID = 9
	if v.Votes(9) || !v.Votes(3) {
		t.Fatal("New kept its argument")
	}
}
