package datatree

// The bounds of one transaction, whatever request it comes of: above either the request is refused with ErrTooLarge, at the op that goes beyond. The leader judges, so they are
// the same for all. What ends a session is never refused: MaxEphemerals bounds it.
const (
	// MaxTxn bounds the bytes of a transaction, and those of the paths of parents that are made with it. It is more than the largest request makes, unless the request has
	// much that is short there and long here: ACLs that say Auth for a caller with many identities, or tens of thousands of sequential, ephemeral or mortal znodes. It is
	// less than what a transport queues for a peer: a transaction above that would never arrive, and the ensemble would commit nothing any more.
	MaxTxn = 5 << 20
	// MaxChanges bounds how many znodes a transaction changes, the parent counted anew for each child that is made or deleted: while it is applied nothing else is done.
	MaxChanges = 1 << 16
)

// effort is what the transaction that is being judged comes to, beside its own bytes.
type effort struct {
	dst     int // what stood before it
	changes int // the number of the first
	paths   int // bytes of those that are made and not named
	begun   int // ephemerals
}

// undertake begins to judge a transaction that is appended to dst.
func (o *outstanding) undertake(dst []byte) {
	o.effort = effort{dst: len(dst), changes: o.changes.end()}
}

// tooMuch reports whether that transaction, as it is now, is more than one may be.
func (o *outstanding) tooMuch(txn []byte) bool {
	e := &o.effort
	return len(txn)-e.dst+e.paths > MaxTxn || o.changes.end()-e.changes > MaxChanges
}
