// Package trie is the other way to keep a tree of znodes: a persistent hash trie. It is here to be measured beside datatree (see decision 002) and is
// no part of the library: it has no transactions, no order of children, no digest and no deletes, all of which would make it slower.
package trie

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// Trie maps paths to znodes. One writer changes it and calls Publish; what a reader took with Root never changes after that.
type Trie struct {
	seed  maphash.Seed
	root  *node
	batch uint64 // owner of the nodes that were made since the last Publish
	seen  atomic.Pointer[node]
}

// node has up to 32 places, each empty, an item or a node below. Below the last level of the hash it is a list of items.
type node struct {
	owner  uint64
	isItem uint32
	isNode uint32
	items  []*item
	nodes  []*node
}

// item is a znode, with what datatree keeps of one.
type item struct {
	hash                uint64
	path                string
	data                []byte
	czxid, mzxid, pzxid zab.Zxid
	ctime, mtime        int64
	creates             int64
	version, aversion   int32
	children            int32
	mode                datatree.Mode
}

const (
	width  = 5
	levels = 60 // bits of the hash that are used
)

// New returns an empty trie.
func New() *Trie {
	t := &Trie{seed: maphash.MakeSeed(), root: new(node), batch: 1}
	t.seen.Store(t.root)
	return t
}

// Publish ends a batch: readers see it.
func (t *Trie) Publish() {
	t.seen.Store(t.root)
	t.batch++
}

// Get returns the published znode at path.
func (t *Trie) Get(path string) (datatree.Znode, bool) {
	x := t.seen.Load().find(maphash.String(t.seed, path), path)
	if x == nil {
		return datatree.Znode{}, false
	}
	return datatree.Znode{Path: x.path, Data: x.data, Zxid: x.mzxid, Stat: datatree.Stat{
		Czxid: x.czxid, Mzxid: x.mzxid, Pzxid: x.pzxid,
		Ctime: time.UnixMilli(x.ctime).UTC(), Mtime: time.UnixMilli(x.mtime).UTC(),
		Version: datatree.VersionOf(x.version), Cversion: int32(2*x.creates - int64(x.children)), Aversion: datatree.VersionOf(x.aversion),
		DataLength: len(x.data), NumChildren: int(x.children), Mode: x.mode,
	}}, true
}

// Set replaces the data of the znode at path, which is there.
func (t *Trie) Set(z zab.Zxid, at int64, path string, data []byte) {
	hash := maphash.String(t.seed, path)
	x := *t.root.find(hash, path)
	x.data, x.mzxid, x.mtime = slices.Clone(data), z, at
	x.version++
	t.root = t.put(t.root, 0, &x)
}

// Create adds a znode, which is not there, and counts it at its parent, which is there unless it is "".
func (t *Trie) Create(z zab.Zxid, at int64, parent, path string, data []byte) {
	if parent != "" {
		x := *t.root.find(maphash.String(t.seed, parent), parent)
		x.children++
		x.creates++
		x.pzxid = z
		t.root = t.put(t.root, 0, &x)
	}
	t.root = t.put(t.root, 0, &item{
		hash: maphash.String(t.seed, path), path: path, data: slices.Clone(data), czxid: z, mzxid: z, pzxid: z, ctime: at, mtime: at,
	})
}

func (n *node) find(hash uint64, path string) *item {
	for shift := uint(0); shift < levels; shift += width {
		bit := uint32(1) << (hash >> shift & 31)
		switch {
		case n.isItem&bit != 0:
			if x := n.items[rank(n.isItem, bit)]; x.path == path {
				return x
			}
			return nil
		case n.isNode&bit != 0:
			n = n.nodes[rank(n.isNode, bit)]
		default:
			return nil
		}
	}
	for _, x := range n.items {
		if x.path == path {
			return x
		}
	}
	return nil
}

// rank returns how many places are taken before the one of bit.
func rank(taken, bit uint32) int { return bits.OnesCount32(taken & (bit - 1)) }

// own returns n, or a copy if n was published.
func (t *Trie) own(n *node) *node {
	if n.owner == t.batch {
		return n
	}
	return &node{t.batch, n.isItem, n.isNode, slices.Clone(n.items), slices.Clone(n.nodes)}
}

// put returns n with x.
func (t *Trie) put(n *node, shift uint, x *item) *node {
	n = t.own(n)
	if shift >= levels {
		if i := slices.IndexFunc(n.items, func(o *item) bool { return o.path == x.path }); i >= 0 {
			n.items[i] = x
		} else {
			n.items = append(n.items, x)
		}
		return n
	}
	bit := uint32(1) << (x.hash >> shift & 31)
	i, j := rank(n.isItem, bit), rank(n.isNode, bit)
	switch {
	case n.isNode&bit != 0:
		n.nodes[j] = t.put(n.nodes[j], shift+width, x)
	case n.isItem&bit == 0:
		n.isItem |= bit
		n.items = slices.Insert(n.items, i, x)
	case n.items[i].path == x.path:
		n.items[i] = x
	default: // two items in one place: a node for both
		below := t.put(&node{owner: t.batch}, shift+width, n.items[i])
		n.isItem &^= bit
		n.items = slices.Delete(n.items, i, i+1)
		n.isNode |= bit
		n.nodes = slices.Insert(n.nodes, j, t.put(below, shift+width, x))
	}
	return n
}
