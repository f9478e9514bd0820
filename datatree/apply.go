package datatree

import (
	"bytes"
	"math"
	"strings"

	"github.com/ensemble-go/ensemble/zab"
)

// A transaction is an array of records, one for each op of the request. A record is the array of its kind and what the op leaves behind:
//
//	create: path, data, mode, children ever created below the parent
//	set:    path, data, version
//	delete: path
//	check:  path

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
	t.now.zxid = z
	d := decoder{b: txn}
	for n := d.array(); n > 0 && !d.bad; n-- {
		t.record(&d, at)
	}
	if d.bad || len(d.b) != 0 {
		t.takeBack(before)
		return nil, ErrCorrupt
	}
	for _, e := range t.touched {
		v := e.head.Load()
		if !v.dead {
			v.seal(e.hash, v.mzxid == z)
			t.now.digest += v.digest
		}
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
	t.publish()
	t.settle(t.now.zxid)
	t.sweep()
}

// record carries out one op. What does not fit the tree makes d bad.
func (t *Tree) record(d *decoder, at int64) {
	z := t.now.zxid
	r := Result{Zxid: z}
	fields := d.array()
	switch kind := d.uint(); {
	case kind == kindCreate && fields == 5:
		path, data := d.path(), d.bytes(math.MaxInt32)
		mode, creates := Mode(d.uintTo(uint64(allModes))), int64(d.uintTo(math.MaxInt64))
		if d.bad || CheckPath(path) != nil || path == rootPath {
			d.fail()
			return
		}
		hash := hashPath(path)
		e := t.index.find(path, hash)
		if e == nil {
			if e = t.add(strings.Clone(path), hash); e == nil {
				d.fail()
				return
			}
		}
		// The entry is noted before anything can fail, so that takeBack finds it.
		v := t.touch(e)
		if !v.dead || e.parent.head.Load() == nil || e.parent.head.Load().dead {
			d.fail()
			return
		}
		up := t.touch(e.parent)
		up.creates = creates
		up.children++
		up.pzxid = z
		v.node = node{data: bytes.Clone(data), czxid: z, mzxid: z, pzxid: z, ctime: at, mtime: at, mode: mode}
		t.now.count++
		r.Path, r.Stat = e.path, v.stat()
	case kind == kindSet && fields == 4:
		e := t.existing(d)
		data := d.bytes(math.MaxInt32)
		n := int32(uint32(d.uintTo(math.MaxUint32)))
		if d.bad {
			return
		}
		v := t.touch(e)
		v.data, v.version, v.mzxid, v.mtime = bytes.Clone(data), n, z, at
		r.Path, r.Stat = e.path, v.stat()
	case kind == kindDelete && fields == 2:
		e := t.existing(d)
		if d.bad || reserved(e.path) || e.head.Load().children > 0 {
			d.fail()
			return
		}
		v := t.touch(e)
		v.node = node{dead: true}
		up := t.touch(e.parent)
		up.children--
		up.pzxid = z
		t.now.count--
		r.Path = e.path
	case kind == kindCheck && fields == 2:
		e := t.existing(d)
		if d.bad {
			return
		}
		r.Path = e.path
	default:
		d.fail()
		return
	}
	t.results = append(t.results, r)
}

// existing reads a path and returns the entry of its znode. If there is none, d is bad.
func (t *Tree) existing(d *decoder) *entry {
	path := d.path()
	if !d.bad {
		if e := t.index.find(path, hashPath(path)); e != nil {
			if v := e.head.Load(); v != nil && !v.dead {
				return e
			}
		}
	}
	d.fail()
	return nil
}

// touch returns the version of e that the transaction leaves, to be changed. That of a new entry is dead at first.
func (t *Tree) touch(e *entry) *version {
	old := e.head.Load()
	if old != nil && old.zxid == t.now.zxid {
		return old
	}
	v := &version{zxid: t.now.zxid}
	if old == nil {
		v.dead = true
	} else {
		v.node = old.node
		if !v.dead {
			t.now.digest -= v.digest
		}
		v.prev.Store(old)
	}
	e.head.Store(v)
	t.touched = append(t.touched, e)
	return v
}

// takeBack undoes a transaction that was not published.
func (t *Tree) takeBack(before state) {
	t.pins.refresh()
	for _, e := range t.touched {
		e.head.Store(e.head.Load().prev.Load())
	}
	t.now = before
	for i := len(t.touched) - 1; i >= 0; i-- { // children before the parents they were made below
		t.trim(t.touched[i])
	}
	t.clearTouched()
	clear(t.results)
	t.results = t.results[:0]
}

func (t *Tree) clearTouched() {
	clear(t.touched)
	t.touched = t.touched[:0]
}
