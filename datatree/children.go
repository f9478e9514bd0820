package datatree

import (
	"strings"
	"sync/atomic"
)

// children holds the entries below one parent in the order of their names: branches above a chain of leaves, with one writer and readers
// without locks.
//
// Branches never change: the writer makes new ones up to the root. A leaf takes in and lets go of entries in place; when it is full others take
// its place, and it stays as it was for readers that stand on it. So a leaf shows every entry that was there when a reader came to it and is
// not taken out, and what a reader is entitled to see is not taken out. From a leaf that was replaced the reader walks on to the leaf that was the
// next when that happened; by the same reasoning it misses nothing there. What was added meanwhile it may meet or not; its zxid does not show it.
//
// Entries whose znode is deleted stay in the tree while a view may still want them, and readers leave out what their zxid does not show.
type children struct {
	root atomic.Pointer[branch]
	last *leaf // writer only
	n    int   // writer only: entries, dead ones too
}

// insert adds an entry that is not there.
func (c *children) insert(e *entry) {
	name := e.name()
	c.n++
	if c.last == nil {
		c.last = newLeaf([]*entry{e})
		c.root.Store(newBranch([]link{{leaf: c.last}}))
		return
	}
	l, at := c.last, c.last.entries()
	if !l.before(name) { // names are most often added at the end
		l = c.root.Load().leaf(name)
		at = l.search(name)
	}
	switch {
	case l.fits(name):
		l.insert(at, e)
	case at == leafMax && l == c.last:
		next := newLeafOf(leafMax, []*entry{e})
		next.prev = l
		l.next.Store(next)
		c.last = next
		c.change(name, []link{{leaf: l}, {leaf: next, low: strings.Clone(name)}})
	default:
		all := l.all(at, e)
		if half := len(all) / 2; 4*len(all) > 3*leafMax {
			c.replace(l, name, newLeafOf(leafMax, all[:half]), newLeafOf(leafMax, all[half:]))
		} else {
			c.replace(l, name, newLeaf(all))
		}
	}
}

// remove takes an entry out.
func (c *children) remove(e *entry) {
	name := e.name()
	l := c.root.Load().leaf(name)
	at := l.search(name) - 1
	if at < 0 || l.entry(at) != e {
		return
	}
	c.n--
	l.remove(at)
	switch n := l.entries(); {
	case n == 0:
		c.replace(l, name)
	case 4*n <= len(l.slots) && len(l.slots) > leafMin:
		c.replace(l, name, newLeaf(l.all(n, nil)))
	}
}

// replace puts leaves in the place of l, where name belongs.
func (c *children) replace(l *leaf, name string, leaves ...*leaf) {
	links := make([]link, len(leaves))
	prev, next := l.prev, l.next.Load()
	for i, n := range leaves {
		links[i].leaf = n
		if i > 0 {
			links[i].low = strings.Clone(n.entry(0).name())
			leaves[i-1].next.Store(n)
		}
		n.prev = prev
		prev = n
	}
	first := next
	if len(leaves) > 0 {
		first = leaves[0]
		prev.next.Store(next)
	}
	if next != nil {
		next.prev = prev
	} else {
		c.last = prev
	}
	if l.prev != nil {
		l.prev.next.Store(first)
	}
	c.change(name, links)
}

// change puts links in the place of the leaf where name belongs.
func (c *children) change(name string, links []link) {
	links = c.root.Load().change(name, links)
	switch len(links) {
	case 0:
		c.root.Store(nil)
	case 1:
		b := links[0].branch
		for len(b.links) == 1 && b.links[0].branch != nil {
			b = b.links[0].branch
		}
		c.root.Store(b)
	default:
		c.root.Store(newBranch(links))
	}
}

// after returns a cursor before the first entry whose name is greater than name. Any goroutine.
func (c *children) after(name string) cursor {
	if c == nil {
		return cursor{}
	}
	b := c.root.Load()
	if b == nil {
		return cursor{}
	}
	return b.leaf(name).seek(name)
}
