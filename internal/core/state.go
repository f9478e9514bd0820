package core

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// Result is what the operations of one request did. The first is by itself, so that a single operation costs no memory.
type Result struct {
	First datatree.Result
	Rest  []datatree.Result
}

// ErrState is given for a transaction or a snapshot that no member with this history made.
var ErrState = errors.New("core: transaction or snapshot does not belong to this state")

var errClosed = errors.New("core: the snapshot is closed")

// Znodes is the state machine of the tree of znodes and the sessions that write to it.
//
// A refusal of a request is an *datatree.OpError with Index and Err only: the member that asked knows the rest.
type Znodes struct {
	tree     *datatree.Tree
	sessions *session.Table
	secret   session.Key
	caller   datatree.Caller
	now      int64 // time of the newest applied transaction
	next     int64 // of the newest outstanding one, if that is later
	last     zab.Zxid
	maxData  int
	arena    []byte // where small transactions are made, side by side
}

var _ StateMachine[*datatree.View, Result] = (*Znodes)(nil)

// NewZnodes returns the state of an empty history. Data longer than maxData is refused.
func NewZnodes(maxData int) *Znodes {
	return &Znodes{tree: datatree.New(maxData), sessions: new(session.Table), maxData: maxData}
}

// A transaction begins with a byte that says what it is, then come varints:
//
//	call: session, generation, sequence, low, time, verdict; then, if the verdict is 0, the transaction of the tree,
//	      else the index of the refused operation plus 1
//	open: owner, run (16 bytes), time
//	begin: owner, run (16 bytes), time, timeout, the session that it ends (0: none), whether a key follows, the key (32 bytes); then, if it ends one, the
//	      transaction of the tree. An open with a timeout, as it is written now
//	end: session, time; then the transaction of the tree
//	create: a call with verdict 0 that opens a client's session; then timeout, whether a key follows, the key
//	move: a call with verdict 0 that moves a session to the member that called; then session
//	close: a call with verdict 0 that ends its own session; then the transaction of the tree
//
// Times are milliseconds since 1970.
const (
	txnCall   = 1
	txnOpen   = 2 // only read
	txnBegin  = 3
	txnEnd    = 4
	txnCreate = 5
	txnMove   = 6
	txnClose  = 7
)

// time returns that of the next transaction: it never goes back.
func (s *Znodes) time(wall int64) int64 { return max(wall, s.now, s.next) }

// Prepare is PrepareFor for the host itself.
func (s *Znodes) Prepare(z zab.Zxid, wall int64, c Call) ([]byte, bool) {
	return s.PrepareFor(nil, z, wall, c)
}

// PrepareFor is Prepare for a call of who, if its payload does not say whose it is; nil is the host itself, on the session that the call is named by.
func (s *Znodes) PrepareFor(who *datatree.Caller, z zab.Zxid, wall int64, c Call) ([]byte, bool) {
	name := session.Name(c.Name)
	if z <= s.last || z <= s.tree.Zxid() || !s.fresh(name, c.Low) {
		return nil, false
	}
	at := s.time(wall)
	txn := append(s.room(len(c.Payload)+64), txnCall)
	kind := len(txn) - 1
	for _, v := range [...]uint64{name.Session, uint64(name.Generation), name.Sequence, c.Low, uint64(at)} {
		txn = binary.AppendUvarint(txn, v)
	}
	verdict := len(txn)
	txn, err := s.judge(who, z, at, name.Session, c.Payload, append(txn, 0), kind)
	if err != nil {
		txn[kind] = txnCall
		index := -1
		if e, ok := errors.AsType[*datatree.OpError](err); ok {
			index = e.Index
		}
		txn = binary.AppendUvarint(txn[:verdict], uint64(codeOf(err)))
		txn = binary.AppendUvarint(txn, uint64(index+1))
	}
	if txn[kind] == txnClose {
		s.sessions.ClaimClose(name.Session)
	} else {
		s.sessions.Claim(name, c.Low)
	}
	s.next, s.last = at, z
	return s.made(txn), true
}

// The memory of transactions is taken many at a time: they stay in the history for about as long as their neighbours.
const (
	arenaBytes   = 32 << 10
	arenaLargest = arenaBytes / 8 // transactions above it get memory of their own
)

// room returns an empty slice for a transaction of about n bytes.
func (s *Znodes) room(n int) []byte {
	if n > arenaLargest {
		return make([]byte, 0, n)
	}
	if cap(s.arena)-len(s.arena) < n {
		s.arena = make([]byte, 0, arenaBytes)
	}
	return s.arena[len(s.arena):]
}

// made takes the room that txn fills out of the arena, if it is there.
func (s *Znodes) made(txn []byte) []byte {
	n := len(s.arena)
	if whole := s.arena[:cap(s.arena)]; len(txn) <= len(whole)-n && &whole[n] == &txn[0] {
		s.arena = s.arena[:n+len(txn)]
		return txn[:len(txn):len(txn)]
	}
	return txn
}

// fresh tells whether a call is to be judged. One that is decided, or outstanding, never is again.
func (s *Znodes) fresh(n session.Name, low uint64) bool {
	if mutant.On("retry-judged-anew") {
		if _, decided := s.sessions.Lookup(n); decided {
			return true
		}
	}
	return s.sessions.Fresh(n, low)
}

// Abandon forgets what was prepared and is not applied.
func (s *Znodes) Abandon() {
	s.tree.Abandon()
	s.sessions.Abandon()
	s.next, s.last = 0, 0
}

// Apply applies a committed transaction, and returns what came of it.
func (s *Znodes) Apply(z zab.Zxid, txn []byte) (Outcome[Result], error) {
	var o Outcome[Result]
	if len(txn) == 0 || z <= s.tree.Zxid() {
		return o, ErrState
	}
	h := header{b: txn[1:]}
	switch txn[0] {
	case txnOpen:
		owner := quorum.ID(h.uint(math.MaxUint64))
		var run zab.Incarnation
		h.b = h.b[copy(run[:], h.b):]
		at := int64(h.uint(math.MaxInt64))
		if h.bad || len(h.b) != 0 || s.sessions.CanOpen(uint64(z), owner) != nil {
			return o, ErrState
		}
		if err := s.tree.Advance(z); err != nil {
			return o, err
		}
		closed, err := s.sessions.Open(uint64(z), owner, run, 0)
		if err != nil {
			return o, err
		}
		s.now, o.Zxid = at, z
		o.Opened, o.Owner, o.Run, o.Session, o.Closed = true, owner, run, uint64(z), closed
		return o, nil
	case txnBegin:
		return s.applyBegin(z, &h)
	case txnEnd:
		return s.applyEnd(z, &h)
	case txnCall, txnCreate, txnMove, txnClose:
		name := session.Name{
			Session: h.uint(math.MaxUint64), Generation: uint32(h.uint(math.MaxUint32)), Sequence: h.uint(math.MaxUint64),
		}
		low, at := h.uint(math.MaxUint64), int64(h.uint(math.MaxInt64))
		e := session.Entry{Zxid: z, Code: uint8(h.uint(math.MaxUint8)), Index: -1, Number: -1}
		if h.bad || s.sessions.CanDecide(name, low, z) != nil {
			return o, ErrState
		}
		o.Name, o.Zxid = Name(name), z
		switch {
		case txn[0] != txnCall && e.Code != 0:
			return o, ErrState
		case txn[0] == txnClose:
			if _, err := s.tree.Apply(z, at, h.b); err != nil {
				return o, err
			}
			s.now = at
			return o, s.close(name.Session, &o)
		case txn[0] != txnCall:
			if err := s.applySession(z, txn[0] == txnCreate, name.Session, &h, &o); err != nil {
				return o, err
			}
		case e.Code != 0:
			e.Index = int32(h.uint(math.MaxInt32)) - 1
			if h.bad || len(h.b) != 0 {
				return o, ErrState
			}
			o.Err = refusal(e)
			if err := s.tree.Advance(z); err != nil {
				return o, err
			}
		default:
			results, err := s.tree.Apply(z, at, h.b)
			if err != nil {
				return o, err
			}
			o.Result = keep(results)
			e.Number, e.More = numbers(results)
		}
		s.now = at
		return o, s.sessions.Decide(name, low, e)
	}
	return o, ErrState
}

// keep copies results, which are the tree's.
func keep(results []datatree.Result) (r Result) {
	if len(results) > 0 {
		r.First = results[0]
		r.Rest = append(r.Rest, results[1:]...)
	}
	return r
}

// numbers returns the numbers that the paths of results end in. A transaction does not tell whether a name is sequential, so those
// of names that only look like it are among them; numbered knows.
func numbers(results []datatree.Result) (first int32, more []int32) {
	first = -1
	for i := range results {
		switch n := numberOf(results[i].Path); {
		case n < 0:
		case first < 0:
			first = n
		default:
			more = append(more, n)
		}
	}
	return first, more
}

// digits is what a sequential create appends to its path.
const digits = 10

// numberOf returns the number that a path ends in, if it may be that of a sequential name, otherwise -1.
func numberOf(path string) int32 {
	if len(path) <= digits {
		return -1
	}
	n := int64(0)
	for _, c := range []byte(path[len(path)-digits:]) {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int64(c-'0')
	}
	if n > math.MaxInt32 {
		return -1
	}
	return int32(n)
}

// numbered returns the path that op was done to, and the numbers that are left for the ops after it.
func numbered(op datatree.Op, numbers []int32) (string, []int32) {
	_, path := datatree.NameOf(op)
	create, ok := op.(datatree.CreateOp)
	switch sequential := ok && create.Mode&datatree.Sequential != 0; {
	case len(numbers) == 0:
	case sequential:
		return fmt.Sprintf("%s%0*d", path, digits, numbers[0]), numbers[1:]
	case numberOf(path) >= 0:
		return path, numbers[1:]
	}
	return path, numbers
}

func refusal(e session.Entry) error {
	if e.Code == codeExpired {
		return ErrExpired
	}
	return &datatree.OpError{Index: int(e.Index), Err: datatree.Code(e.Code).Err()}
}

// Advance says that all up to z is applied, of which the last changed nothing here.
func (s *Znodes) Advance(z zab.Zxid) {
	// The only error there is tells that z is not new, and then there is nothing to do.
	_ = s.tree.Advance(z)
}

// View returns the tree as it is now; release it.
func (s *Znodes) View() *datatree.View { return s.tree.View() }

// Digest identifies the whole state: tree, sessions and clock.
func (s *Znodes) Digest() uint64 {
	// Each part is multiplied by an odd number of its own, lest what moves from one to the other cancel out.
	return s.tree.Digest() + s.sessions.Digest()*0x9E3779B185EBCA87 + uint64(s.now)*0xC2B2AE3D27D4EB4F
}

// Own returns the own session of a member.
func (s *Znodes) Own(owner quorum.ID) (session.Session, bool) { return s.sessions.Own(owner) }

// Decided returns what the window of its session has about a call.
func (s *Znodes) Decided(c Call) (Outcome[Result], bool) {
	e, ok := s.sessions.Lookup(session.Name(c.Name))
	if !ok {
		return Outcome[Result]{}, false
	}
	o := Outcome[Result]{Name: c.Name, Zxid: e.Zxid}
	if e.Code != 0 {
		o.Err = refusal(e)
		return o, true
	}
	request, err := s.decidedSession(&o, c.Payload)
	if err != nil || request == nil {
		o.Err = err
		return o, true
	}
	ops, _, err := datatree.DecodeOps(request)
	if err != nil {
		return o, true // not what was decided
	}
	left := e.More
	if e.Number >= 0 {
		left = append([]int32{e.Number}, left...)
	}
	for i, op := range ops {
		var path string
		path, left = numbered(op, left)
		r := datatree.Result{Path: path, Zxid: e.Zxid}
		r.Stat = s.recall(e.Zxid, path, op, c.Name.Session)
		if i == 0 {
			o.Result.First = r
		} else {
			o.Result.Rest = append(o.Result.Rest, r)
		}
	}
	return o, true
}

// recall returns what is still known of the Stat that transaction z left of a znode. It is the whole Stat while nothing else has written the data, though
// its counters of children may be newer than z. After that only the request tells, and a version that it does not tell is one that no znode has: whoever
// relies on it is refused, as is right for a znode that others have written since.
func (s *Znodes) recall(z zab.Zxid, path string, op datatree.Op, session uint64) (stat datatree.Stat) {
	n, ok := s.tree.Get(path)
	mine := ok && n.Stat.Mzxid == z
	switch o := op.(type) {
	case datatree.CreateOp:
		if mine {
			return n.Stat
		}
		stat = datatree.Stat{Czxid: z, Mzxid: z, Pzxid: z, Version: datatree.VersionOf(0), Aversion: datatree.VersionOf(0), Mode: o.Mode &^ datatree.Sequential, TTL: o.TTL}
		if o.Mode&datatree.Ephemeral != 0 {
			stat.EphemeralOwner = session
		}
	case datatree.SetOp:
		if mine {
			return n.Stat
		}
		stat = datatree.Stat{Mzxid: z, Version: datatree.NoVersion, Aversion: datatree.NoVersion}
	case datatree.SetACLOp:
		stat = datatree.Stat{Version: datatree.NoVersion, Aversion: datatree.NoVersion}
	}
	return stat
}

// A snapshot is one stream of bytes, cut anywhere: format, time, length of the sessions (varints), the sessions; then,
// from the beginning of a chunk, the chunks of the tree.
const stateFormat = 1

// reader is a snapshot that is being read.
type reader struct {
	view     *datatree.View
	zxid     zab.Zxid
	head     []byte          // still to be read before what is left of the sessions
	sessions *session.Frozen // nil: there is nothing left
	chunk    int
	tree     *datatree.ChunkReader
}

// Snapshot begins to encode the state as it is now, in chunks of about that many bytes.
func (s *Znodes) Snapshot(chunk int) zab.SnapshotReader {
	view := s.tree.View()
	sessions := s.sessions.Freeze()
	head := binary.AppendUvarint([]byte{stateFormat}, uint64(s.now))
	head = binary.AppendUvarint(head, uint64(sessions.Len()))
	chunk = max(chunk, 1)
	return &reader{view: view, zxid: view.Zxid(), head: head, sessions: sessions, chunk: chunk, tree: view.Chunks(chunk)}
}

func (r *reader) Zxid() zab.Zxid { return r.zxid }

func (r *reader) Next() (chunk []byte, last bool, err error) {
	switch {
	case r.view == nil:
		return nil, false, errClosed
	case r.sessions != nil && len(r.head) < r.chunk:
		more := false
		if r.head, more = r.sessions.Append(r.head, r.chunk-len(r.head)); !more {
			r.sessions = nil
		}
	}
	if len(r.head) > 0 {
		n := min(len(r.head), r.chunk)
		chunk, r.head = r.head[:n:n], r.head[n:]
		return chunk, false, nil
	}
	chunk, last = r.tree.Next()
	return chunk, last, nil
}

func (r *reader) Close() {
	if r.view != nil {
		r.view.Release()
	}
	r.view, r.tree, r.head, r.sessions = nil, nil, nil, nil
}

// Decode makes a state of the chunks of a snapshot. It may run beside everything else.
func (s *Znodes) Decode(chunks [][]byte) (any, error) {
	l := NewLoader(s.maxData)
	for _, c := range chunks {
		if err := l.Add(c); err != nil {
			return nil, err
		}
	}
	state, err := l.Finish()
	if err != nil {
		return nil, err
	}
	return state, nil
}

// Install puts what Decode returned in the place of this state, whose secret stays.
func (s *Znodes) Install(state any) {
	secret, n := s.secret, state.(*Znodes)
	n.tree.Succeed(s.tree)
	*s = *n
	s.secret = secret
}

// header reads varints in their shortest form. After the first failure it yields zeros.
type header struct {
	b   []byte
	bad bool
}

func (h *header) uint(most uint64) uint64 {
	v, n := binary.Uvarint(h.b)
	if n <= 0 || v > most || n > 1 && h.b[n-1] == 0 {
		h.bad, h.b = true, nil
		return 0
	}
	h.b = h.b[n:]
	return v
}

// Sessions returns how many there are.
func (s *Znodes) Sessions() int { return s.sessions.Len() }

// Tree returns the tree of the applied state, whose readers need no lock. It is another one after Install.
func (s *Znodes) Tree() *datatree.Tree { return s.tree }
