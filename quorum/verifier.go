package quorum

// Verifier decides which sets of members are quorums. It is immutable. Any two quorums of one Verifier meet, and a
// superset of a quorum is one.
type Verifier interface {
	// Contains reports whether the members for which in returns true contain a quorum. in is called for voters only.
	Contains(in func(ID) bool) bool
	// Position returns the greatest p such that the voters whose acked position is p or more contain a quorum; 0 if none.
	// acked is called for voters only, and returns 0 for a member that has acknowledged nothing.
	Position(acked func(ID) uint64) uint64
	// Voters returns the ids of the voters in ascending order. The slice is shared and read-only.
	Voters() []ID
	// Votes reports whether id is a voter.
	Votes(id ID) bool
	// CanLead reports whether id may lead: a voter whose weight is not zero.
	CanLead(id ID) bool
}
