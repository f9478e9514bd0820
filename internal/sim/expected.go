package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// expected is what the reference says of one committed request.
type expected struct {
	zxid    zab.Zxid
	err     error
	index   int // of the operation refused in a multi, else -1
	results []datatree.Result
	request *request
}

// isVerdict reports whether an answer is what the state machine said, and not that it was not asked.
func isVerdict(err error) bool {
	_, ok := errors.AsType[*datatree.OpError](err)
	return err == nil || ok
}

// compare judges an answer. An answer that a member found in a window, because it installed the state of recalled (else 0), knows the paths, and of the
// Stat what that state still says of this transaction.
func (e *expected) compare(r *core.Reply[core.Result], recalled zab.Zxid, p *past) error {
	if r.Zxid != e.zxid {
		return fmt.Errorf("the position is %v, the reference says %v", r.Zxid, e.zxid)
	}
	if e.err != nil || r.Err != nil {
		got, ok := errors.AsType[*datatree.OpError](r.Err)
		if !ok || got.Err != e.err || got.Index != e.index {
			return fmt.Errorf("the verdict is %v, the reference says %v (operation %d)", r.Err, e.err, e.index)
		}
		return nil
	}
	got := append([]datatree.Result{r.Result.First}, r.Result.Rest...)
	want := e.results
	if len(want) == 0 {
		want = []datatree.Result{{}}
	}
	if len(got) != len(want) {
		return fmt.Errorf("there are %d results, the reference says %d", len(got), len(want))
	}
	for i := range want {
		w := want[i]
		if recalled != 0 && w.Stat != (datatree.Stat{}) { // deletes and checks have none
			w.Stat = known(e.request.ops[i], w.Stat)
			if n := p.asOf(w.Path, recalled); n != nil && n.stat.Mzxid == e.zxid && w.Stat.Mzxid != 0 {
				w.Stat = n.stat
			}
		}
		if got[i] != w {
			return fmt.Errorf("result %d is %+v, the reference says %+v (recalled at %v)", i, got[i], w, recalled)
		}
	}
	return nil
}

// known is what of a Stat the request itself tells, where the state does not any more.
func known(op datatree.Op, was datatree.Stat) datatree.Stat {
	none := datatree.VersionOf(-2) // which no znode has
	switch op.(type) {
	case datatree.CreateOp:
		was.Ctime, was.Mtime, was.Cversion, was.NumChildren, was.DataLength = time.Time{}, time.Time{}, 0, 0, 0
		return was
	case datatree.SetOp:
		return datatree.Stat{Mzxid: was.Mzxid, Version: none, Aversion: none}
	}
	return datatree.Stat{Version: none, Aversion: none}
}
