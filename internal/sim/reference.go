package sim

import (
	"fmt"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// reference judges every committed request anew, one after the other, on a naive tree, and knows what each must be answered.
type reference struct {
	past
	load *workload // told what changes
	ledger
	time       int64                 // of the last transaction
	judgedAt   map[zab.Zxid]zab.Zxid // what was applied where a proposal was judged
	numbers    map[parentLife]int    // the last that was given to a child
	numberedTo zab.Zxid
	watched    bool
	happened   map[zab.Zxid][]happening // if somebody watches
}

func newReference() *reference {
	f := &reference{
		past: newPast(), ledger: newLedger(), numbers: map[parentLife]int{}, judgedAt: map[zab.Zxid]zab.Zxid{}, happened: map[zab.Zxid][]happening{},
	}
	f.past.openAt = f.ledger.openAt
	return f
}

// judged is told what a leader had applied when it judged z.
func (f *reference) judged(z, at zab.Zxid) { f.judgedAt[z] = at }

// commit takes the next committed transaction.
func (f *reference) commit(z zab.Zxid, txn []byte) error {
	t, ok := core.ReadHeader(txn)
	if !ok {
		return fmt.Errorf("inv/C3: %v is not a transaction", z)
	}
	if t.Time < f.time {
		return fmt.Errorf("inv/C3: the time of %v is %d, before it was %d", z, t.Time, f.time)
	}
	f.time = t.Time
	if t.Opens {
		return f.open(z, &t)
	}
	if t.Name.Session == 0 {
		return f.expire(z, &t)
	}
	k, x, err := f.next(z, &t)
	if err != nil {
		return err
	}
	switch {
	case k.answer != nil:
		k.want = &expected{zxid: z}
		return nil
	case k.req.act != 0:
		delete(f.judgedAt, z)
		k.want = &expected{zxid: z, index: -1, request: k.req}
		return f.act(z, &t, x, k)
	case t.Ends != 0 || t.Moves != 0 || t.Creates:
		return fmt.Errorf("inv/C9: %v ends, moves or opens a session, and decides a write", z)
	}
	want := f.judge(z, &t, k.req)
	if got := datatree.Code(t.Code).Err(); want.err == nil && givenAgain(k.req, t.Index, got) {
		return fmt.Errorf("inv/C11: request %d at %v is refused since the name of its number is taken", k.id, z)
	} else if got != want.err || t.Index != want.index {
		return fmt.Errorf("inv/C3: request %d at %v is proposed with verdict %v (operation %d), the reference says %v (%d)", k.id, z, got, t.Index, want.err, want.index)
	}
	k.want = want
	return nil
}

func atMilli(at int64) time.Time { return time.UnixMilli(at).UTC() }

// judge carries out a request, or refuses it.
func (f *reference) judge(z zab.Zxid, t *core.Header, q *request) *expected {
	e := &expected{zxid: z, index: -1, request: q}
	if q.ops == nil && !q.multi {
		e.err = datatree.ErrBadArguments
		return e
	}
	applied := f.judgedAt[z]
	delete(f.judgedAt, z)
	d := draft{
		now: f.now, applied: func(path string) *znode { return f.asOf(path, applied) }, who: q.who, zxid: z, at: atMilli(t.Time), maxData: maxData,
		session: t.Name.Session,
	}
	if q.who != nil {
		d.session = q.who.Session
	}
	var index int
	if e.results, index, e.err = d.do(q.ops); e.err != nil {
		if q.multi {
			e.index = index
		}
		return e
	}
	f.done(&d)
	return e
}

// done makes what a draft has come to the newest state.
func (f *reference) done(d *draft) {
	f.take(d.zxid, d.changes)
	if f.watched && len(d.events) > 0 {
		f.happened[d.zxid] = d.events
	}
	if f.load != nil {
		f.load.changed(d.changes)
	}
}
