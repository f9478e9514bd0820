package sim

import (
	"fmt"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// holder is one run of a member, for which a session is opened. The sequence of a call is its place among those the machine took.
type holder struct {
	id      quorum.ID
	run     uint32
	calls   []*call
	session uint64 // once it is opened
	ended   bool   // its session was
	last    uint64 // sequence committed last
}

// reference judges every committed request anew, one after the other, on a naive tree, and knows what each must be answered.
type reference struct {
	past
	load       *workload // told what changes
	bearers    map[zab.Incarnation]*holder
	sessions   map[uint64]*holder
	newest     map[quorum.ID]*holder // with a session
	time       int64                 // of the last transaction
	judgedAt   map[zab.Zxid]zab.Zxid // what was applied where a proposal was judged
	numbers    map[parentLife]int    // the last that was given to a child
	numberedTo zab.Zxid
	watched    bool
	happened   map[zab.Zxid][]happening // if somebody watches
}

func newReference() *reference {
	return &reference{
		past: newPast(), bearers: map[zab.Incarnation]*holder{}, sessions: map[uint64]*holder{}, newest: map[quorum.ID]*holder{},
		numbers: map[parentLife]int{}, judgedAt: map[zab.Zxid]zab.Zxid{}, happened: map[zab.Zxid][]happening{},
	}
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
	h := f.sessions[t.Name.Session]
	if h == nil || t.Name.Generation != 0 {
		return fmt.Errorf("inv/C1: %v decides a call of session %x, generation %d, which nobody has", z, t.Name.Session, t.Name.Generation)
	}
	if seq := t.Name.Sequence; seq > 0 && seq <= h.last {
		return fmt.Errorf("inv/C1: call %d of session %x is committed at %v and again at %v", seq, h.session, h.calls[seq-1].want.zxid, z)
	} else if seq != h.last+1 {
		return fmt.Errorf("inv/C4: session %x commits call %d at %v after call %d", h.session, seq, z, h.last)
	} else if seq > uint64(len(h.calls)) {
		return fmt.Errorf("inv/C1: %v decides call %d of session %x, whose holder has made %d", z, seq, h.session, len(h.calls))
	}
	if h.ended {
		return fmt.Errorf("inv/C9: %v decides a call of session %x, which has ended", z, h.session)
	}
	k := h.calls[h.last]
	h.last++
	if k.answer != nil {
		k.want = &expected{zxid: z}
		return nil
	}
	want := f.judge(z, t.Time, k.req)
	if got := datatree.Code(t.Code).Err(); want.err == nil && givenAgain(k.req, t.Index, got) {
		return fmt.Errorf("inv/C11: request %d at %v is refused since the name of its number is taken", k.id, z)
	} else if got != want.err || t.Index != want.index {
		return fmt.Errorf("inv/C3: request %d at %v is proposed with verdict %v (operation %d), the reference says %v (%d)", k.id, z, got, t.Index, want.err, want.index)
	}
	k.want = want
	return nil
}

func (f *reference) open(z zab.Zxid, t *core.Header) error {
	h := f.bearers[t.Run]
	if h == nil || h.id != t.Owner {
		return fmt.Errorf("inv/C1: %v opens a session for member %d that it has not asked for", z, t.Owner)
	}
	old := f.newest[h.id]
	if h.session != 0 || old != nil && old.run > h.run {
		return fmt.Errorf("inv/C4: %v opens a session for run %d of member %d, which is past", z, h.run, h.id)
	}
	if old != nil {
		old.ended = true
	}
	h.session = uint64(z)
	f.sessions[h.session], f.newest[h.id] = h, h
	return nil
}

func atMilli(at int64) time.Time { return time.UnixMilli(at).UTC() }

// judge carries out a request, or refuses it.
func (f *reference) judge(z zab.Zxid, at int64, q *request) *expected {
	e := &expected{zxid: z, index: -1, request: q}
	if q.ops == nil && !q.multi {
		e.err = datatree.ErrBadArguments
		return e
	}
	applied := f.judgedAt[z]
	delete(f.judgedAt, z)
	d := draft{
		now: f.now, applied: func(path string) *znode { return f.asOf(path, applied) }, who: q.who, zxid: z, at: atMilli(at), maxData: maxData,
	}
	var index int
	if e.results, index, e.err = d.do(q.ops); e.err != nil {
		if q.multi {
			e.index = index
		}
		return e
	}
	f.take(z, d.changes)
	if f.watched && len(d.events) > 0 {
		f.happened[z] = d.events
	}
	if f.load != nil {
		f.load.changed(d.changes)
	}
	return e
}
