package election

import (
	"cmp"
	"fmt"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Vote names a candidate, with what it stands on. The zero Vote is for nobody and less than any other.
type Vote struct {
	Leader quorum.ID
	Epoch  uint32   // the epoch that Leader has joined
	Zxid   zab.Zxid // the last in Leader's log
}

// Compare orders votes as one tuple: epoch, zxid, id. It returns -1, 0 or 1.
//
// The epoch comes first because a zxid says who proposed, not who synchronised: with epoch 2 joined and nothing proposed in
// it, (2, 1.5) has all that is committed, while (1, 1.9) may hold a tail that epoch 2 has cut off.
func (v Vote) Compare(o Vote) int {
	if mutant.On("zxid-first") || mutant.On("no-epoch-in-freshness") {
		return cmp.Or(cmp.Compare(v.Zxid, o.Zxid), cmp.Compare(v.Leader, o.Leader))
	}
	if mutant.On("zxid-forgotten") {
		return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), cmp.Compare(v.Leader, o.Leader))
	}
	return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), cmp.Compare(v.Zxid, o.Zxid), cmp.Compare(v.Leader, o.Leader))
}

// String returns the vote as "leader:epoch/zxid".
func (v Vote) String() string {
	if v == (Vote{}) {
		return "nobody"
	}
	return fmt.Sprintf("%d:%d/%v", v.Leader, v.Epoch, v.Zxid)
}
