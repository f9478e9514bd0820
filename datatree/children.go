package datatree

import (
	"math/bits"
	"sync/atomic"
)

// children holds the entries below one parent in the order of their names: a skip list with one writer and readers without locks.
//
// Entries whose znode is deleted stay in the list while a view may still want them, and readers leave out what their zxid does not show. An
// entry that is taken out keeps its own pointers. So a reader that stands on it walks on to greater names, and it misses nothing that its
// view shows: such an entry is in the list for as long as the view exists, and no pointer ever led past it.
type children struct {
	head [maxLevel]atomic.Pointer[entry]
	last [maxLevel]*entry // writer only: the last entry of each level, because names are most often added at the end
	n    int              // writer only: entries in the list, dead ones too
}

const maxLevel = 12 // with one entry in four on the next level: some 16 million children before searches slow down

// tower holds an entry's pointers above level 0.
type tower [maxLevel - 1]atomic.Pointer[entry]

func (e *entry) name() string { return e.path[e.nameAt:] }

func (e *entry) next(level int) *atomic.Pointer[entry] {
	if level == 0 {
		return &e.after
	}
	return &e.up[level-1]
}

// levelOf decides how many levels an entry is on, by its hash: no randomness.
func levelOf(hash uint64) int {
	// Multiplied, because the leading bits as they are choose the segment of the index.
	return min(1+bits.LeadingZeros64(hash*prime3)/2, maxLevel)
}

// link returns the pointer at a level that leaves e, or the head if e is nil.
func (c *children) link(e *entry, level int) *atomic.Pointer[entry] {
	if e == nil {
		return &c.head[level]
	}
	return e.next(level)
}

// before fills prev with the last entry of each level whose name is less than name; nil is the head.
func (c *children) before(name string, prev *[maxLevel]*entry) {
	if c.last[0] == nil || c.last[0].name() < name {
		*prev = c.last
		return
	}
	var at *entry
	for level := maxLevel - 1; level >= 0; level-- {
		for {
			e := c.link(at, level).Load()
			if e == nil || e.name() >= name {
				break
			}
			at = e
		}
		prev[level] = at
	}
}

// insert adds an entry that is not there.
func (c *children) insert(e *entry) {
	var prev [maxLevel]*entry
	c.before(e.name(), &prev)
	levels := levelOf(e.hash)
	if levels > 1 {
		e.up = new(tower)
	}
	// From below: who finds e on a level finds the pointers below it.
	for level := range levels {
		p := c.link(prev[level], level)
		n := p.Load()
		e.next(level).Store(n)
		p.Store(e)
		if n == nil {
			c.last[level] = e
		}
	}
	c.n++
}

// remove takes an entry out.
func (c *children) remove(e *entry) {
	var prev [maxLevel]*entry
	c.before(e.name(), &prev)
	for level := levelOf(e.hash) - 1; level >= 0; level-- {
		p := c.link(prev[level], level)
		if p.Load() != e {
			continue
		}
		p.Store(e.next(level).Load())
		if c.last[level] == e {
			c.last[level] = prev[level]
		}
	}
	c.n--
}

// seek returns the first entry whose name is greater than name. Any goroutine.
func (c *children) seek(name string) *entry {
	var at *entry
	for level := maxLevel - 1; level >= 0; level-- {
		for {
			e := c.link(at, level).Load()
			if e == nil || e.name() > name {
				break
			}
			at = e
		}
	}
	return c.link(at, 0).Load()
}
