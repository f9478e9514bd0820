package datatree

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
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

// mortal is a znode that may be reaped, and since when it is known as it is.
type mortal struct {
	path    string
	czxid   zab.Zxid
	version int32
	grant   uint32 // that since belongs to
	since   time.Duration
}

// reaping is where Reapable has come to.
type reaping struct {
	next  int    // of mortals
	grant uint32 // raised by Grant
}

func (s *special) noteMortal(path string, add bool) {
	i, ok := s.mortal[path]
	switch {
	case add == ok:
	case add:
		if s.mortal == nil {
			s.mortal = make(map[string]int)
		}
		path = strings.Clone(path) // that of a version
		s.mortal[path] = len(s.mortals)
		s.mortals = append(s.mortals, mortal{path: path})
	default:
		last := len(s.mortals) - 1
		s.mortals[i] = s.mortals[last]
		s.mortal[s.mortals[i].path] = i
		s.mortals[last] = mortal{}
		s.mortals = s.mortals[:last]
		delete(s.mortal, path)
	}
}

// Grant gives all znodes with a TTL their whole time anew, as far as Reapable goes: whoever judges is another, or has another clock.
func (t *Tree) Grant() { t.grant++ }

// Reapable looks at the next n containers and znodes with a TTL, in turn, and returns what removes those that may go. Now is a clock that never goes back, of the one who
// judges; a znode with a TTL may go when that has moved on by its TTL since the znode was first looked at as it is. So the clock on the wall, which its Mtime
// comes from, does not matter. It is called by the writer.
func (t *Tree) Reapable(now time.Duration, n int) []ReapOp {
	var ops []ReapOp
	for range min(n, len(t.mortals)) {
		if t.next >= len(t.mortals) {
			t.next = 0
		}
		m := &t.mortals[t.next]
		t.next++
		p, _ := t.look(m.path, hashPath(m.path))
		switch {
		case !p.exists:
		case p.mode&Container != 0:
			if p.children == 0 && p.creates > 0 {
				ops = append(ops, ReapOp{Path: m.path, Czxid: p.czxid})
			}
		case m.grant != t.grant || m.czxid != p.czxid || m.version != p.version:
			m.grant, m.czxid, m.version, m.since = t.grant, p.czxid, p.version, now
		case p.children == 0 && p.rare != nil && now-m.since >= time.Duration(p.rare.ttl):
			ops = append(ops, ReapOp{Path: m.path, Czxid: p.czxid, Version: VersionOf(p.version)})
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
	case !o.version.admits(p.version):
		return txn, ErrBadVersion
	case o.version != AnyVersion && p.mode&Container == 0 && p.rare != nil && p.rare.ttl != 0: // it has lived as it is for long enough
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
