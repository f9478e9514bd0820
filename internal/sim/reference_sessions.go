package sim

import (
	"fmt"
	"slices"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The sessions of the naive tree: who has one, from which transaction to which, and what is asked on it. They follow from the log alone.

// line is what a member is asked on one session in one generation. The sequence of a call is its place.
type line struct {
	calls []*call
	last  uint64 // sequence committed last
}

// drop takes a call that is never committed out of a line.
func (l *line) drop(k *call) {
	for i := int(l.last); i < len(l.calls); i++ {
		if l.calls[i] == k {
			l.calls = slices.Delete(l.calls, i, i+1)
			return
		}
	}
}

// holder is one run of a member, for which a session is opened, and the next when that has ended.
type holder struct {
	id   quorum.ID
	run  uint32
	line *line // of its own session, or of the next
}

// tenure is one session.
type tenure struct {
	*line             // of the present generation
	id         uint64 // zxid of its beginning
	timeout    uint32 // in milliseconds; 0: silence does not end it
	own        bool   // a member's own
	by         *holder
	generation uint32
	lines      []*line  // of all generations
	since      zab.Zxid // it has this generation
	ended      bool
	end        zab.Zxid
	expired    bool   // by the leader, for silence
	took       int    // ephemerals, with its end
	writer     *guest // whose write was committed last,
	order      uint64 // and which of his

	assured  Time   // sending of the newest renewal that was confirmed to its client,
	promised bool   // if there is one
	attached []Time // when the client was told that a generation begins
	expiry   ending // proposed, if expired
}

// ledger is all sessions.
type ledger struct {
	bearers    map[zab.Incarnation]*holder
	sessions   map[uint64]*tenure
	living     []*tenure // that have not ended, by id
	own        map[quorum.ID]*tenure
	runs       map[quorum.ID]uint32 // that had a session last
	ownTimeout uint32
}

func newLedger() ledger {
	return ledger{bearers: map[zab.Incarnation]*holder{}, sessions: map[uint64]*tenure{}, own: map[quorum.ID]*tenure{}, runs: map[quorum.ID]uint32{}}
}

func (l *ledger) openAt(id uint64, z zab.Zxid) bool {
	x := l.sessions[id]
	return x != nil && zab.Zxid(x.id) <= z && (!x.ended || z < x.end)
}

// asked returns the request that a name is of, or nil.
func (l *ledger) asked(n core.Name) *request {
	x := l.sessions[n.Session]
	if x == nil || int(n.Generation) >= len(x.lines) {
		return nil
	}
	if calls := x.lines[n.Generation].calls; n.Sequence <= uint64(len(calls)) {
		return calls[n.Sequence-1].req
	}
	return nil
}

// lineOf returns where a call on a session waits.
func (l *ledger) lineOf(h *holder, session uint64, generation uint32) *line {
	if session == 0 {
		return h.line
	}
	return l.sessions[session].lines[generation]
}

// next takes the call that a transaction decides from its line.
func (f *reference) next(z zab.Zxid, t *core.Header) (*call, *tenure, error) {
	n := t.Name
	x := f.sessions[n.Session]
	switch {
	case x == nil || n.Generation > x.generation:
		return nil, nil, fmt.Errorf("inv/C1: %v decides a call of session %x, generation %d, which nobody has", z, n.Session, n.Generation)
	case x.ended && n.Sequence > x.last:
		return nil, nil, fmt.Errorf("inv/C9: %v decides a call of session %x, which has ended", z, n.Session)
	case n.Generation < x.generation:
		return nil, nil, fmt.Errorf("inv/C4: %v decides a call of generation %d of session %x, which has come to %d", z, n.Generation, n.Session, x.generation)
	case n.Sequence > 0 && n.Sequence <= x.last:
		return nil, nil, fmt.Errorf("inv/C1: call %d of session %x is committed at %v and again at %v", n.Sequence, x.id, x.calls[n.Sequence-1].want.zxid, z)
	case n.Sequence != x.last+1:
		return nil, nil, fmt.Errorf("inv/C4: session %x commits call %d at %v after call %d", x.id, n.Sequence, z, x.last)
	case n.Sequence > uint64(len(x.calls)):
		return nil, nil, fmt.Errorf("inv/C1: %v decides call %d of session %x, whose holder has made %d", z, n.Sequence, x.id, len(x.calls))
	}
	k := x.calls[x.last]
	x.last++
	if k.order != 0 {
		if x.writer != k.guest {
			x.writer, x.order = k.guest, 0
		}
		if k.order <= x.order {
			return nil, nil, fmt.Errorf("inv/C4: session %x commits write %d of its client at %v after write %d", x.id, k.order, z, x.order)
		}
		x.order = k.order
	}
	return k, x, nil
}

func (f *reference) begin(z zab.Zxid, timeout uint32, own bool, by *holder, l *line) {
	x := &tenure{line: l, id: uint64(z), timeout: timeout, own: own, by: by, lines: []*line{l}, since: z}
	f.sessions[x.id] = x
	f.living = append(f.living, x)
	if own {
		f.own[by.id] = x
	}
}

// open takes a session for a run of a member, with the end of the one for its former run.
func (f *reference) open(z zab.Zxid, t *core.Header) error {
	h := f.bearers[t.Run]
	if h == nil || h.id != t.Owner {
		return fmt.Errorf("inv/C1: %v opens a session for member %d that it has not asked for", z, t.Owner)
	}
	former, ends := f.own[h.id], uint64(0)
	if former != nil {
		ends = former.id
	}
	switch {
	case f.runs[h.id] > h.run || former != nil && former.by == h:
		return fmt.Errorf("inv/C4: %v opens a session for run %d of member %d, which is past or has one", z, h.run, h.id)
	case t.Ends != ends:
		return fmt.Errorf("inv/C9: %v ends session %x for the next run of member %d, which had %x", z, t.Ends, h.id, ends)
	case t.Timeout != f.ownTimeout:
		return fmt.Errorf("inv/C3: %v opens a session for member %d with a timeout of %d ms, not %d", z, h.id, t.Timeout, f.ownTimeout)
	}
	if former != nil {
		f.over(z, t, former)
	}
	f.runs[h.id] = h.run
	f.begin(z, t.Timeout, true, h, h.line)
	return nil
}

// expire takes the end of a session that its leader has decided.
func (f *reference) expire(z zab.Zxid, t *core.Header) error {
	x := f.sessions[t.Ends]
	switch {
	case x == nil || x.ended:
		return fmt.Errorf("inv/C9: %v ends session %x, which is not there", z, t.Ends)
	case x.timeout == 0:
		return fmt.Errorf("inv/C10: %v ends session %x, which silence does not end", z, t.Ends)
	}
	x.expired = true
	f.over(z, t, x)
	return nil
}

// over ends a session, and with it its ephemerals.
func (f *reference) over(z zab.Zxid, t *core.Header, x *tenure) {
	x.ended, x.end = true, z
	f.living = slices.DeleteFunc(f.living, func(y *tenure) bool { return y == x })
	f.noMoreOwn(x)
	d := draft{now: f.now, applied: func(path string) *znode { return f.now[path] }, zxid: z, at: atMilli(t.Time), maxData: maxData}
	for _, path := range f.ephemerals(x.id) {
		x.took++
		d.remove(path)
	}
	f.done(&d)
}

// noMoreOwn follows the end of a member's own session, or its move to a client: what it was asked and is not decided is asked on the next.
func (f *reference) noMoreOwn(x *tenure) {
	if !x.own {
		return
	}
	delete(f.own, x.by.id)
	l := &line{}
	for _, k := range x.calls[x.last:] {
		if k.req == nil || k.req.act != actClose {
			l.calls = append(l.calls, k)
		}
	}
	x.by.line, x.own = l, false
}

// ephemerals returns the paths of a session's, sorted.
func (f *reference) ephemerals(id uint64) (paths []string) {
	for path, n := range f.now { // sorted below
		if n.stat.EphemeralOwner == id {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// act carries out what a session is asked that is not a write.
func (f *reference) act(z zab.Zxid, t *core.Header, x *tenure, k *call) error {
	q := k.req
	switch q.act {
	case actCreate:
		if t.Code != 0 || !t.Creates || t.Timeout != q.timeout {
			return fmt.Errorf("inv/C3: %v opens no session of %d ms, which was asked: %+v", z, q.timeout, *t)
		}
		f.begin(z, q.timeout, false, x.by, &line{})
		return nil
	case actClose:
		if t.Code != 0 || t.Ends != x.id {
			return fmt.Errorf("inv/C3: %v does not end session %x, which was asked: %+v", z, x.id, *t)
		}
		f.over(z, t, x)
		return nil
	}
	y := f.sessions[q.about]
	can := y != nil && !y.ended && q.right && y != x
	if moves := t.Code == 0 && t.Moves == q.about; moves != can || !can && (t.Code == 0 || t.Moves != 0) {
		return fmt.Errorf("inv/C3: %v moves session %x to the caller: %v (verdict %d), the reference says %v", z, q.about, moves, t.Code, can)
	}
	if !can {
		k.want.err = core.ErrExpired
		return nil
	}
	f.noMoreOwn(y)
	y.by, y.since, y.line = x.by, z, &line{}
	y.generation++
	y.lines = append(y.lines, y.line)
	return nil
}

// checkSessions compares what a member knows of sessions with the newest state, if it is there.
func (w *World) checkSessions(n *node) {
	t := n.sm.Tree()
	if t.Zxid() != w.lastCommitted() {
		return
	}
	for _, x := range w.ref.living {
		got, ok := n.sm.Session(x.id)
		if !ok || got.Generation != x.generation || got.Timeout != x.timeout || got.Client == x.own || got.Owner != x.by.id || w.ref.bearers[got.Run] != x.by {
			w.fail("inv/C9", "member %d says of session %x at %v: %v, %+v, the reference says %+v", n.id, x.id, t.Zxid(), ok, got, *x)
		}
		if got, want := t.Ephemerals(x.id), w.ref.ephemerals(x.id); !slices.Equal(got, want) {
			w.fail("inv/C9", "the ephemerals of session %x at member %d at %v are %q, the reference says %q", x.id, n.id, t.Zxid(), got, want)
		}
	}
	if got, want := n.sm.Sessions(), len(w.ref.living); got != want {
		w.fail("inv/C9", "member %d has %d sessions at %v, the reference says %d", n.id, got, t.Zxid(), want)
	}
}

// gone checks that a member that has applied the end of a session has nothing left of it.
func (w *World) gone(n *node, d *delivery) {
	id := d.outcome.Closed
	if id == 0 {
		return
	}
	if left := n.sm.Tree().Ephemerals(id); len(left) > 0 {
		w.fail("inv/C9", "member %d has applied the end of session %x at %v, and %q are still there", n.id, id, d.zxid, left)
	}
}
