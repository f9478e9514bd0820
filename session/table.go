package session

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"

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
	rows   []*row // by id; those that have ended go now and then
	ended  int    // of rows
	index  map[uint64]*row
	own    map[quorum.ID]*row // the sessions of members
	recent *row               // that was looked for last
	digest uint64
	key    Key
	later  int    // sessions that format 1 cannot hold
	opens  []open // speculative, oldest first
}

type row struct {
	Session
	window []slot // window[head:] are the decided requests from Low to Last
	head   int
	seed   uint64 // of digests: says what cannot change within a generation
	sum    uint64 // this row's share of the digest, without the window
	ended  bool

	// Speculative: as all outstanding transactions will leave it.
	closing    bool
	generation uint32 // the present one, or one to come
	high       uint64 // in it, at least Last
	low        uint64 // in it, at least Low
}

type slot struct {
	Entry
	digest uint64
}

type open struct {
	id    uint64
	owner quorum.ID // 0: it is nobody's own
	run   zab.Incarnation
}

func (t *Table) row(id uint64) *row {
	if t.recent == nil || t.recent.ID != id {
		r := t.index[id]
		if r == nil {
			return nil
		}
		t.recent = r
	}
	return t.recent
}

// at returns the row of a name's session and generation, or nil.
func (t *Table) at(n Name) *row {
	if r := t.row(n.Session); r != nil && r.Generation == n.Generation {
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
	if n := len(t.rows); n > 0 && t.rows[n-1].ID >= id || id == 0 {
		return ErrOutOfOrder
	}
	if len(t.index) >= MaxSessions && t.own[owner] == nil {
		return ErrFull
	}
	return nil
}

// Open creates the session id of owner's run, and ends owner's former one, whose id it returns (0: none). Silence of timeout milliseconds ends it; 0: none does.
func (t *Table) Open(id uint64, owner quorum.ID, run zab.Incarnation, timeout uint32) (closed uint64, err error) {
	if err := t.CanOpen(id, owner); err != nil {
		return 0, err
	}
	if r := t.own[owner]; r != nil {
		closed = r.ID
		t.close(r)
	}
	r := t.begin(Session{ID: id, Owner: owner, Run: run, Timeout: timeout})
	r.closing = t.pending(owner) != nil
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
	r := &row{Session: s, low: 1}
	t.add(r)
	for len(t.opens) > 0 && t.opens[0].id <= s.ID {
		t.opens = t.opens[1:]
	}
	return r
}

func (t *Table) add(r *row) {
	r.seed = r.hash()
	r.sum = r.state()
	t.digest += r.sum
	t.rows = append(t.rows, r)
	if t.index == nil {
		t.index, t.own = make(map[uint64]*row), make(map[quorum.ID]*row)
	}
	t.index[r.ID] = r
	if r.timing() != 0 {
		t.later++
	}
	if !r.Client {
		t.own[r.Owner] = r
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
	t.digest -= r.sum
	t.forget(r)
	delete(t.index, r.ID)
	if r.timing() != 0 {
		t.later--
	}
	if !r.Client {
		delete(t.own, r.Owner)
	}
	r.ended = true
	if t.ended++; t.ended > len(t.rows)/2 { // the rows are gone through once for as many that went
		t.rows = slices.DeleteFunc(t.rows, func(x *row) bool { return x.ended })
		t.ended = 0
	}
}

// forget takes the window out of the digest.
func (t *Table) forget(r *row) {
	for i := range r.window[r.head:] {
		t.digest -= r.window[r.head+i].digest
	}
	r.window, r.head = nil, 0
}

// Move lets owner's run serve a session from now on, in its next generation, which it returns: sequences begin at 1 again, and nothing is decided of
// the generations before any more. The own session of a member becomes a client's.
func (t *Table) Move(id uint64, owner quorum.ID, run zab.Incarnation) (generation uint32, err error) {
	r := t.row(id)
	switch {
	case r == nil:
		return 0, ErrUnknown
	case r.Generation == math.MaxUint32:
		return 0, ErrFull
	}
	if !r.Client {
		delete(t.own, r.Owner)
	}
	if r.timing() == 0 {
		t.later++
	}
	t.digest -= r.sum
	t.forget(r)
	r.Owner, r.Run, r.Client = owner, run, true
	r.Generation, r.Low, r.Last = r.Generation+1, 1, 0
	if r.generation <= r.Generation {
		r.follow()
	}
	r.seed = r.hash()
	r.sum = r.state()
	t.digest += r.sum
	return r.Generation, nil
}

// follow is what nothing outstanding leaves.
func (r *row) follow() {
	if r.generation != r.Generation {
		r.generation, r.high, r.low = r.Generation, 0, 0
	}
	r.high, r.low = max(r.high, r.Last), max(r.low, r.Low)
}

// CanDecide tells what is wrong with deciding the request as z, if anything.
func (t *Table) CanDecide(n Name, low uint64, z zab.Zxid) error {
	r := t.at(n)
	switch {
	case r == nil:
		return ErrUnknown
	case n.Sequence != r.Last+1, low > n.Sequence, r.Last >= r.Low && z <= r.window[len(r.window)-1].Zxid:
		return ErrOutOfOrder
	case n.Sequence-max(low, r.Low) >= MaxWindow:
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
	r := t.at(n)
	t.digest -= r.sum
	for ; r.Low < low; r.Low++ {
		if r.head < len(r.window) {
			t.digest -= r.window[r.head].digest
			r.window[r.head] = slot{}
			r.head++
		}
	}
	if len(r.window) == cap(r.window) && r.head > len(r.window)/2 {
		kept := copy(r.window, r.window[r.head:])
		clear(r.window[kept:])
		r.window, r.head = r.window[:kept], 0
	}
	e.Sequence = n.Sequence
	s := slot{e, e.hash(r.seed)}
	r.window = append(r.window, s)
	t.digest += s.digest
	r.Last = n.Sequence
	if r.generation == r.Generation {
		r.high, r.low = max(r.high, r.Last), max(r.low, r.Low)
	}
	r.sum = r.state()
	t.digest += r.sum
	return nil
}

// Lookup returns the decision about n; ok is false when there is none, or it is below Low.
func (t *Table) Lookup(n Name) (e Entry, ok bool) {
	r := t.at(n)
	if r == nil || n.Sequence < r.Low || n.Sequence > r.Last {
		return Entry{}, false
	}
	return r.window[r.head+int(n.Sequence-r.Low)].Entry, true
}

// Get returns the session with that id.
func (t *Table) Get(id uint64) (Session, bool) {
	if r := t.row(id); r != nil {
		return r.Session, true
	}
	return Session{}, false
}

// Find returns the own session of owner's run.
func (t *Table) Find(owner quorum.ID, run zab.Incarnation) (id uint64, ok bool) {
	if r := t.own[owner]; r != nil && r.Run == run {
		return r.ID, true
	}
	return 0, false
}

// Own returns the own session of a member, of whichever run.
func (t *Table) Own(owner quorum.ID) (Session, bool) {
	if r := t.own[owner]; r != nil {
		return r.Session, true
	}
	return Session{}, false
}

// Len returns the number of sessions.
func (t *Table) Len() int { return len(t.index) }

// All returns the sessions in the order of their ids.
func (t *Table) All() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for _, r := range t.rows {
			if !r.ended && !yield(r.Session) {
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
	return r != nil && (!r.closing || mutant.On("call-after-close")) && n.Generation == r.generation && n.Sequence == r.high+1 && low <= n.Sequence && n.Sequence-max(low, r.low) < MaxWindow
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
	r := t.own[owner]
	switch {
	case r == nil && !t.CanOpenFor(), t.CanOpen(id, owner) != nil:
		return 0, false
	case r == nil, r.closing, r.generation != r.Generation: // it will be gone
		return 0, true
	}
	return r.ID, r.Run != run
}

// Outstanding tells whether any session is proposed and not opened yet.
func (t *Table) Outstanding() bool { return len(t.opens) > 0 }

// Opening tells whether the session id is proposed and not opened yet.
func (t *Table) Opening(id uint64) bool {
	_, ok := slices.BinarySearchFunc(t.opens, id, func(o open, id uint64) int { return cmp.Compare(o.id, id) })
	return ok
}

// CanOpenFor tells whether there is room for one more session, proposed ones included.
func (t *Table) CanOpenFor() bool { return len(t.index)+len(t.opens) < MaxSessions }

// ClaimOpen notes that a fresh session is proposed: owner's own, or, if that is 0, a client's. Calls of owner's former one are not fresh any more.
func (t *Table) ClaimOpen(id uint64, owner quorum.ID, run zab.Incarnation) {
	if r := t.own[owner]; r != nil && r.generation == r.Generation { // and is not about to move
		r.closing = true
	}
	t.opens = append(t.opens, open{id, owner, run})
}

// FreshEnd tells whether a session whose time is over is to be ended: it is there, its end is not proposed, and nobody is about to serve it anew, who is
// a sign of life.
func (t *Table) FreshEnd(id uint64) bool {
	r := t.row(id)
	return r != nil && !r.closing && r.generation == r.Generation
}

// ClaimClose notes that the end of a session is proposed: none of its calls is fresh any more.
func (t *Table) ClaimClose(id uint64) { t.row(id).closing = true }

// FreshMove tells whether a session can be moved.
func (t *Table) FreshMove(id uint64) bool {
	r := t.row(id)
	return r != nil && !r.closing && r.generation < math.MaxUint32
}

// ClaimMove notes that a move is proposed. Calls of the generation before are not fresh any more, those of the next are.
func (t *Table) ClaimMove(id uint64) {
	r := t.row(id)
	r.generation++
	r.high, r.low = 0, 1
}

// Lives reports whether a session is there, in that generation, and neither its end nor its move is proposed: where the next generation begins, nothing that
// comes later is confirmed to this one.
func (t *Table) Lives(id uint64, generation uint32) bool {
	r := t.row(id)
	return r != nil && !r.closing && (r.Generation == generation && r.generation == generation || mutant.On("old-generation-lives"))
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

// Abandon forgets all that was claimed and is not applied.
func (t *Table) Abandon() {
	t.opens = nil
	for _, r := range t.rows {
		r.generation, r.high, r.low, r.closing = r.Generation, r.Last, r.Low, false
	}
}
