package session

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"

	"github.com/ensemble-go/ensemble/internal/byid"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The bounds of a table.
const (
	MaxSessions = 1 << 18
	MaxWindow   = 1 << 20 // entries; an owner must not have more calls in flight, since one beyond is not fresh and would wait
)

// What Open and Decide find wrong with a transaction that no leader proposed at this place of the history.
var (
	ErrUnknown    = errors.New("session: no such session or generation")
	ErrOutOfOrder = errors.New("session: zxid or sequence out of order")
	ErrFull       = errors.New("session: too many")
)

// Name names a request for ever.
type Name struct {
	Session    uint64 // zxid of the transaction that created the session
	Generation uint32 // from 0
	Sequence   uint64 // from 1 within the generation
}

// Entry is what was decided of one request.
type Entry struct {
	Sequence uint64
	Zxid     zab.Zxid
	Code     uint8 // of the verdict; 0: done
	Index    int32 // of the operation that was refused; -1: none, or it was the only one
	// Numbers are what whoever asked cannot know: those given to sequential names, in the order of the operations. The first is
	// by itself, because mostly there is no other; Number is -1 if there is none. An operation that gets a number takes more bytes
	// than that in its request, so a window never holds more than the requests that it answers.
	Number int32
	More   []int32
}

// Session is what the table says of one, without its window.
type Session struct {
	ID         uint64
	Owner      quorum.ID
	Run        zab.Incarnation
	Generation uint32
	Low        uint64 // all below is answered and forgotten
	Last       uint64 // sequence decided last; 0: none
	Timeout    uint32 // of silence that end it, in milliseconds; 0: silence does not
	// Client tells that it is not Owner's own, of which there is one at a time: Owner only serves it, for now.
	Client bool
}

// Table is the table of sessions. The zero value is the empty one.
type Table struct {
	rows   []*row // in the order of ids; nil: it has ended, and goes now and then
	ended  int    // of rows
	newest uint64 // id
	index  byid.Map[*row]
	own    map[quorum.ID]*row // the sessions of members
	homes  map[place]*home
	recent *row // that was looked for last
	digest uint64
	key    Key
	later  int // sessions that format 1 cannot hold
	size   size
	frozen uint32 // how often

	// Of the leader.
	era     uint32 // it begins anew when what was claimed is abandoned
	opens   []open // oldest first
	leading *leading
}

type open struct {
	id    uint64
	owner quorum.ID // 0: it is nobody's own
	run   zab.Incarnation
}

func (t *Table) row(id uint64) *row {
	if t.recent == nil || t.recent.id != id {
		r := t.index.Get(id)
		if r == nil {
			return nil
		}
		t.recent = r
	}
	return t.present(t.recent)
}

// present brings the speculative part of a row into the present era.
func (t *Table) present(r *row) *row {
	if r != nil && r.era != t.era {
		r.era, r.due = t.era, untracked
		r.next, r.high, r.low = r.generation, r.last(), r.lowest
	}
	return r
}

// ownOf returns the row of a member's own session, or nil.
func (t *Table) ownOf(owner quorum.ID) *row { return t.present(t.own[owner]) }

// writable returns the row whose replicated part may change in place of r.
func (t *Table) writable(r *row) *row {
	if r.made == t.frozen || mutant.On("snapshot-not-frozen") {
		return r
	}
	x := *r
	x.made, x.window = t.frozen, r.window.clone()
	t.rows[x.at], t.recent = &x, &x
	t.index.Put(&x)
	if !x.client {
		t.own[x.owner] = &x
	}
	return &x
}

// leave takes the row, without its window, out of the sums over all; enter brings it in, as it is then.
func (t *Table) leave(r *row) {
	t.digest -= r.counted()
	t.size.add(r, -1)
}

func (t *Table) enter(r *row) {
	t.digest += r.countsAs()
	t.size.add(r, 1)
}

// at returns the row of a name's session and generation, or nil.
func (t *Table) at(n Name) *row {
	if r := t.row(n.Session); r != nil && r.generation == n.Generation {
		return r
	}
	return nil
}

// Key returns the secret of the ensemble.
func (t *Table) Key() *Key { return &t.key }

// SetKey takes the secret of the ensemble, unless there is one already.
func (t *Table) SetKey(k Key) {
	if t.key == (Key{}) && k != (Key{}) {
		t.key = k
		t.digest += k.hash()
	}
}

// CanOpen tells what is wrong with opening a session as id, if anything: owner's own, or, if that is 0, a client's.
func (t *Table) CanOpen(id uint64, owner quorum.ID) error {
	if id <= t.newest {
		return ErrOutOfOrder
	}
	if t.index.Len() >= MaxSessions && t.own[owner] == nil {
		return ErrFull
	}
	return nil
}

// Open creates the session id of owner's run, and ends owner's former one, whose id it returns (0: none). Silence of timeout milliseconds ends it; 0: none does.
func (t *Table) Open(id uint64, owner quorum.ID, run zab.Incarnation, timeout uint32) (closed uint64, err error) {
	if err := t.CanOpen(id, owner); err != nil {
		return 0, err
	}
	if r := t.ownOf(owner); r != nil {
		closed = r.id
		t.close(r)
	}
	r := t.begin(Session{ID: id, Owner: owner, Run: run, Timeout: timeout})
	if t.pending(owner) != nil {
		r.due = closing
	}
	return closed, nil
}

// OpenFor creates the session id of a client that owner's run serves.
func (t *Table) OpenFor(id uint64, owner quorum.ID, run zab.Incarnation, timeout uint32) error {
	if err := t.CanOpen(id, 0); err != nil {
		return err
	}
	t.begin(Session{ID: id, Owner: owner, Run: run, Timeout: timeout, Client: true})
	return nil
}

func (t *Table) begin(s Session) *row {
	s.Low = 1
	r := t.newRow(s)
	t.add(r)
	t.track(r)
	for len(t.opens) > 0 && t.opens[0].id <= s.ID {
		t.opens = t.opens[1:]
	}
	return r
}

// newRow returns a row for s with an empty window.
func (t *Table) newRow(s Session) *row {
	return &row{
		id: s.ID, home: t.settle(place{s.Owner, s.Run, s.Client}), timeout: s.Timeout, generation: s.Generation, lowest: s.Low,
		era: t.era, next: s.Generation, high: s.Low - 1, low: s.Low, made: t.frozen,
	}
}

func (t *Table) add(r *row) {
	t.enter(r)
	r.at, t.newest = uint32(len(t.rows)), r.id
	t.rows = append(t.rows, r)
	t.index.Put(r)
	if r.timing() != 0 {
		t.later++
	}
	if !r.client {
		if t.own == nil {
			t.own = make(map[quorum.ID]*row)
		}
		t.own[r.owner] = r
	}
}

// Close ends a session.
func (t *Table) Close(id uint64) error {
	r := t.row(id)
	if r == nil {
		return ErrUnknown
	}
	t.close(r)
	return nil
}

func (t *Table) close(r *row) {
	t.recent = nil
	t.leave(r)
	t.forget(r)
	t.index.Delete(r.id)
	if r.timing() != 0 {
		t.later--
	}
	if !r.client {
		delete(t.own, r.owner)
	}
	t.depart(r.home)
	t.rows[r.at] = nil
	if t.ended++; t.ended > len(t.rows)/2 { // the rows are gone through once for as many that went
		t.pack()
	}
}

// pack takes the places of those that have ended out of the rows.
func (t *Table) pack() {
	if l := t.leading; l != nil {
		l.next -= ended(t.rows[:l.next])
		l.last -= ended(t.rows[:l.last])
	}
	t.rows = slices.DeleteFunc(t.rows, func(r *row) bool { return r == nil })
	for i, r := range t.rows {
		r.at = uint32(i)
	}
	t.ended = 0
}

func ended(rows []*row) (n int) {
	for _, r := range rows {
		if r == nil {
			n++
		}
	}
	return n
}

// forget takes the window out of the digest.
func (t *Table) forget(r *row) {
	if r.window == nil {
		return
	}
	for _, x := range r.window.slots[r.window.head:] {
		t.digest -= x.digest
	}
}

// Move lets owner's run serve a session from now on, in its next generation, which it returns: sequences begin at 1 again, and nothing is decided of
// the generations before any more. The own session of a member becomes a client's.
func (t *Table) Move(id uint64, owner quorum.ID, run zab.Incarnation) (generation uint32, err error) {
	r := t.row(id)
	switch {
	case r == nil:
		return 0, ErrUnknown
	case r.generation == math.MaxUint32:
		return 0, ErrFull
	}
	r = t.writable(r)
	if !r.client {
		delete(t.own, r.owner)
	}
	if r.timing() == 0 {
		t.later++
	}
	t.leave(r)
	t.forget(r)
	t.depart(r.home)
	r.home = t.settle(place{owner, run, true})
	r.generation, r.window, r.lowest = r.generation+1, nil, 1
	if r.next <= r.generation {
		r.follow()
	}
	t.enter(r)
	t.track(r) // whoever resumes it is alive
	return r.generation, nil
}

// follow is what nothing outstanding leaves.
func (r *row) follow() {
	if r.next != r.generation {
		r.next, r.high, r.low = r.generation, 0, 0
	}
	r.high, r.low = max(r.high, r.last()), max(r.low, r.lowest)
}

// CanDecide tells what is wrong with deciding the request as z, if anything.
func (t *Table) CanDecide(n Name, low uint64, z zab.Zxid) error {
	r := t.at(n)
	switch {
	case r == nil:
		return ErrUnknown
	case n.Sequence != r.last()+1, low > n.Sequence, r.count() > 0 && z <= r.window.slots[len(r.window.slots)-1].zxid:
		return ErrOutOfOrder
	case n.Sequence-max(low, r.lowest) >= MaxWindow:
		return ErrFull
	}
	return nil
}

// Decide puts e, the decision about the request that the call named n with the given low asked for, into the window. Its
// Sequence is n's.
func (t *Table) Decide(n Name, low uint64, e Entry) error {
	if err := t.CanDecide(n, low, e.Zxid); err != nil {
		return err
	}
	r := t.writable(t.at(n))
	t.digest -= r.counted()
	t.size.rows -= r.varies()
	for r.lowest < low {
		t.digest -= r.pop()
	}
	if r.window != nil {
		r.window.pack()
	}
	e.Sequence = n.Sequence
	t.digest += r.push(&e)
	if r.next == r.generation {
		r.follow()
	}
	t.digest += r.countsAs()
	t.size.rows += r.varies()
	return nil
}

// Lookup returns the decision about n; ok is false when there is none, or it is below Low.
func (t *Table) Lookup(n Name) (e Entry, ok bool) {
	r := t.at(n)
	if r == nil || n.Sequence < r.lowest || n.Sequence > r.last() {
		return Entry{}, false
	}
	return r.entry(n.Sequence), true
}

// Get returns the session with that id.
func (t *Table) Get(id uint64) (Session, bool) {
	if r := t.row(id); r != nil {
		return r.session(), true
	}
	return Session{}, false
}

// Find returns the own session of owner's run.
func (t *Table) Find(owner quorum.ID, run zab.Incarnation) (id uint64, ok bool) {
	if r := t.own[owner]; r != nil && r.run == run {
		return r.id, true
	}
	return 0, false
}

// Own returns the own session of a member, of whichever run.
func (t *Table) Own(owner quorum.ID) (Session, bool) {
	if r := t.own[owner]; r != nil {
		return r.session(), true
	}
	return Session{}, false
}

// Len returns the number of sessions.
func (t *Table) Len() int { return t.index.Len() }

// All returns the sessions in the order of their ids.
func (t *Table) All() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for _, r := range t.rows {
			if r != nil && !yield(r.session()) {
				return
			}
		}
	}
}

// Fresh tells whether a call is to be judged: it is the very next of its session, outstanding ones included. It is not when
// it is decided or outstanding already, when one before it is missing, when its session is unknown, about to end or to move, or when
// the window is full.
func (t *Table) Fresh(n Name, low uint64) bool {
	r := t.row(n.Session)
	return r != nil && (r.due != closing || mutant.On("call-after-close")) && (n.Generation == r.next || mutant.On("former-owner-judged")) && n.Sequence == r.high+1 && low <= n.Sequence && n.Sequence-max(low, r.low) < MaxWindow
}

// Claim notes that a fresh call is proposed.
func (t *Table) Claim(n Name, low uint64) {
	r := t.row(n.Session)
	r.high, r.low = n.Sequence, max(low, r.low)
}

// FreshOpen tells whether a session for owner's run is to be opened as id, proposed ones included, and which one it ends (0: none).
func (t *Table) FreshOpen(id uint64, owner quorum.ID, run zab.Incarnation) (ends uint64, ok bool) {
	if n := len(t.opens); n > 0 && id <= t.opens[n-1].id {
		return 0, false
	}
	if p := t.pending(owner); p != nil {
		return p.id, p.run != run
	}
	r := t.ownOf(owner)
	switch {
	case (r == nil || r.next != r.generation) && !t.CanOpenFor(), t.CanOpen(id, owner) != nil:
		return 0, false
	case r == nil, r.due == closing, r.next != r.generation: // it will be gone, or a client's
		return 0, true
	}
	return r.id, r.run != run
}

// Outstanding tells whether any session is proposed and not opened yet.
func (t *Table) Outstanding() bool { return len(t.opens) > 0 }

// Opening tells whether the session id is proposed and not opened yet.
func (t *Table) Opening(id uint64) bool {
	_, ok := slices.BinarySearchFunc(t.opens, id, func(o open, id uint64) int { return cmp.Compare(o.id, id) })
	return ok
}

// CanOpenFor tells whether there is room for one more session, proposed ones included.
func (t *Table) CanOpenFor() bool { return t.index.Len()+len(t.opens) < MaxSessions }

// ClaimOpen notes that a fresh session is proposed: owner's own, or, if that is 0, a client's. Calls of owner's former one are not fresh any more.
func (t *Table) ClaimOpen(id uint64, owner quorum.ID, run zab.Incarnation) {
	if r := t.ownOf(owner); r != nil && r.next == r.generation { // and is not about to move
		r.due = closing
	}
	t.opens = append(t.opens, open{id, owner, run})
}

// ClaimClose notes that the end of a session is proposed: none of its calls is fresh any more.
func (t *Table) ClaimClose(id uint64) { t.row(id).due = closing }

// FreshMove tells whether a session can be moved.
func (t *Table) FreshMove(id uint64) bool {
	r := t.row(id)
	return r != nil && (r.due != closing || mutant.On("ending-resumed")) && r.next < math.MaxUint32
}

// ClaimMove notes that a move is proposed. Calls of the generation before are not fresh any more, those of the next are.
func (t *Table) ClaimMove(id uint64) {
	r := t.row(id)
	r.next++
	r.high, r.low = 0, 1
}

// pending returns the newest session that is proposed for owner, or nil.
func (t *Table) pending(owner quorum.ID) *open {
	for i := len(t.opens) - 1; i >= 0; i-- {
		if t.opens[i].owner == owner {
			return &t.opens[i]
		}
	}
	return nil
}

// Abandon forgets all that was claimed and is not applied, and ends what Lead began.
func (t *Table) Abandon() {
	t.opens, t.leading = nil, nil
	t.era++
}
