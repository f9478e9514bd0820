package datatree

import (
	"maps"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Due returns the operations that remove what may go at a time: containers that had children and have none, and znodes with a TTL that have no children
// and were not set for longer than that. They are in the order of their paths. It is called by the writer; its time grows with the number of containers and
// znodes with a TTL.
func (t *Tree) Due(at int64) []ReapOp {
	var ops []ReapOp
	for _, path := range slices.Sorted(maps.Keys(t.mortal)) {
		if p, _ := t.look(path, hashPath(path)); p.exists && p.children == 0 && p.due(at) {
			ops = append(ops, ReapOp{Path: path, Czxid: p.czxid})
		}
	}
	return ops
}

// due tells whether a znode without children may go.
func (p *pending) due(at int64) bool {
	if p.mode&Container != 0 {
		return p.creates > 0
	}
	return p.rare != nil && p.rare.ttl != 0 && at-p.mtime > int64(time.Duration(p.rare.ttl)/time.Millisecond)
}

// judgeReap looks again whether the znode is due: it may have been set, or got a child, since it was chosen.
func (t *Tree) judgeReap(q question, o *operation, txn []byte) ([]byte, error) {
	if !q.who.host() || hopeless(o.path) || reserved(o.path) {
		return txn, ErrBadArguments
	}
	hash := hashPath(o.path)
	p, path := t.look(o.path, hash)
	switch {
	case !p.exists:
		return txn, ErrNoNode
	case o.czxid != 0 && o.czxid != p.czxid:
		return txn, ErrBadVersion
	case p.children > 0:
		return txn, ErrNotEmpty
	case !p.due(q.at) && !mutant.On("reaped-unchecked"):
		return txn, ErrBadVersion
	}
	t.leaveLess(path, hash)
	txn = msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindDelete)
	return msgpack.AppendString(txn, path, nil), nil
}

// judgeClose lets all ephemerals of a session go.
func (t *Tree) judgeClose(q question, o *operation, txn []byte) ([]byte, error) {
	if !q.who.host() {
		return txn, ErrBadArguments
	}
	for _, path := range t.ephemeralsToBe(o.session) {
		t.leaveLess(path, hashPath(path))
	}
	return msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendArray(txn, 2), kindClose), o.session), nil
}

// leaveLess notes that a znode without children will go.
func (t *Tree) leaveLess(path string, hash uint64) {
	up := path[:parentLen(path)]
	upHash := hashPath(up)
	parent, up := t.look(up, upHash)
	parent.children--
	t.leave(up, upHash, parent)
	t.leave(path, hash, pending{})
}
