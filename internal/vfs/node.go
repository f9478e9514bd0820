package vfs

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// node is a file or a directory of a Memory disk, twice: as it is read, and as it is durable.
type node struct {
	dir  bool
	open int // handles, which crashes void

	content []byte
	durable image
	dirty   []bool // sectors written since the last sync
	resized bool   // the length changed since then
	former  image  // durable before the last sync: what a stale sector goes back to

	names   map[string]*node
	kept    map[string]*node // durable
	pending []change         // from kept to names
}

// change is one step of a directory: node gets name, and loses the name was. Either may be empty.
type change struct {
	name, was string
	node      *node
	move      *move // if it is half of one
}

// move is a rename from one directory to another: both halves of it are durable or none is. They are for certain when both directories were synced.
type move struct {
	from, to      *node
	left, arrived bool // that directory was synced since
	drawn, keep   bool // by a power loss, and what it drew
}

func (c change) apply(names *map[string]*node) {
	if *names == nil {
		*names = map[string]*node{}
	}
	if c.was != "" {
		delete(*names, c.was)
	}
	if c.name != "" {
		(*names)[c.name] = c.node
	}
}

func (n *node) change(c change) {
	c.apply(&n.names)
	n.pending = append(n.pending, c)
}

// persist makes c durable. What was moved away may have left its name to another by now.
func (c change) persist(kept *map[string]*node) {
	if c.move == nil || c.was == "" || (*kept)[c.was] == c.node {
		c.apply(kept)
	}
}

func (n *node) syncNames() {
	var rest []change
	for _, c := range n.pending {
		if v := c.move; v != nil {
			v.left, v.arrived = v.left || n == v.from, v.arrived || n == v.to
			if !v.left || !v.arrived {
				rest = append(rest, c)
				continue
			}
			other := v.from
			if n == v.from {
				other = v.to
			}
			other.settle(v)
		}
		c.persist(&n.kept)
	}
	n.pending = rest
}

// settle makes the half of v that is here durable.
func (n *node) settle(v *move) {
	n.pending = slices.DeleteFunc(n.pending, func(c change) bool {
		if c.move == v {
			c.persist(&n.kept)
		}
		return c.move == v
	})
}

// soil notes that the bytes from begin to end were written.
func (n *node) soil(begin, end int64) {
	last := int((end + Sector - 1) / Sector)
	for len(n.dirty) < last {
		n.dirty = append(n.dirty, false)
	}
	for s := int(begin / Sector); s < last; s++ {
		n.dirty[s] = true
	}
}

// resize makes the content this long. What it grows over may be there on the disk, so it counts as written.
func (n *node) resize(size int64) {
	have := int64(len(n.content))
	switch {
	case size < have:
		n.content = n.content[:size:size]
	case size > have:
		n.content = append(n.content, make([]byte, size-have)...)
		if d := int64(n.durable.size); d > have {
			n.soil(have, min(d, size))
		}
	}
	n.resized = n.resized || size != have
}

// sync makes the dirty sectors durable, and no others: what an earlier sync dropped stays dropped.
func (n *node) sync() {
	n.former, n.durable = n.durable, n.durable.synced(n.content, n.dirty)
	n.clean()
}

func (n *node) clean() { n.dirty, n.resized = nil, false }

// lose leaves what a power loss leaves.
func (n *node) lose(r *rand.Rand) {
	if n.dir {
		for _, c := range n.pending {
			keep := false
			if c.move == nil {
				keep = r.IntN(2) == 0
			} else {
				keep = c.move.draw(r)
			}
			if keep {
				c.persist(&n.kept)
			}
		}
		n.pending, n.names = nil, map[string]*node{}
		for name, kept := range n.kept {
			n.names[name] = kept
		}
		return
	}
	size := n.durable.size
	if n.resized {
		switch r.IntN(3) {
		case 0:
			size = len(n.content)
		case 1:
			low, high := min(size, len(n.content)), max(size, len(n.content))
			size = low + r.IntN(high-low+1)
		}
	}
	left := n.durable.bytes(size)
	keep := []int{0, 1, 5, 9, 10}[r.IntN(5)] // tenths
	for s, dirty := range n.dirty {
		at := s * Sector
		if !dirty || at >= size {
			continue
		}
		sector := left[at:min(at+Sector, size)]
		switch {
		case r.IntN(10) < keep:
			clear(sector)
			copy(sector, n.content[min(at, len(n.content)):])
		case r.IntN(3) == 0:
			var word [8]byte
			for i := range sector {
				if i%8 == 0 {
					binary.LittleEndian.PutUint64(word[:], r.Uint64())
				}
				sector[i] = word[i%8]
			}
		}
	}
	n.durable, n.content = newImage(left), left
	n.clean()
}

// draw is whether a power loss keeps v, the same for both halves.
func (v *move) draw(r *rand.Rand) bool {
	if !v.drawn {
		v.drawn, v.keep = true, r.IntN(2) == 0
	}
	return v.keep
}

// copies maps what is copied already.
type copies struct {
	nodes map[*node]*node
	moves map[*move]*move
}

// copy returns a copy of n and all below it, as a process that has just started sees it.
func (n *node) copy(seen copies) *node {
	if n == nil {
		return nil
	}
	if c := seen.nodes[n]; c != nil {
		return c
	}
	c := &node{dir: n.dir, resized: n.resized, former: n.former, durable: n.durable}
	seen.nodes[n] = c
	c.content = append([]byte(nil), n.content...)
	c.dirty = append([]bool(nil), n.dirty...)
	c.names, c.kept = copyNames(n.names, seen), copyNames(n.kept, seen)
	for _, p := range n.pending {
		p.node, p.move = p.node.copy(seen), p.move.copy(seen)
		c.pending = append(c.pending, p)
	}
	return c
}

func (v *move) copy(seen copies) *move {
	if v == nil || seen.moves[v] != nil {
		return seen.moves[v]
	}
	c := &move{left: v.left, arrived: v.arrived}
	seen.moves[v] = c
	c.from, c.to = v.from.copy(seen), v.to.copy(seen)
	return c
}

func copyNames(names map[string]*node, seen copies) map[string]*node {
	if names == nil {
		return nil
	}
	c := make(map[string]*node, len(names))
	for name, n := range names {
		c[name] = n.copy(seen)
	}
	return c
}
