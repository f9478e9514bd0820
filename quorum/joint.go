package quorum

import "slices"

type joint struct {
	a, b   Verifier
	voters []ID
}

// Joint returns the Verifier of the passage from a to b, or back: a quorum needs a quorum of each, the voters are the
// voters of both, and Position is the lesser of the two.
//
// CanLead holds for whoever can lead in either. The leader that drives the passage may be one that b drops, and after its
// fall the longest history may be with a voter of one side only; refusing either could leave an ensemble with both quorums
// alive and nobody to lead it. It is safe, because who leads is still decided by a quorum of each. A leader that the
// outcome drops must resign when the passage is over, and not before.
func Joint(a, b Verifier) Verifier {
	voters := slices.Concat(a.Voters(), b.Voters())
	slices.Sort(voters)
	return &joint{a, b, slices.Compact(voters)}
}

func (j *joint) Contains(in func(ID) bool) bool { return j.a.Contains(in) && j.b.Contains(in) }

func (j *joint) Position(acked func(ID) uint64) uint64 {
	return min(j.a.Position(acked), j.b.Position(acked))
}

func (j *joint) Voters() []ID       { return j.voters }
func (j *joint) Votes(id ID) bool   { return has(j.voters, id) }
func (j *joint) CanLead(id ID) bool { return j.a.CanLead(id) || j.b.CanLead(id) }
