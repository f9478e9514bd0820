package datatree

import (
	"math"
	"strconv"

	"github.com/ensemble-go/ensemble/zab"
)

// outstanding is what the leader has promised: the changes of transactions that are prepared and not yet applied. Writer only.
type outstanding struct {
	overlay map[string]pending // by path, as the newest of them leaves it
	last    zab.Zxid           // of the newest
	txns    []prepared         // oldest first
	paths   []change           // what they changed, in order
}

type prepared struct {
	zxid    zab.Zxid
	changes int // its share of outstanding.paths
}

// change remembers what the overlay held before, so that a multi can be taken back.
type change struct {
	path   string
	before pending // zxid 0: nothing
}

// pending is what judging needs to know of a znode.
type pending struct {
	zxid      zab.Zxid // transaction that leaves it so
	czxid     zab.Zxid
	creates   int64
	version   int32
	children  int32
	exists    bool
	ephemeral bool
}

// Prepare judges a request against the state that all outstanding transactions leave behind and appends to dst the transaction that
// carries it out; nothing of ops or their Data is kept. z must be greater than all zxids so far, prepared or applied. at is the time of the transaction in
// milliseconds since 1970; the caller gives the same to Apply.
//
// A refused request gives an *OpError that names the first op that failed, and leaves nothing outstanding: dst and z can be used for the
// next one, and sequence numbers that a failed multi had drawn are drawn again, as in ZooKeeper.
func (t *Tree) Prepare(z zab.Zxid, at int64, ops []Op, multi bool, dst []byte) (txn []byte, err error) {
	if z <= t.now.zxid || z <= t.last {
		return dst, ErrOutOfOrder
	}
	if !multi && len(ops) != 1 {
		return dst, opError(nil, -1, multi, ErrBadArguments)
	}
	undo := len(t.paths)
	txn = appendArray(dst, len(ops))
	for i, op := range ops {
		err := check(op, t.maxData)
		if err == nil {
			txn, err = t.judge(z, op, txn)
		}
		if err != nil {
			t.rollback(undo)
			return dst, opError(op, i, multi, err)
		}
	}
	t.last = z
	t.txns = append(t.txns, prepared{z, len(t.paths) - undo})
	return txn, nil
}

// Abandon forgets all outstanding transactions: this member does not lead any more. Those that come back through the log are applied like
// everybody's.
func (t *Tree) Abandon() {
	clear(t.overlay)
	clear(t.paths)
	t.paths, t.txns, t.last = t.paths[:0], t.txns[:0], 0
}

func (t *Tree) judge(z zab.Zxid, op Op, txn []byte) ([]byte, error) {
	switch o := op.(type) {
	case CreateOp:
		return t.judgeCreate(z, o, txn)
	case SetOp:
		p, err := t.expect(o.Path, o.Version)
		switch {
		case o.Path == configPath:
			return txn, ErrNoAuth
		case err != nil:
			return txn, err
		}
		p.version = nextVersion(p.version)
		t.leave(z, o.Path, p)
		txn = appendUint(appendArray(txn, 4), kindSet)
		txn = appendBytes(appendString(txn, o.Path, nil), o.Data)
		return appendUint(txn, uint64(uint32(p.version))), nil
	case DeleteOp:
		if reserved(o.Path) {
			return txn, ErrBadArguments
		}
		p, err := t.expect(o.Path, o.Version)
		switch {
		case err != nil:
			return txn, err
		case p.children > 0:
			return txn, ErrNotEmpty
		}
		up := o.Path[:parentLen(o.Path)]
		parent := t.look(up)
		parent.children--
		t.leave(z, up, parent)
		t.leave(z, o.Path, pending{})
		txn = appendUint(appendArray(txn, 2), kindDelete)
		return appendString(txn, o.Path, nil), nil
	case CheckOp:
		p, err := t.expect(o.Path, o.Version)
		switch {
		case err != nil:
			return txn, err
		case o.Czxid != 0 && o.Czxid != p.czxid:
			return txn, ErrBadVersion
		}
		txn = appendUint(appendArray(txn, 2), kindCheck)
		return appendString(txn, o.Path, nil), nil
	}
	return txn, ErrBadArguments
}

func (t *Tree) judgeCreate(z zab.Zxid, o CreateOp, txn []byte) ([]byte, error) {
	sequential := o.Mode&Sequential != 0
	if o.Path == rootPath && !sequential {
		return txn, ErrNodeExists
	}
	up := o.Path[:parentLen(o.Path)]
	parent := t.look(up)
	switch {
	case !parent.exists:
		return txn, ErrNoNode
	case up == configPath:
		return txn, ErrNoAuth
	}
	path := o.Path
	if sequential {
		// The number counts every child ever created below the parent, whatever its name.
		if parent.creates > math.MaxInt32 {
			return txn, ErrSequenceExhausted
		}
		path = numbered(path, parent.creates)
	}
	switch {
	case t.look(path).exists:
		return txn, ErrNodeExists
	case parent.ephemeral:
		return txn, ErrNoChildrenForEphemerals
	}
	parent.creates++
	parent.children++
	t.leave(z, up, parent)
	t.leave(z, path, pending{czxid: z, exists: true})
	txn = appendUint(appendArray(txn, 5), kindCreate)
	txn = appendBytes(appendString(txn, path, nil), o.Data)
	txn = appendUint(txn, uint64(o.Mode&^Sequential))
	return appendUint(txn, uint64(parent.creates)), nil
}

// numbered appends a sequence number, ten digits.
func numbered(path string, n int64) string {
	var digits [sequenceDigits]byte
	s := strconv.AppendInt(digits[:0], n, 10)
	b := make([]byte, 0, len(path)+sequenceDigits)
	b = append(b, path...)
	b = append(b, "0000000000"[len(s):]...)
	return string(append(b, s...))
}

// expect returns the znode that an op expects to be there in a version.
func (t *Tree) expect(path string, v Version) (pending, error) {
	p := t.look(path)
	switch {
	case !p.exists:
		return p, ErrNoNode
	case !v.admits(p.version):
		return p, ErrBadVersion
	}
	return p, nil
}

// look returns what will be at path.
func (t *Tree) look(path string) pending {
	if len(t.overlay) > 0 {
		if p, ok := t.overlay[path]; ok {
			return p
		}
	}
	v := t.index.find(path, hashPath(path))
	if v == nil || v.dead {
		return pending{}
	}
	return pending{
		czxid: v.czxid, creates: v.creates, version: v.version, children: v.children, exists: true, ephemeral: v.mode&Ephemeral != 0,
	}
}

// leave notes what z leaves at path.
func (t *Tree) leave(z zab.Zxid, path string, p pending) {
	t.paths = append(t.paths, change{path, t.overlay[path]})
	p.zxid = z
	t.overlay[path] = p
}

// rollback takes back the changes after the first n.
func (t *Tree) rollback(n int) {
	for i := len(t.paths) - 1; i >= n; i-- {
		if c := t.paths[i]; c.before.zxid == 0 {
			delete(t.overlay, c.path)
		} else {
			t.overlay[c.path] = c.before
		}
	}
	clear(t.paths[n:])
	t.paths = t.paths[:n]
}

// settle forgets the outstanding transactions up to z: they are in the tree now, or will never be.
func (t *Tree) settle(z zab.Zxid) {
	if len(t.txns) == 0 || t.txns[0].zxid > z {
		return
	}
	n, changes := 0, 0
	for n < len(t.txns) && t.txns[n].zxid <= z {
		for _, c := range t.paths[changes : changes+t.txns[n].changes] {
			if t.overlay[c.path].zxid == t.txns[n].zxid {
				delete(t.overlay, c.path)
			}
		}
		changes += t.txns[n].changes
		n++
	}
	if n == len(t.txns) {
		clear(t.paths)
		t.paths, t.txns = t.paths[:0], t.txns[:0]
		return
	}
	clear(t.paths[:changes])
	t.paths, t.txns = t.paths[changes:], t.txns[n:]
}
