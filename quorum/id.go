package quorum

// ID names a member. It is 1 or more, never reused for another data directory, and says nothing about addresses.
type ID uint64

// Member is one entry of a membership.
type Member struct {
	ID       ID
	Addr     string // whatever the host's Transport understands
	Observer bool   // an observer receives everything and is never counted

	// Group and Weight are for hierarchical quorums. With Group 0 everywhere, quorums are majorities and Weight must be 0.
	// Otherwise every voter has a Group of 1 or more and its Weight as written; a Weight of 0 never adds to a quorum and
	// its member never leads.
	Group, Weight int
}
