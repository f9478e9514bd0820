package session

import (
	"slices"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// row is a session in the table: 80 bytes. There may be MaxSessions, so what most have in common, what most do not have and what follows from the rest is not here.
type row struct {
	// What a touch looks at.
	id  uint64
	due uint64 // speculative: the tick that ends it if nothing is heard, at the leader, or one of the below
	// The replicated generation, and as all outstanding transactions will leave it, in that era.
	generation, next uint32
	era              uint32
	timeout          uint32 // replicated

	// The replicated part.
	*home
	window *window // nil: nothing is decided in this generation
	lowest uint64  // all below is answered and forgotten

	// Speculative, too.
	high uint64 // sequence in generation next, at least the last one that is decided in it
	low  uint64 // in it, at least lowest

	made uint32 // Table.frozen then: if that is another now, the replicated part may be read elsewhere, and does not change any more
	at   uint32 // in Table.rows
}

// What due is when it is no tick.
const (
	untracked = 0
	closing   = 1<<64 - 2 // its end is proposed
	over      = 1<<64 - 1 // its time is over
)

// place is where a session is served: at that run, as its member's own or for a client.
type place struct {
	owner  quorum.ID
	run    zab.Incarnation
	client bool
}

// home is a place that rows share.
type home struct {
	place
	rows int
}

// window holds what was decided from row.lowest on.
type window struct {
	seed    uint64 // of digests: says what cannot change within a generation
	state   uint64 // the row's share of the digest, without the entries, as it is counted
	slots   []slot // of which those from head on count
	head    int
	encoded int // bytes
}

// slot is an Entry without what follows from its place.
type slot struct {
	zxid   zab.Zxid
	digest uint64
	more   *[]int32 // nil: none
	index  int32
	number int32
	code   uint8
}

func (e *Entry) slot() slot {
	s := slot{zxid: e.Zxid, index: e.Index, number: e.Number, code: e.Code}
	if len(e.More) > 0 {
		more := e.More // not all of e
		s.more = &more
	}
	return s
}

func (s *slot) entry(sequence uint64) Entry {
	e := Entry{Sequence: sequence, Zxid: s.zxid, Code: s.code, Index: s.index, Number: s.number}
	if s.more != nil {
		e.More = *s.more
	}
	return e
}

// Key is the id, for the index.
func (r *row) Key() uint64 { return r.id }

// count is how many decided requests the window holds.
func (r *row) count() int {
	if r.window == nil {
		return 0
	}
	return len(r.window.slots) - r.window.head
}

// last is the sequence that was decided last; 0: none.
func (r *row) last() uint64 { return r.lowest + uint64(r.count()) - 1 }

// entry returns what was decided of a sequence from lowest to last.
func (r *row) entry(sequence uint64) Entry {
	return r.window.slots[r.window.head+int(sequence-r.lowest)].entry(sequence)
}

func (r *row) session() Session {
	return Session{
		ID: r.id, Owner: r.owner, Run: r.run, Generation: r.generation, Low: r.lowest, Last: r.last(), Timeout: r.timeout, Client: r.client,
	}
}

// push puts e at the end of the window, and returns its digest.
func (r *row) push(e *Entry) (digest uint64) {
	if r.window == nil {
		r.window = &window{seed: r.seed()}
	}
	w := r.window
	x := e.slot()
	x.digest = e.hash(w.seed)
	w.slots = append(w.slots, x)
	w.encoded += e.bytes()
	return x.digest
}

// pop takes the first entry out of the window, and returns its digest.
func (r *row) pop() (digest uint64) {
	w := r.window
	e := r.entry(r.lowest)
	w.encoded -= e.bytes()
	digest = w.slots[w.head].digest
	w.slots[w.head] = slot{}
	w.head++
	r.lowest++
	return digest
}

// pack makes room in a window that is full by what was popped, if that is the most of it.
func (w *window) pack() {
	if len(w.slots) == cap(w.slots) && w.head > len(w.slots)/2 {
		kept := copy(w.slots, w.slots[w.head:])
		clear(w.slots[kept:])
		w.slots, w.head = w.slots[:kept], 0
	}
}

func (w *window) clone() *window {
	if w == nil {
		return nil
	}
	return &window{seed: w.seed, state: w.state, slots: slices.Clone(w.slots[w.head:]), encoded: w.encoded}
}

// settle lets a session be served at p; depart is the reverse.
func (t *Table) settle(p place) *home {
	h := t.homes[p]
	if h == nil {
		if t.homes == nil {
			t.homes = make(map[place]*home)
		}
		h = &home{place: p}
		t.homes[p] = h
	}
	h.rows++
	return h
}

func (t *Table) depart(h *home) {
	if h.rows--; h.rows == 0 {
		delete(t.homes, h.place)
	}
}
