package datatree

import (
	"math"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/zab"
)

// Prepare judges a request of the host itself against the state that all outstanding transactions leave behind and appends to dst the transaction that
// carries it out; nothing of ops or their Data is kept. z must be greater than all zxids so far, prepared or applied. at is the time of the transaction in
// milliseconds since 1970; the caller gives the same to Apply.
//
// A refused request gives an *OpError that names the first op that failed, and leaves nothing outstanding: dst and z can be used for the
// next one, and sequence numbers that a failed multi had drawn are drawn again, as in ZooKeeper. What is checked, and in which order, is what
// ZooKeeper's server does, so a malformed path is ErrBadArguments or ErrNoNode: AppendOps, which is for those who ask, says ErrBadPath.
func (t *Tree) Prepare(z zab.Zxid, at int64, ops []Op, multi bool, dst []byte) (txn []byte, err error) {
	return t.PrepareFor(nil, z, at, ops, multi, dst)
}

// PrepareFor is Prepare for a request of who; nothing of who is kept.
func (t *Tree) PrepareFor(who *Caller, z zab.Zxid, at int64, ops []Op, multi bool, dst []byte) (txn []byte, err error) {
	if z <= t.now.zxid || z <= t.last {
		return dst, ErrOutOfOrder
	}
	if !multi && len(ops) != 1 {
		return dst, opError("", "", -1, multi, ErrBadArguments)
	}
	undo := t.changes.end()
	txn = msgpack.AppendArray(dst, len(ops))
	asked := question{who, z, at}
	for i, op := range ops {
		o := plain(op)
		if txn, err = t.judge(asked, &o, txn); err != nil {
			t.rollback(undo)
			if o.kind == 0 {
				return dst, misfit(op, i, multi)
			}
			return dst, opError(o.op, o.path, i, multi, err)
		}
	}
	t.promise(z)
	return txn, nil
}

// PrepareRequest is Prepare for a request as AppendOps encodes it; nothing of it is kept. Bytes that are no request are refused as a
// whole, with ErrBadArguments.
func (t *Tree) PrepareRequest(z zab.Zxid, at int64, request, dst []byte) (txn []byte, err error) {
	return t.PrepareRequestFor(nil, z, at, request, dst)
}

// PrepareRequestFor is PrepareRequest for a request of who.
func (t *Tree) PrepareRequestFor(who *Caller, z zab.Zxid, at int64, request, dst []byte) (txn []byte, err error) {
	if z <= t.now.zxid || z <= t.last {
		return dst, ErrOutOfOrder
	}
	d := decoder{msgpack.Decoder{B: request}}
	multi, n := d.request()
	undo := t.changes.end()
	txn = msgpack.AppendArray(dst, n)
	asked := question{who, z, at}
	for i := 0; i < n && !d.Bad; i++ {
		o := d.operation()
		if d.Bad || err != nil { // what comes after a refused op is read all the same: it may be no request
			continue
		}
		if txn, err = t.judge(asked, &o, txn); err != nil {
			err = opError(o.op, strings.Clone(o.path), i, multi, err)
		}
	}
	if !d.Done() {
		err = opError("", "", -1, multi, ErrBadArguments)
	}
	if err != nil {
		t.rollback(undo)
		return dst, err
	}
	t.promise(z)
	return txn, nil
}

// promise makes what was judged an outstanding transaction.
func (t *Tree) promise(z zab.Zxid) {
	t.last = z
	t.txns.add(prepared{z, t.changes.end()})
}

// question is what the ops of a request have in common.
type question struct {
	who  *Caller
	zxid zab.Zxid
	at   int64
}

// judge appends the record of an op that is fine. The order of the checks is ZooKeeper's.
func (t *Tree) judge(q question, o *operation, txn []byte) ([]byte, error) {
	if err := o.sane(t.maxData); err != nil {
		return txn, err
	}
	switch o.kind {
	case kindCreate:
		return t.judgeCreate(q, o, txn)
	case kindDelete:
		return t.judgeDelete(q, o, txn)
	case kindReap:
		return t.judgeReap(q, o, txn)
	case kindClose:
		return t.judgeClose(q, o, txn)
	}
	if CheckPath(o.path) != nil {
		return txn, ErrBadArguments
	}
	var list []ACL
	if o.kind == kindSetACL {
		var err error
		if list, err = t.schemes.resolve(q.who, o.acl); err != nil {
			return txn, err
		}
	}
	hash := hashPath(o.path)
	p, path := t.look(o.path, hash)
	switch {
	case o.path == configPath && (o.kind == kindSetACL || o.kind == kindSet && q.who.host()):
		return txn, ErrNoAuth
	case !p.exists:
		return txn, ErrNoNode
	}
	switch o.kind {
	case kindSet:
		if err := t.may(q.who, path, p.rare, PermWrite); err != nil {
			return txn, err
		}
		if err := t.afford(path, 0, len(o.data)-p.size); err != nil {
			return txn, err
		}
		if !o.version.admits(p.version) {
			return txn, ErrBadVersion
		}
		p.version, p.mtime, p.size = nextVersion(p.version), q.at, len(o.data)
		t.leave(path, hash, p)
		txn = msgpack.AppendUint(msgpack.AppendArray(txn, 4), kindSet)
		txn = msgpack.AppendBytes(msgpack.AppendString(txn, path, nil), o.data)
		return msgpack.AppendUint(txn, uint64(uint32(p.version))), nil
	case kindSetACL:
		if err := t.may(q.who, path, p.rare, PermAdmin); err != nil {
			return txn, err
		}
		if !o.version.admits(p.aversion) {
			return txn, ErrBadVersion
		}
		p.aversion = nextVersion(p.aversion)
		p.rare = p.rare.with(t.intern(list))
		t.leave(path, hash, p)
		txn = msgpack.AppendUint(msgpack.AppendArray(txn, 4), kindSetACL)
		txn = appendACL(msgpack.AppendString(txn, path, nil), list)
		return msgpack.AppendUint(txn, uint64(uint32(p.aversion))), nil
	}
	if err := t.may(q.who, path, p.rare, PermRead); err != nil {
		return txn, err
	}
	if !o.version.admits(p.version) || o.czxid != 0 && o.czxid != p.czxid {
		return txn, ErrBadVersion
	}
	txn = msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindCheck)
	return msgpack.AppendString(txn, path, nil), nil
}

// hopeless reports whether a path is one that ZooKeeper refuses before it looks for the parent.
func hopeless(path string) bool {
	return strings.IndexByte(path, '/') < 0 || strings.IndexByte(path, 0) >= 0
}

func (t *Tree) judgeCreate(q question, o *operation, txn []byte) ([]byte, error) {
	var owner uint64
	if o.mode&Ephemeral != 0 {
		if q.who == nil || q.who.Session == 0 {
			return txn, ErrUnsupported
		}
		if len(t.owned[q.who.Session]) >= MaxEphemerals {
			return txn, ErrQuotaExceeded
		}
		owner = q.who.Session
	}
	if hopeless(o.path) {
		return txn, ErrBadArguments
	}
	list := o.acl
	if list != nil {
		var err error
		if list, err = t.schemes.resolve(q.who, list); err != nil {
			return txn, err
		}
	}
	up := o.path[:parentLen(o.path)]
	upHash := hashPath(up)
	parent, keptUp := t.look(up, upHash)
	if !parent.exists && o.flag {
		return t.judgeParents(q, o, owner, list, txn)
	}
	if !parent.exists {
		return txn, ErrNoNode
	}
	if err := t.mayCreate(q.who, up, &parent); err != nil {
		return txn, err
	}
	sequential := o.mode&Sequential != 0
	if checkPath(o.path, sequential) != nil {
		return txn, ErrBadArguments
	}
	path := o.path
	if sequential {
		// The number counts every child ever created below the parent, whatever its name.
		if parent.creates > math.MaxInt32 {
			return txn, ErrSequenceExhausted
		}
		path = t.numbered(path, parent.creates)
	}
	hash := hashPath(path)
	child, kept := t.look(path, hash)
	switch {
	case child.exists:
		return txn, ErrNodeExists
	case parent.mode&Ephemeral != 0:
		return txn, ErrNoChildrenForEphemerals
	case kept == "" && !sequential:
		kept = t.keep(path, nil)
	case kept == "":
		kept = path
	}
	if err := t.afford(path, 1, len(o.data)); err != nil {
		return txn, err
	}
	parent.creates++
	parent.children++
	t.leave(keptUp, upHash, parent)
	r := t.rarely(owner, int64(o.ttl), list)
	t.leave(kept, hash, pending{czxid: q.zxid, mtime: q.at, rare: r, size: len(o.data), mode: o.mode &^ Sequential, exists: true})
	return appendCreate(txn, kept, o, parent.creates, r, 0), nil
}

// mayCreate refuses to let who make children of the znode at up.
func (t *Tree) mayCreate(who *Caller, up string, p *pending) error {
	if up == configPath && who.host() {
		return ErrNoAuth
	}
	return t.may(who, up, p.rare, PermCreate)
}

// judgeParents judges a create whose parent is to be made with it.
func (t *Tree) judgeParents(q question, o *operation, owner uint64, list []ACL, txn []byte) ([]byte, error) {
	sequential := o.mode&Sequential != 0
	if checkPath(o.path, sequential) != nil {
		return txn, ErrBadArguments
	}
	path := o.path
	if sequential {
		path = t.numbered(path, 0) // the parent is new
	} else {
		path = t.keep(path, nil)
	}
	var made []string // the deepest first
	up := path[:parentLen(path)]
	parent, keptUp := t.look(up, hashPath(up))
	for !parent.exists {
		if len(made) == MaxParents {
			return txn, ErrTooLarge
		}
		made = append(made, up)
		up = up[:parentLen(up)] // "/" exists
		parent, keptUp = t.look(up, hashPath(up))
	}
	if err := t.mayCreate(q.who, up, &parent); err != nil {
		return txn, err
	}
	if parent.mode&Ephemeral != 0 {
		return txn, ErrNoChildrenForEphemerals
	}
	if err := t.afford(path, 1+len(made), len(o.data)); err != nil {
		return txn, err
	}
	parent.creates++
	parent.children++
	t.leave(keptUp, hashPath(up), parent)
	r := t.rarely(0, 0, list)
	for _, p := range made {
		t.leave(p, hashPath(p), pending{czxid: q.zxid, mtime: q.at, rare: r, creates: 1, children: 1, mode: Container, exists: true})
	}
	r = t.rarely(owner, int64(o.ttl), list)
	t.leave(path, hashPath(path), pending{czxid: q.zxid, mtime: q.at, rare: r, size: len(o.data), mode: o.mode &^ Sequential, exists: true})
	return appendCreate(txn, path, o, parent.creates, r, len(made)), nil
}

// appendCreate appends the record of a create.
func appendCreate(txn []byte, path string, o *operation, creates int64, r *rare, made int) []byte {
	fields := 5
	if r != nil || made > 0 {
		fields = 9
	}
	txn = msgpack.AppendUint(msgpack.AppendArray(txn, fields), kindCreate)
	txn = msgpack.AppendBytes(msgpack.AppendString(txn, path, nil), o.data)
	txn = msgpack.AppendUint(txn, uint64(o.mode&^Sequential))
	txn = msgpack.AppendUint(txn, uint64(creates))
	if fields == 5 {
		return txn
	}
	var n rare
	if r != nil {
		n = *r
	}
	txn = msgpack.AppendUint(msgpack.AppendUint(txn, n.owner), uint64(n.ttl))
	txn = append(txn, aclOf(path, r).text...)
	return msgpack.AppendUint(txn, uint64(made))
}

func (t *Tree) judgeDelete(q question, o *operation, txn []byte) ([]byte, error) {
	if hopeless(o.path) || reserved(o.path) {
		return txn, ErrBadArguments
	}
	up := o.path[:parentLen(o.path)]
	upHash := hashPath(up)
	parent, keptUp := t.look(up, upHash)
	if !parent.exists {
		return txn, ErrNoNode
	}
	if err := t.may(q.who, up, parent.rare, PermDelete); err != nil {
		return txn, err
	}
	hash := hashPath(o.path)
	p, path := t.look(o.path, hash)
	switch {
	case !p.exists:
		return txn, ErrNoNode
	case !o.version.admits(p.version):
		return txn, ErrBadVersion
	case p.children == 0:
		t.leave(path, hash, pending{})
		txn = msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindDelete)
	case !o.flag:
		return txn, ErrNotEmpty
	default:
		if err := t.leaveNothing(q.who, path); err != nil {
			return txn, err
		}
		txn = msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindDeleteAll)
	}
	parent.children--
	t.leave(keptUp, upHash, parent)
	return msgpack.AppendString(txn, path, nil), nil
}

// numbered returns path with a sequence number, ten digits.
func (o *outstanding) numbered(path string, n int64) string {
	var digits [2 * sequenceDigits]byte
	s := append(digits[:0], "0000000000"...)
	s = strconv.AppendInt(s, n, 10)
	return o.keep(path, s[len(s)-sequenceDigits:])
}
