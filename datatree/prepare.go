package datatree

import (
	"math"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/zab"
)

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
		return dst, opError("", "", -1, multi, ErrBadArguments)
	}
	undo := t.changes.end()
	txn = msgpack.AppendArray(dst, len(ops))
	for i, op := range ops {
		o := plain(op)
		if txn, err = t.judge(z, &o, txn); err != nil {
			t.rollback(undo)
			return dst, opError(o.op, o.path, i, multi, err)
		}
	}
	t.promise(z)
	return txn, nil
}

// PrepareRequest is Prepare for a request as AppendOps encodes it; nothing of it is kept. Bytes that are no request are refused as a
// whole, with ErrBadArguments.
func (t *Tree) PrepareRequest(z zab.Zxid, at int64, request, dst []byte) (txn []byte, err error) {
	if z <= t.now.zxid || z <= t.last {
		return dst, ErrOutOfOrder
	}
	d := decoder{msgpack.Decoder{B: request}}
	multi, n := d.request()
	undo := t.changes.end()
	txn = msgpack.AppendArray(dst, n)
	for i := 0; i < n && !d.Bad; i++ {
		o := d.operation()
		if d.Bad || err != nil { // what comes after a refused op is read all the same: it may be no request
			continue
		}
		if txn, err = t.judge(z, &o, txn); err != nil {
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

// judge appends the record of an op that is fine.
func (t *Tree) judge(z zab.Zxid, o *operation, txn []byte) ([]byte, error) {
	if err := o.check(t.maxData); err != nil {
		return txn, err
	}
	if o.kind == kindCreate {
		return t.judgeCreate(z, o, txn)
	}
	if o.kind == kindDelete && reserved(o.path) {
		return txn, ErrBadArguments
	}
	hash := hashPath(o.path)
	p, path := t.look(o.path, hash)
	switch {
	case o.kind == kindSet && o.path == configPath:
		return txn, ErrNoAuth
	case !p.exists:
		return txn, ErrNoNode
	case !o.version.admits(p.version), o.czxid != 0 && o.czxid != p.czxid:
		return txn, ErrBadVersion
	}
	switch o.kind {
	case kindSet:
		p.version = nextVersion(p.version)
		t.leave(path, hash, p)
		txn = msgpack.AppendUint(msgpack.AppendArray(txn, 4), kindSet)
		txn = msgpack.AppendBytes(msgpack.AppendString(txn, path, nil), o.data)
		return msgpack.AppendUint(txn, uint64(uint32(p.version))), nil
	case kindDelete:
		if p.children > 0 {
			return txn, ErrNotEmpty
		}
		up := path[:parentLen(path)]
		upHash := hashPath(up)
		parent, up := t.look(up, upHash)
		parent.children--
		t.leave(up, upHash, parent)
		t.leave(path, hash, pending{})
		txn = msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindDelete)
		return msgpack.AppendString(txn, path, nil), nil
	}
	txn = msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindCheck)
	return msgpack.AppendString(txn, path, nil), nil
}

func (t *Tree) judgeCreate(z zab.Zxid, o *operation, txn []byte) ([]byte, error) {
	sequential := o.mode&Sequential != 0
	if o.path == rootPath && !sequential {
		return txn, ErrNodeExists
	}
	up := o.path[:parentLen(o.path)]
	upHash := hashPath(up)
	parent, up := t.look(up, upHash)
	switch {
	case !parent.exists:
		return txn, ErrNoNode
	case up == configPath:
		return txn, ErrNoAuth
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
	case parent.ephemeral:
		return txn, ErrNoChildrenForEphemerals
	case kept == "" && !sequential:
		kept = t.keep(path, nil)
	case kept == "":
		kept = path
	}
	parent.creates++
	parent.children++
	t.leave(up, upHash, parent)
	t.leave(kept, hash, pending{czxid: z, exists: true})
	txn = msgpack.AppendUint(msgpack.AppendArray(txn, 5), kindCreate)
	txn = msgpack.AppendBytes(msgpack.AppendString(txn, kept, nil), o.data)
	txn = msgpack.AppendUint(txn, uint64(o.mode&^Sequential))
	return msgpack.AppendUint(txn, uint64(parent.creates)), nil
}

// numbered returns path with a sequence number, ten digits.
func (o *outstanding) numbered(path string, n int64) string {
	var digits [2 * sequenceDigits]byte
	s := append(digits[:0], "0000000000"...)
	s = strconv.AppendInt(s, n, 10)
	return o.keep(path, s[len(s)-sequenceDigits:])
}
