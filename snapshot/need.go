package snapshot

import (
	"fmt"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// Reset is a RESET of the log: the snapshot with which the history begins anew. Nothing older is used again.
type Reset struct {
	Pos    uint64 // of its record
	Zxid   zab.Zxid
	Length uint64
	Digest uint64
}

// Need tells which snapshots fit a log, as that was recovered.
type Need struct {
	// The log holds every entry after From, up to Upto. 0 for From is the beginning of the history.
	From, Upto zab.Zxid
	Reset      *Reset // the last one; nil: none
}

// named reports whether the RESET means this one.
func (n *Need) named(i *Info) bool {
	r := n.Reset
	return r != nil && i.Zxid == r.Zxid && i.Length == r.Length && i.Digest == r.Digest
}

// before reports whether it is older than the RESET.
func (n *Need) before(i *Info) bool {
	return n.Reset != nil && !n.named(i) && i.Pos > 0 && (i.Pos < n.Reset.Pos || i.Zxid < n.Reset.Zxid)
}

// Unfit tells why a snapshot that is whole does not fit; "" if it does.
func (n *Need) Unfit(i *Info) string {
	switch {
	case i.Zxid < n.From:
		return fmt.Sprintf("the log goes back to %v only", n.From)
	case i.Zxid > n.Upto:
		return fmt.Sprintf("the log ends at %v", n.Upto)
	case n.before(i) && !mutant.On("snapshot-across-reset"):
		return fmt.Sprintf("it is from before the RESET at position %d", n.Reset.Pos)
	case i.Pos == 0 && !n.named(i) && !mutant.On("snapshot-received-unasked"): // its history may be another one than the log's, though its zxid lies between two of the log
		return "it was received, and the log was not reset to it"
	}
	return ""
}

// position is that of the record with which the state of a snapshot that fits was reached.
func (n *Need) position(i *Info) uint64 {
	if i.Pos == 0 {
		return n.Reset.Pos
	}
	return i.Pos
}
