package datatree

import (
	"sync/atomic"

	"github.com/ensemble-go/ensemble/zab"
)

// Tree is the replicated tree of znodes. See the package documentation for who may call what.
type Tree struct {
	index   index
	current atomic.Pointer[state] // what readers may see
	pins    pinned
	maxData int

	// The rest belongs to the writer.

	now     state    // as the transaction that is being applied will leave it
	states  []state  // to be published; made many at a time
	touched []*entry // by the transaction that is being applied
	stale   []*entry // entries with versions that a view held when it was last looked
	pending int      // how many of stale, from the front, may have something to drop
	results []Result

	outstanding
}

// state is what a transaction leaves behind. It never changes once it is published.
type state struct {
	zxid   zab.Zxid
	digest uint64
	count  int
}

// New returns the tree that an empty history gives: "/", "/zookeeper", "/zookeeper/config" and "/zookeeper/quota". Data longer than maxData bytes
// is refused.
func New(maxData int) *Tree {
	t := newTree(maxData)
	for _, p := range [...]string{rootPath, systemPath, configPath, quotaPath} {
		n := node{data: []byte{}}
		switch p {
		case rootPath:
			n.children = 1
		case systemPath:
			n.children = 2
		case configPath:
			n.aversion = -1 // as ZooKeeper's
		}
		t.install(p, n)
	}
	t.publish()
	return t
}

func newTree(maxData int) *Tree {
	t := &Tree{maxData: max(maxData, 0)}
	t.index.init()
	t.overlay = make(map[string]pending)
	return t
}

// install puts a znode into a tree that is being built. The parent, if there is one, is there already.
func (t *Tree) install(path string, n node) *entry {
	e := t.add(path, hashPath(path))
	n.seal(e.hash, true)
	e.head.Store(&version{zxid: t.now.zxid, node: n})
	t.now.digest += n.digest
	t.now.count++
	return e
}

// add makes an entry, or returns nil when the parent has none.
func (t *Tree) add(path string, hash uint64) *entry {
	e := &entry{path: path, hash: hash, nameAt: uint32(nameAt(path))}
	if path != rootPath {
		up := path[:parentLen(path)]
		if e.parent = t.index.find(up, hashPath(up)); e.parent == nil {
			return nil
		}
		kids := e.parent.kids.Load()
		if kids == nil {
			kids = new(children)
			e.parent.kids.Store(kids)
		}
		kids.insert(e)
	}
	t.index.insert(e)
	return e
}

// publish lets readers see the state.
func (t *Tree) publish() {
	if len(t.states) == 0 {
		t.states = make([]state, 32)
	}
	s := &t.states[0]
	t.states = t.states[1:]
	*s = t.now
	t.current.Store(s)
}

// Get returns the znode at path in the newest state, and whether it exists. It allocates nothing. Any goroutine.
func (t *Tree) Get(path string) (Znode, bool) {
	hash := hashPath(path)
	for {
		s := t.current.Load()
		e := t.index.find(path, hash)
		if e == nil {
			return Znode{}, false // it was not there at some time since we began
		}
		v := e.head.Load()
		if v == nil {
			return Znode{}, false
		}
		if v.zxid <= s.zxid {
			if v.dead {
				return Znode{}, false
			}
			return e.znode(v, s.zxid), true
		}
		// The newest version is part of a transaction that was not published when we began. An older one is as good, but only if that is
		// so still: once it is published the writer may take versions out, and then the next older one is not the right one.
		if v = e.at(s.zxid); t.current.Load() == s {
			if v == nil {
				return Znode{}, false
			}
			return e.znode(v, s.zxid), true
		}
	}
}

// Zxid returns the last applied zxid. Any goroutine.
func (t *Tree) Zxid() zab.Zxid { return t.current.Load().zxid }

// Digest returns the digest of the newest state. Trees with equal znodes have equal digests; see digest.go for what it is made of. Any goroutine.
func (t *Tree) Digest() uint64 { return t.current.Load().digest }

// Len returns the number of znodes in the newest state, "/" and the built-in ones included. Any goroutine.
func (t *Tree) Len() int { return t.current.Load().count }
