package datatree

import (
	"strings"
	"sync/atomic"
)

// leaf holds neighbouring entries. Each has a slot, which no other takes after it; the order of the names is kept apart.
type leaf struct {
	common string   // what all names begin with
	words  []uint64 // of the entries, see wordOf
	slots  []atomic.Pointer[entry]
	order  atomic.Pointer[order]
	next   atomic.Pointer[leaf]
	prev   *leaf // writer only
	used   int   // writer only: slots that were taken
}

// order tells the slots in the order of the names. The first n never change; a name at the end is added by raising n.
type order struct {
	n  atomic.Uint32
	at [leafMax]uint8
}

const (
	leafMin = 4
	leafMax = 60 // with the order's n it makes 64 bytes
)

// newLeaf returns one with some room to grow.
func newLeaf(entries []*entry) *leaf {
	n := leafMin
	for n < len(entries)*3/2 {
		n *= 2
	}
	return newLeafOf(min(n, leafMax), entries)
}

func newLeafOf(slots int, entries []*entry) *leaf {
	l := &leaf{words: make([]uint64, slots), slots: make([]atomic.Pointer[entry], slots)}
	if n := len(entries); n > leafMin { // few names would have much in common that the next has not
		l.common = strings.Clone(common(entries[0].name(), entries[n-1].name()))
	}
	l.order.Store(new(order))
	for i, e := range entries {
		l.insert(i, e)
	}
	return l
}

// fits reports whether a name can be inserted.
func (l *leaf) fits(name string) bool { return l.used < len(l.slots) && side(l.common, name) == 0 }

// insert adds an entry at a place.
func (l *leaf) insert(at int, e *entry) {
	i := l.used
	l.used++
	l.words[i] = wordOf(l.common, e.name())
	l.slots[i].Store(e)
	o := l.order.Load()
	n := int(o.n.Load())
	if at == n {
		o.at[n] = uint8(i)
		o.n.Store(uint32(n + 1))
		return
	}
	with := new(order)
	copy(with.at[:], o.at[:at])
	with.at[at] = uint8(i)
	copy(with.at[at+1:], o.at[at:n])
	with.n.Store(uint32(n + 1))
	l.order.Store(with)
}

// remove takes the entry at a place out.
func (l *leaf) remove(at int) {
	o := l.order.Load()
	n := int(o.n.Load())
	without := new(order)
	copy(without.at[:], o.at[:at])
	copy(without.at[at:], o.at[at+1:n])
	without.n.Store(uint32(n - 1))
	l.order.Store(without)
	l.slots[o.at[at]].Store(nil) // last: who meets this finds another order
}

// entries returns how many there are. Writer only, like entry, before and all.
func (l *leaf) entries() int { return int(l.order.Load().n.Load()) }

func (l *leaf) entry(at int) *entry { return l.slots[l.order.Load().at[at]].Load() }

// before reports whether all names are less than name.
func (l *leaf) before(name string) bool {
	if where := side(l.common, name); where != 0 {
		return where > 0
	}
	o := l.order.Load()
	i := o.at[o.n.Load()-1]
	if w := wordOf(l.common, name); l.words[i] != w {
		return l.words[i] < w
	}
	return l.slots[i].Load().name() < name
}

// all returns the entries in order, with e, if there is one, at a place.
func (l *leaf) all(at int, e *entry) []*entry {
	n := l.entries()
	all := make([]*entry, 0, n+1)
	for i := range n {
		if i == at {
			all = append(all, e)
		}
		all = append(all, l.entry(i))
	}
	if e != nil && at == n {
		all = append(all, e)
	}
	return all
}

// seek returns a cursor before the first entry whose name is greater than name. Any goroutine.
func (l *leaf) seek(name string) cursor {
	where := side(l.common, name)
	var w uint64
	if where == 0 {
		w = wordOf(l.common, name)
	}
again:
	o := l.order.Load()
	n := int(o.n.Load())
	low, high := 0, n
	switch where {
	case -1:
		high = 0
	case 1:
		low = n
	}
	for low < high {
		mid := int(uint(low+high) / 2)
		i := o.at[mid]
		below := l.words[i] < w
		if l.words[i] == w {
			e := l.slots[i].Load()
			if e == nil {
				goto again // it was taken out meanwhile
			}
			below = e.name() <= name
		}
		if below {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return cursor{l, o, low, n}
}

// search is seek for the writer: it returns how many names are not greater than name.
func (l *leaf) search(name string) int { return l.seek(name).at }

// cursor is a reader's place in the children of a parent.
type cursor struct {
	leaf  *leaf
	order *order
	at, n int
}

// next returns the next entry, or nil at the end.
func (c *cursor) next() *entry {
	for c.leaf != nil {
		for c.at < c.n {
			e := c.leaf.slots[c.order.at[c.at]].Load()
			c.at++
			if e != nil {
				return e
			}
		}
		if c.leaf = c.leaf.next.Load(); c.leaf != nil {
			c.order = c.leaf.order.Load()
			c.at, c.n = 0, int(c.order.n.Load())
		}
	}
	return nil
}
