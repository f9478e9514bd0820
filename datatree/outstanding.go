package datatree

import (
	"unsafe"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// outstanding is what the leader has promised: the changes of transactions that are prepared and not yet applied. Writer only.
//
// Changes are numbered in order. A change knows the one before it of the same path (or of a path with the same hash), so that a multi can be taken
// back; overlay knows the last of each.
type outstanding struct {
	overlay map[uint64]int // hash of a path to the number of its newest change
	changes queue[change]
	txns    queue[prepared]
	last    zab.Zxid       // of the newest transaction
	begun   map[uint64]int // ephemerals that they make, by session
	fresh   fresh
	effort  effort // of the one that is being judged
	names   []byte // where paths are kept, a piece at a time
}

type prepared struct {
	zxid    zab.Zxid
	changes int // number of the first change after it
	begun   int // ephemerals that it makes
	session uint64
}

// change is what a transaction leaves at path.
type change struct {
	path   string
	hash   uint64
	before int // number of the change before it; if that is not outstanding, there is none
	pending
}

// pending is what judging needs to know of a znode.
type pending struct {
	czxid    zab.Zxid
	creates  int64
	mtime    int64
	rare     *rare
	size     int // of the data
	version  int32
	aversion int32
	children int32
	mode     Mode
	exists   bool
}

func (p *pending) owner() uint64 {
	if p.rare == nil {
		return 0
	}
	return p.rare.owner
}

// queue numbers what is added at the end and taken from the front. It moves what is left now and then, so that it needs no more memory than
// the most it ever held.
type queue[T any] struct {
	all   []T
	taken int // from the front of all, and not moved away
	moved int
}

func (q *queue[T]) first() int  { return q.moved + q.taken }
func (q *queue[T]) end() int    { return q.moved + len(q.all) }
func (q *queue[T]) at(n int) *T { return &q.all[n-q.moved] }
func (q *queue[T]) add(x T)     { q.all = append(q.all, x) }
func (q *queue[T]) cutTo(n int) { clear(q.all[n-q.moved:]); q.all = q.all[:n-q.moved] }
func (q *queue[T]) takeTo(n int) {
	if q.taken = n - q.moved; 2*q.taken < len(q.all) {
		return
	}
	left := copy(q.all, q.all[q.taken:])
	clear(q.all[left:])
	q.all = q.all[:left]
	q.moved += q.taken
	q.taken = 0
}

// look returns what will be at path. If anything is known of the path, it also returns a copy of it that stays; otherwise "".
func (t *Tree) look(path string, hash uint64) (p pending, kept string) {
	if n, ok := t.overlay[hash]; ok {
		for ; n >= t.changes.first(); n = t.changes.at(n).before {
			if c := t.changes.at(n); c.path == path {
				return c.pending, c.path
			}
		}
	}
	v := t.index.find(path, hash)
	switch {
	case v == nil:
		return pending{}, ""
	case v.dead:
		return pending{}, v.path()
	}
	return pending{
		czxid: v.czxid, creates: v.creates, mtime: v.mtime, rare: v.rare, size: int(v.size),
		version: v.version, aversion: v.aversion, children: v.children, mode: v.mode, exists: true,
	}, v.path()
}

// leave notes what will be at path, which stays.
func (o *outstanding) leave(path string, hash uint64, p pending) {
	before, ok := o.overlay[hash]
	if !ok {
		before = -1
	}
	o.overlay[hash] = o.changes.end()
	o.changes.add(change{path, hash, before, p})
}

// keep returns a copy of head and tail together.
func (o *outstanding) keep(head string, tail []byte) string {
	n := len(head) + len(tail)
	if len(o.names)+n > cap(o.names) {
		o.names = make([]byte, 0, max(n, 4<<10))
	}
	from := len(o.names)
	o.names = append(append(o.names, head...), tail...)
	return unsafe.String(unsafe.SliceData(o.names[from:]), n) // these bytes are never written again
}

// rollback takes back the changes of the transaction that is being judged.
func (o *outstanding) rollback() {
	n := o.effort.changes
	if mutant.On("failed-multi-kept") {
		return
	}
	for i := o.changes.end() - 1; i >= n; i-- {
		c := o.changes.at(i)
		o.fresh.forget(i, c)
		if c.before >= o.changes.first() && !mutant.On("sequence-rolled-back") {
			o.overlay[c.hash] = c.before
		} else {
			delete(o.overlay, c.hash)
		}
	}
	o.changes.cutTo(n)
}

// settle forgets the outstanding transactions up to z: they are in the tree now, or will never be.
func (o *outstanding) settle(z zab.Zxid) {
	n, end := o.txns.first(), o.changes.first()
	from := end
	for ; n < o.txns.end() && o.txns.at(n).zxid <= z; n++ {
		p := o.txns.at(n)
		end = p.changes
		if p.begun > 0 {
			if o.begun[p.session] -= p.begun; o.begun[p.session] == 0 {
				delete(o.begun, p.session)
			}
		}
	}
	if n == o.txns.first() {
		return
	}
	for i := from; i < end; i++ {
		if hash := o.changes.at(i).hash; o.overlay[hash] == i {
			delete(o.overlay, hash)
		}
	}
	o.fresh.age(end)
	o.changes.takeTo(end)
	o.txns.takeTo(n)
}

// Abandon forgets all outstanding transactions: this member does not lead any more. Those that come back through the log are applied like
// everybody's.
func (t *Tree) Abandon() {
	clear(t.overlay)
	clear(t.begun)
	t.fresh = fresh{}
	t.changes.takeTo(t.changes.end())
	t.txns.takeTo(t.txns.end())
	t.last = 0
}
