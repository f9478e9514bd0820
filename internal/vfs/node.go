package vfs

import (
	"encoding/binary"
	"math/rand/v2"
)

// node is a file or a directory of a Memory disk, twice: as it is read, and as it is durable.
type node struct {
	dir  bool
	open int // handles, which crashes void

	content []byte
	durable []byte
	dirty   []bool // sectors written since the last sync
	resized bool   // the length changed since then
	former  []byte // durable before the last sync: what a stale sector goes back to

	names   map[string]*node
	kept    map[string]*node // durable
	pending []change         // from kept to names
}

// change is one step of a directory: node gets name, and loses the name was. Either may be empty.
type change struct {
	name, was string
	node      *node
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

func (n *node) syncNames() {
	for _, c := range n.pending {
		c.apply(&n.kept)
	}
	n.pending = nil
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
		if d := int64(len(n.durable)); d > have {
			n.soil(have, min(d, size))
		}
	}
	n.resized = n.resized || size != have
}

// sync makes the dirty sectors durable, and no others: what an earlier sync dropped stays dropped.
func (n *node) sync() {
	n.former = n.durable
	image := make([]byte, len(n.content))
	copy(image, n.durable)
	for s, dirty := range n.dirty {
		if at := s * Sector; dirty && at < len(image) {
			copy(image[at:min(at+Sector, len(image))], n.content[at:])
		}
	}
	n.durable = image
	n.clean()
}

func (n *node) clean() { n.dirty, n.resized = nil, false }

// lose leaves what a power loss leaves.
func (n *node) lose(r *rand.Rand) {
	if n.dir {
		for _, c := range n.pending {
			if r.IntN(2) == 0 {
				c.apply(&n.kept)
			}
		}
		n.pending, n.names = nil, map[string]*node{}
		for name, kept := range n.kept {
			n.names[name] = kept
		}
		return
	}
	size := len(n.durable)
	if n.resized {
		switch r.IntN(3) {
		case 0:
			size = len(n.content)
		case 1:
			low, high := min(size, len(n.content)), max(size, len(n.content))
			size = low + r.IntN(high-low+1)
		}
	}
	image := make([]byte, size)
	copy(image, n.durable)
	keep := []int{0, 1, 5, 9, 10}[r.IntN(5)] // tenths
	for s, dirty := range n.dirty {
		at := s * Sector
		if !dirty || at >= size {
			continue
		}
		sector := image[at:min(at+Sector, size)]
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
	n.durable = image
	n.content = append([]byte(nil), image...)
	n.clean()
}

// copy returns a copy of n and all below it, as a process that has just started sees it. seen maps what is copied already.
func (n *node) copy(seen map[*node]*node) *node {
	if n == nil {
		return nil
	}
	if c := seen[n]; c != nil {
		return c
	}
	c := &node{dir: n.dir, resized: n.resized, former: n.former, durable: n.durable} // durable images are replaced, never changed
	seen[n] = c
	c.content = append([]byte(nil), n.content...)
	c.dirty = append([]bool(nil), n.dirty...)
	c.names, c.kept = copyNames(n.names, seen), copyNames(n.kept, seen)
	for _, p := range n.pending {
		p.node = p.node.copy(seen)
		c.pending = append(c.pending, p)
	}
	return c
}

func copyNames(names map[string]*node, seen map[*node]*node) map[string]*node {
	if names == nil {
		return nil
	}
	c := make(map[string]*node, len(names))
	for name, n := range names {
		c[name] = n.copy(seen)
	}
	return c
}
