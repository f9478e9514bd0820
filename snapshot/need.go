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

// Need tells which snapshots fit a log.
type Need struct {
	// The log holds every entry after From, up to Upto. 0 for From is the beginning of the history.
	From, Upto zab.Zxid
	Reset      *Reset // the last one; nil: none
}

// unfit tells why a snapshot does not fit; "" if it does.
func (n *Need) unfit(i *Info) string {
	switch r := n.Reset; {
	case i.Zxid < n.From:
		return fmt.Sprintf("the log goes back to %v only", n.From)
	case i.Zxid > n.Upto:
		return fmt.Sprintf("the log ends at %v", n.Upto)
	case r == nil || mutant.On("snapshot-across-reset"):
	case i.Zxid == r.Zxid && i.Length == r.Length && i.Digest == r.Digest:
	case i.Pos < r.Pos || i.Zxid < r.Zxid:
		return fmt.Sprintf("it is from before the RESET at position %d", r.Pos)
	}
	return ""
}
