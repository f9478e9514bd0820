package datatree

import (
	"sync/atomic"
	"weak"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// Tree is the replicated tree of znodes. See the package documentation for who may call what.
type Tree struct {
	index index
	_     [lineSize]byte
	// What readers may see: every transaction takes the line that this stands in from them, so it stands alone.
	current atomic.Pointer[state]
	_       [lineSize]byte

	pins    *pinned // by itself: a view that is not released keeps it, and with it whatever it refers to, until the view is collected
	maxData int
	schemes schemes

	// The rest belongs to the writer.

	now     state      // as the transaction that is being applied will leave it
	states  []state    // to be published; made many at a time
	touched []*version // that the transaction which is being applied makes
	kept    int        // versions that were replaced and are not taken out
	looks   int        // how often it was asked if a version can go
	results []Result
	special
	acls     map[string]weak.Pointer[acl] // by text; those that are not used any more are dropped now and then
	aclSweep int                          // how many there may be before that
	scratch  []byte
	watches  *Watches   // nil if nobody asked for them
	happened []happened // what the transaction that is being applied did, if there are watches
	feed     *Feed      // nil if nobody asked for it
	acts     []act      // what that transaction did, if there is a feed

	outstanding
}

// state is what a transaction leaves behind. It never changes once it is published.
type state struct {
	zxid   zab.Zxid
	digest uint64
	count  int
}

// New returns the tree that an empty history gives: "/", "/zookeeper", "/zookeeper/config" and "/zookeeper/quota". Data longer than maxData bytes
// is refused, and so is what does not fit into MaxTxn.
func New(maxData int) *Tree {
	t := newTree(maxData)
	for _, p := range [...]string{rootPath, systemPath, configPath, quotaPath} {
		n := node{}
		switch p {
		case rootPath:
			n.children = 1
		case systemPath:
			n.children = 2
		case configPath:
			n.aversion = -1 // as ZooKeeper's
		}
		v, _ := t.install(p, n, []byte{})
		v.seal()
		t.now.digest += v.digest
	}
	t.publish()
	return t
}

func newTree(maxData int) *Tree {
	t := &Tree{maxData: max(maxData, 0), schemes: builtinSchemes(), pins: new(pinned), acls: make(map[string]weak.Pointer[acl]), aclSweep: 64}
	t.index.init()
	t.overlay, t.begun = make(map[uint64]int), make(map[uint64]int)
	return t
}

// install puts a znode into a tree that is being built, and returns its version and its parent's. The parent must be there already, or
// there is no version.
func (t *Tree) install(path string, n node, data []byte) (v, up *version) {
	hash := hashPath(path)
	var parent *entry
	if path != rootPath {
		p := path[:parentLen(path)]
		if up = t.index.find(p, hashPath(p)); up == nil || up.mode&Ephemeral != 0 {
			return nil, nil
		}
		parent = up.entry
	}
	v = newVersion(newEntry(path, hash, parent), path, t.now.zxid, data)
	n.content = xxh64(data, digestPath(path))
	v.node = n
	t.enter(v)
	if !mutant.On("mortals-not-loaded") {
		t.note(v, true)
	}
	t.now.count++
	return v, up
}

// enter makes a place for the first version of a path.
func (t *Tree) enter(v *version) {
	if up := v.entry.parent; up != nil {
		kids := up.kids.Load()
		if kids == nil {
			kids = new(children)
			up.kids.Store(kids)
		}
		kids.insert(v.entry)
	}
	t.index.insert(v)
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

// Succeed makes t, which was decoded from a snapshot and is not used yet, take the place of old: it knows old's schemes, and has its feed and its watches.
// Subscriptions to the feed are told ErrWatchGap, watchers WatchesLost.
func (t *Tree) Succeed(old *Tree) {
	t.schemes = old.schemes
	if t.feed = old.feed; t.feed != nil {
		t.feed.succeed(t.now.zxid)
	}
	if t.watches = old.watches; t.watches != nil {
		t.watches.succeed(t)
	}
}

// lineSize is at least that of a line of a processor's cache.
const lineSize = 64

// Get returns the znode at path in the newest state, and whether it exists. It allocates nothing. Any goroutine.
func (t *Tree) Get(path string) (z Znode, ok bool) {
	ok = t.Read(path, &z)
	return z, ok
}

// Read is Get into z, which it leaves as it is when the znode does not exist: a Znode is large, and not copied so. Any goroutine.
func (t *Tree) Read(path string, z *Znode) bool {
	hash := hashPath(path)
	for {
		s := t.current.Load()
		v := t.index.find(path, hash)
		if v == nil {
			return false // it was not there at some time since we began
		}
		if v.zxid > s.zxid {
			// It is part of a transaction that was not published when we began. An older one is as good, but only if that is so still: once
			// it is published the writer may take versions out, and then the next older one is not the right one.
			known := false
			if v, known = v.at(s.zxid); !known || t.current.Load() != s {
				continue
			}
			if v == nil {
				return false
			}
		}
		if v.dead {
			return false
		}
		v.fill(z, s.zxid)
		return true
	}
}

// Zxid returns the last applied zxid. Any goroutine.
func (t *Tree) Zxid() zab.Zxid { return t.current.Load().zxid }

// Digest returns the digest of the newest state. Trees with equal znodes have equal digests; see digest.go for what it is made of. Any goroutine.
func (t *Tree) Digest() uint64 { return t.current.Load().digest }

// Len returns the number of znodes in the newest state, "/" and the built-in ones included. Any goroutine.
func (t *Tree) Len() int { return t.current.Load().count }
