package quorum

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// quorums returns every set of voters that is a quorum, as a mask over ids 1 and up, having checked that adding a voter
// to a quorum leaves a quorum, from which it follows for every superset.
func quorums(t *testing.T, what any, v Verifier, n int) []uint {
	t.Helper()
	is := make([]bool, 1<<n)
	var found []uint
	for set := range uint(1) << n {
		is[set] = v.Contains(func(id ID) bool { return set>>(id-1)&1 == 1 })
		if is[set] {
			found = append(found, set)
		}
	}
	for _, set := range found {
		for i := range n {
			if !is[set|1<<i] {
				t.Fatalf("%v: %b is a quorum and %b is not", what, set, set|1<<i)
			}
		}
	}
	if is[0] || !is[len(is)-1] {
		t.Fatalf("%v: nobody a quorum %v, everybody a quorum %v", what, is[0], is[len(is)-1])
	}
	return found
}

func meet(t *testing.T, what any, a, b []uint) {
	t.Helper()
	for _, x := range a {
		for _, y := range b {
			if x&y == 0 {
				t.Fatalf("%v: quorums %b and %b do not meet", what, x, y)
			}
		}
	}
}

func smallest(sets []uint) int {
	least := 64
	for _, s := range sets {
		least = min(least, bits.OnesCount(s))
	}
	return least
}

func plain(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i].ID = ID(i + 1)
	}
	return members
}

func TestMajorityExhaustive(t *testing.T) {
	for n := 1; n <= 9; n++ {
		q := quorums(t, n, must(t, plain(n)), n)
		meet(t, n, q, q)
		if smallest(q) != n/2+1 {
			t.Errorf("%d voters: a quorum of %d", n, smallest(q))
		}
	}
}

// Every way to put up to four voters in groups with weights 0 to 3, then a sample of larger ones.
func TestHierarchyExhaustive(t *testing.T) {
	try := func(members []Member) {
		if Validate(members) != nil { // every weight 0
			return
		}
		q := quorums(t, members, must(t, members), len(members))
		meet(t, members, q, q)
	}
	const groups, weights = 4, 4
	for n := 1; n <= 4; n++ {
		ways := 1
		for range n {
			ways *= groups * weights
		}
		members := plain(n)
		for way := range ways {
			for i := range members {
				members[i].Group, members[i].Weight = 1+way%groups, way/groups%weights
				way /= groups * weights
			}
			try(members)
		}
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		members := plain(5 + r.IntN(5))
		groups := 1 + r.IntN(5)
		for i := range members {
			members[i].Group, members[i].Weight = 1+r.IntN(groups), r.IntN(4)
		}
		try(members)
	}
}

func TestNineInThreeGroups(t *testing.T) {
	members := plain(9)
	for i := range members {
		members[i].Group, members[i].Weight = 1+i/3, 1
	}
	q := quorums(t, members, must(t, members), 9)
	meet(t, members, q, q)
	if smallest(q) != 4 {
		t.Errorf("a quorum of %d", smallest(q))
	}
}

// A joint quorum meets every quorum of either side too: it is what makes the passage safe. The sides may have nobody in
// common, and one may be grouped while the other is not.
func TestJointExhaustive(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		n := 1 + r.IntN(9)
		side := func() []Member {
			for {
				var members []Member
				grouped := r.IntN(2) == 0
				for id := ID(1); id <= ID(n); id++ {
					if r.IntN(4) == 0 {
						continue
					}
					m := Member{ID: id}
					if grouped {
						m.Group, m.Weight = 1+r.IntN(3), r.IntN(3)
					}
					members = append(members, m)
				}
				if Validate(members) == nil {
					return members
				}
			}
		}
		ma, mb := side(), side()
		a, b := must(t, ma), must(t, mb)
		j := Joint(a, b)
		what := fmt.Sprintf("seed %d: %v and %v", seed, ma, mb)
		qj := quorums(t, what, j, n)
		meet(t, what, qj, qj)
		meet(t, what, qj, quorums(t, what, a, n))
		meet(t, what, qj, quorums(t, what, b, n))
	}
}
