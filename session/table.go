package session

import (
	"cmp"
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The bounds of a table.
const (
	MaxSessions = 1 << 12 // at most one of each owner
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
}

// Table is the table of sessions. The zero value is the empty one.
type Table struct {
	rows   []*row // by id
	recent *row   // that was looked for last
	digest uint64
	opens  []open // speculative, oldest first
}

type row struct {
	Session
	window []slot // window[head:] are the decided requests from Low to Last
	head   int
	seed   uint64 // of digests: says what cannot change within a generation
	sum    uint64 // this row's share of the digest, without the window

	// Speculative: as all outstanding transactions will leave it.
	high    uint64 // at least Last
	low     uint64 // at least Low
	closing bool
}

type slot struct {
	Entry
	digest uint64
}

type open struct {
	id    uint64
	owner quorum.ID
	run   zab.Incarnation
}

func (t *Table) row(id uint64) *row {
	if t.recent != nil && t.recent.ID == id {
		return t.recent
	}
	i, ok := slices.BinarySearchFunc(t.rows, id, func(r *row, id uint64) int { return cmp.Compare(r.ID, id) })
	if !ok {
		return nil
	}
	t.recent = t.rows[i]
	return t.recent
}

// at returns the row of a name's session and generation, or nil.
func (t *Table) at(n Name) *row {
	if r := t.row(n.Session); r != nil && r.Generation == n.Generation {
		return r
	}
	return nil
}

// CanOpen tells what is wrong with opening a session as id, if anything.
func (t *Table) CanOpen(id uint64, owner quorum.ID) error {
	if n := len(t.rows); n > 0 && t.rows[n-1].ID >= id || id == 0 {
		return ErrOutOfOrder
	}
	if len(t.rows) >= MaxSessions && t.owned(owner) == nil {
		return ErrFull
	}
	return nil
}

// Open creates the session id of owner's run, and ends owner's former one, whose id it returns (0: none).
func (t *Table) Open(id uint64, owner quorum.ID, run zab.Incarnation) (closed uint64, err error) {
	if err := t.CanOpen(id, owner); err != nil {
		return 0, err
	}
	if r := t.owned(owner); r != nil {
		closed = r.ID
		t.close(r)
	}
	r := &row{Session: Session{ID: id, Owner: owner, Run: run, Low: 1}, low: 1}
	t.add(r)
	for len(t.opens) > 0 && t.opens[0].id <= id {
		t.opens = t.opens[1:]
	}
	r.closing = t.pending(owner) != nil
	return closed, nil
}

func (t *Table) add(r *row) {
	r.seed = r.hash()
	r.sum = r.state()
	t.digest += r.sum
	t.rows = append(t.rows, r)
}

func (t *Table) close(r *row) {
	t.recent = nil
	t.digest -= r.sum
	for _, s := range r.window[r.head:] {
		t.digest -= s.digest
	}
	t.rows = slices.DeleteFunc(t.rows, func(x *row) bool { return x == r })
}

func (t *Table) owned(owner quorum.ID) *row {
	for _, r := range t.rows {
		if r.Owner == owner {
			return r
		}
	}
	return nil
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
	r.high, r.low = max(r.high, r.Last), max(r.low, r.Low)
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

// Find returns the session of owner's run.
func (t *Table) Find(owner quorum.ID, run zab.Incarnation) (id uint64, ok bool) {
	if r := t.owned(owner); r != nil && r.Run == run {
		return r.ID, true
	}
	return 0, false
}

// Len returns the number of sessions.
func (t *Table) Len() int { return len(t.rows) }

// Fresh tells whether a call is to be judged: it is the very next of its session, outstanding ones included. It is not when
// it is decided or outstanding already, when one before it is missing, when its session is unknown or about to end, or when
// the window is full.
func (t *Table) Fresh(n Name, low uint64) bool {
	r := t.at(n)
	return r != nil && !r.closing && n.Sequence == r.high+1 && low <= n.Sequence && n.Sequence-max(low, r.low) < MaxWindow
}

// Claim notes that a fresh call is proposed.
func (t *Table) Claim(n Name, low uint64) {
	r := t.at(n)
	r.high, r.low = n.Sequence, max(low, r.low)
}

// FreshOpen tells whether a session for owner's run is to be opened as id: there is none, proposed ones included.
func (t *Table) FreshOpen(id uint64, owner quorum.ID, run zab.Incarnation) bool {
	if p := t.pending(owner); p != nil {
		return p.run != run && id > t.opens[len(t.opens)-1].id
	}
	if n := len(t.opens); n > 0 && id <= t.opens[n-1].id || len(t.rows)+n >= MaxSessions && t.owned(owner) == nil {
		return false
	}
	_, exists := t.Find(owner, run)
	return !exists && t.CanOpen(id, owner) == nil
}

// ClaimOpen notes that a fresh session is proposed. Calls of owner's former one are not fresh any more.
func (t *Table) ClaimOpen(id uint64, owner quorum.ID, run zab.Incarnation) {
	if r := t.owned(owner); r != nil {
		r.closing = true
	}
	t.opens = append(t.opens, open{id, owner, run})
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
		r.high, r.low, r.closing = r.Last, r.Low, false
	}
}
