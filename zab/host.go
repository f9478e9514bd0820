package zab

// SnapshotReader encodes one state piece by piece.
type SnapshotReader interface {
	// Zxid is the position of the state.
	Zxid() Zxid
	// Next returns the next chunk, which the caller owns, and whether it is the last. After an error, which is for good, there are no more.
	Next() (chunk []byte, last bool, err error)
	// Close lets go of the state; it may be called early.
	Close()
}

// Role of a member in the protocol.
type Role uint8

// The roles.
const (
	Looking Role = iota
	Following
	Leading
	Observing
	Stopped
)

// String returns the name of the role.
func (r Role) String() string {
	switch r {
	case Looking:
		return "looking"
	case Following:
		return "following"
	case Leading:
		return "leading"
	case Observing:
		return "observing"
	}
	return "stopped"
}
