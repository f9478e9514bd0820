package datatree

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// A transaction is an array of records, one for each op of the request. A record is the array of its kind and what the op leaves behind:
//
//	create:       path, data, mode, children ever created below the parent; and, unless all are zero and the ACL is open, owner, TTL, ACL, and how
//	              many of its parents are made too (then it is below the nearest other that was created)
//	set:          path, data, version
//	delete:       path
//	check:        path
//	setACL:       path, ACL, version of the ACL
//	deleteAll:    path; the znode and all below it go
//	closeSession: session
const kindDeleteAll = 8 // a record's kind is that of its op, and this

// Apply carries out a transaction that this tree or another one with the same history has prepared, and publishes the new state. It returns
// one Result for each op; they belong to the tree and are valid until the next Apply. z must be greater than the zxids before.
//
// Nothing is judged again. An error means that the transaction was not made for this tree (ErrCorrupt) or that z is out of order
// (ErrOutOfOrder); the tree is then as it was.
func (t *Tree) Apply(z zab.Zxid, at int64, txn []byte) ([]Result, error) {
	if z <= t.now.zxid {
		return nil, ErrOutOfOrder
	}
	clear(t.results)
	t.results = t.results[:0]
	before := t.now
	if mutant.On("feed-after-data") && len(t.acts) > 0 {
		t.events()
	}
	t.now.zxid = z
	d := decoder{msgpack.Decoder{B: txn}}
	for n := d.Array(); n > 0 && !d.Bad; n-- {
		t.record(&d, at)
	}
	if !d.Done() {
		t.takeBack(before)
		return nil, ErrCorrupt
	}
	for _, v := range t.touched {
		if !v.dead {
			v.seal()
			t.now.digest += v.digest
		}
	}
	if mutant.On("events-after-data") {
		t.publish()
	}
	if len(t.happened) > 0 {
		t.tellAll()
	}
	if len(t.acts) > 0 && !mutant.On("feed-after-data") {
		t.events()
	}
	t.finish()
	return t.results, nil
}

// Advance moves the tree to z, an entry of the log that changes no znode.
func (t *Tree) Advance(z zab.Zxid) error {
	if z <= t.now.zxid {
		return ErrOutOfOrder
	}
	t.now.zxid = z
	t.finish()
	return nil
}

func (t *Tree) finish() {
	if !mutant.On("published-late") || t.now.zxid.Counter()%64 == 0 {
		t.publish()
	}
	t.settle(t.now.zxid)
	t.sweep()
}

// record carries out one op. What does not fit the tree makes d bad.
func (t *Tree) record(d *decoder, at int64) {
	z := t.now.zxid
	t.results = append(t.results, Result{Zxid: z})
	r := &t.results[len(t.results)-1]
	fields := d.Array()
	switch kind := d.Uint(); {
	case kind == kindCreate && (fields == 5 || fields == 9):
		path, data := d.String(MaxPath), d.Bytes(math.MaxInt32)
		mode, creates := Mode(d.UintTo(uint64(allModes))), int64(d.UintTo(math.MaxInt64))
		var own, up *rare
		made := 0
		if fields == 9 {
			owner, ttl := d.Uint(), int64(d.UintTo(uint64(MaxTTL)))
			a := t.readACL(d)
			own, up = rarelyWith(owner, ttl, a), rarelyWith(0, 0, a)
			made = int(d.UintTo(MaxParents))
		}
		if d.Bad || path == rootPath || !fits(mode, own) || made > 0 && !t.parents(path, made, creates, at, up) {
			d.Fail()
			return
		}
		if made > 0 {
			creates = 1
		}
		v := t.create(path, data, creates, at, mode, own)
		if v == nil {
			d.Fail()
			return
		}
		r.Path = v.path()
		v.stat(&r.Stat)
	case kind == kindSet && fields == 4:
		path, data := d.String(MaxPath), d.Bytes(math.MaxInt32)
		version := int32(uint32(d.UintTo(math.MaxUint32)))
		old, slot := t.index.locate(path, hashPath(path))
		if d.Bad || old == nil || old.dead {
			d.Fail()
			return
		}
		more := len(data) - int(old.size)
		v := t.rewrite(old, slot, data)
		v.version, v.mzxid, v.mtime, v.content = version, z, at, xxh64(data, digestPath(path))
		t.did(Changed, v)
		if len(t.quotas) > 0 {
			t.charge(path, 0, more)
		}
		r.Path = v.path()
		v.stat(&r.Stat)
	case kind == kindSetACL && fields == 4:
		path := d.String(MaxPath)
		a := t.readACL(d)
		aversion := int32(uint32(d.UintTo(math.MaxUint32)))
		old, slot := t.index.locate(path, hashPath(path))
		if d.Bad || old == nil || old.dead || path == configPath {
			d.Fail()
			return
		}
		v := t.change(old, slot)
		v.aversion, v.rare = aversion, v.rare.with(a)
		r.Path = v.path()
		v.stat(&r.Stat)
	case kind == kindDelete && fields == 2, kind == kindDeleteAll && fields == 2:
		path := d.String(MaxPath)
		v, slot := t.index.locate(path, hashPath(path))
		if d.Bad || v == nil || v.dead || v.children > 0 && kind == kindDelete || reserved(path) {
			d.Fail()
			return
		}
		r.Path = v.path()
		if v.children > 0 {
			t.removeBelow(v)
			v, slot = t.index.locate(path, hashPath(path))
		}
		t.remove(v, slot)
	case kind == kindClose && fields == 2:
		session := d.Uint()
		if d.Bad {
			return
		}
		for i, path := range t.Ephemerals(session) {
			if i > 0 && mutant.On("ephemeral-left") {
				break
			}
			t.remove(t.index.locate(path, hashPath(path)))
		}
	case kind == kindCheck && fields == 2:
		path := d.String(MaxPath)
		v := t.index.find(path, hashPath(path))
		if d.Bad || v == nil || v.dead {
			d.Fail()
			return
		}
		r.Path = v.path()
	default:
		d.Fail()
	}
}

// create makes a version for a new znode, with its data, and counts it at its parent. If there is no parent, or the znode is there, or the path is
// malformed, it changes nothing and returns nil.
func (t *Tree) create(path string, data []byte, creates, at int64, mode Mode, r *rare) *version {
	hash := hashPath(path)
	old, slot := t.index.locate(path, hash)
	if old == nil && CheckPath(path) != nil || old != nil && !old.dead {
		return nil
	}
	up, upSlot := t.above(path)
	if up == nil || up.dead || up.mode&Ephemeral != 0 {
		return nil
	}
	up = t.change(up, upSlot)
	up.creates = creates
	up.children++
	z := t.now.zxid
	up.pzxid = z
	t.now.count++
	var v *version
	if old == nil {
		v = newVersion(newEntry(path, hash, up.entry), path, z, data)
		t.touched = append(t.touched, v)
		t.enter(v)
	} else {
		v = t.rewrite(old, slot, data)
		v.node = node{}
	}
	v.czxid, v.mzxid, v.pzxid, v.ctime, v.mtime, v.mode, v.rare = z, z, z, at, at, mode, r
	v.content = xxh64(data, digestPath(path))
	if mode != Persistent || r != nil || strings.HasPrefix(path, quotaPath) {
		t.note(v, true)
	}
	t.did(Created, v)
	t.account(v)
	return v
}

// parents makes those last n parents of path that are missing, as containers.
func (t *Tree) parents(path string, n int, creates, at int64, r *rare) bool {
	ends := make([]int, 0, n)
	for end := len(path); n > 0; n-- {
		if end = strings.LastIndexByte(path[:end], '/'); end <= 0 {
			return false
		}
		ends = append(ends, end)
	}
	for _, end := range slices.Backward(ends) {
		if t.create(path[:end], []byte{}, creates, at, Container, r) == nil {
			return false
		}
		creates = 1
	}
	return true
}

// remove deletes the znode of v, which has no children.
func (t *Tree) remove(v *version, s slot) {
	t.note(v, false)
	if t.watches != nil {
		t.noteEvent(NodeDeleted, v) // while the ACL is known
	}
	path, size := v.path(), int(v.size)
	v = t.rewrite(v, s, nil)
	v.node = node{dead: true}
	if t.feed != nil {
		t.acts = append(t.acts, act{Deleted, v})
	}
	up := t.change(t.above(path))
	up.children--
	up.pzxid = t.now.zxid
	t.now.count--
	if len(t.quotas) > 0 {
		t.charge(path, -1, -size)
	}
}

// removeBelow deletes all below the znode of v.
func (t *Tree) removeBelow(v *version) {
	all := []*version{v}
	for i := 0; i < len(all); i++ {
		for c := all[i].entry.kids.Load().after(""); ; {
			e := c.next()
			if e == nil {
				break
			}
			if kid := t.index.newest(e); kid != nil && !kid.dead {
				all = append(all, kid)
			}
		}
	}
	for _, v := range slices.Backward(all[1:]) {
		t.remove(t.index.locate(v.path(), v.entry.hash))
	}
}

// fits reports whether a znode of this mode can have r.
func fits(mode Mode, r *rare) bool {
	if r == nil {
		return mode&^Container == 0
	}
	n := *r
	return mode&Sequential == 0 && (mode&Ephemeral != 0) == (n.owner != 0) && (n.ttl == 0 || mode == Persistent) && mode != Ephemeral|Container
}

// readACL reads one as the tree keeps it.
func (t *Tree) readACL(d *decoder) *acl {
	list := d.acl()
	if d.Bad || len(list) == 0 || ACLSize(list) > 2*MaxACL {
		d.Fail()
		return openACL
	}
	return t.intern(list)
}

// above returns the newest version of path's parent, which is not "/", and where it is.
func (t *Tree) above(path string) (*version, slot) {
	up := path[:parentLen(path)]
	return t.index.locate(up, hashPath(up))
}

// change returns the version that the transaction leaves in place of v, the newest, to be changed.
func (t *Tree) change(v *version, s slot) *version {
	if v.zxid == t.now.zxid {
		return v
	}
	return t.replace(v, s, v.next(t.now.zxid, v.data(), true))
}

// rewrite is change with new data.
func (t *Tree) rewrite(v *version, s slot, data []byte) *version {
	if v.zxid == t.now.zxid { // nobody has seen it, but it may not have the room
		v.refer(bytes.Clone(data))
		return v
	}
	return t.replace(v, s, v.next(t.now.zxid, data, false))
}

// replace puts n in place of v.
func (t *Tree) replace(v *version, s slot, n *version) *version {
	if !v.dead {
		t.now.digest -= v.digest
	}
	s.Store(n)
	t.touched = append(t.touched, n)
	return n
}

// did notes that the transaction has created or set the znode of v.
func (t *Tree) did(what EventType, v *version) {
	if t.watches != nil {
		t.noteEvent(zooKeepers[what], v)
	}
	if t.feed != nil {
		t.acts = append(t.acts, act{what, v})
	}
}

// takeBack undoes a transaction that was not published.
func (t *Tree) takeBack(before state) {
	for i := len(t.touched) - 1; i >= 0; i-- { // children before the parents they were made below
		v := t.touched[i]
		t.note(v, false)
		if old := v.prev.Load(); old != nil {
			t.note(old, true)
			t.index.put(old)
			continue
		}
		t.index.remove(v.entry)
		v.entry.parent.kids.Load().remove(v.entry)
	}
	t.now = before
	t.clearTouched()
	clear(t.happened)
	t.happened = t.happened[:0]
	clear(t.acts)
	t.acts = t.acts[:0]
	clear(t.results)
	t.results = t.results[:0]
}

func (t *Tree) clearTouched() {
	clear(t.touched)
	t.touched = t.touched[:0]
}
