package vfs

import (
	"io/fs"
	"math/rand/v2"
	"slices"
)

// Crash ends the process: handles and locks are void, and all that was written can still be read.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crash()
}

func (m *Memory) crash() {
	m.life++
	m.hook, m.files = nil, 0
	walk("", m.root, func(_ string, n *node) { n.open = 0 })
}

// PowerLoss ends the process and leaves what is durable, with such parts of the rest as r draws: each sector kept, dropped or
// garbage, each change of a directory kept or not.
func (m *Memory) PowerLoss(r *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crash()
	var loss func(n *node)
	loss = func(n *node) {
		n.lose(r)
		for _, name := range sorted(n.names) {
			loss(n.names[name])
		}
	}
	loss(m.root)
}

// Clone returns the disk as a process that starts now would find it, unsynced writes included, without hook and limit.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory()
	c.root = m.root.copy(copies{map[*node]*node{}, map[*move]*move{}})
	return c
}

// Restore makes the disk what image is: set back to an older state of itself, or swapped for another member's. The process
// that used it is at an end.
func (m *Memory) Restore(image *Memory) {
	c := image.Clone()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crash()
	m.root = c.root
}

// Wipe makes the disk a new one.
func (m *Memory) Wipe() { m.Restore(NewMemory()) }

// FlipBit flips one bit at rest, 0 being the lowest of the first byte.
func (m *Memory) FlipBit(name string, bit int64) error {
	return m.damage(name, func(b, _ []byte) bool {
		if bit/8 >= int64(len(b)) {
			return false
		}
		b[bit/8] ^= 1 << (bit % 8)
		return true
	})
}

// Zero clears n bytes at rest.
func (m *Memory) Zero(name string, off, n int64) error {
	return m.damage(name, func(b, _ []byte) bool {
		if off+n > int64(len(b)) {
			return false
		}
		clear(b[off : off+n])
		return true
	})
}

// Stale sets a sector back to what was durable before the last sync of the file.
func (m *Memory) Stale(name string, sector int64) error {
	return m.damage(name, func(b, former []byte) bool {
		if sector*Sector >= int64(len(b)) {
			return false
		}
		s := b[sector*Sector : min((sector+1)*Sector, int64(len(b)))]
		clear(s)
		if sector*Sector < int64(len(former)) {
			copy(s, former[sector*Sector:])
		}
		return true
	})
}

// damage changes both images of a file.
func (m *Memory) damage(name string, f func(b, former []byte) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(split(name))
	if n == nil || n.dir {
		return failed("damage", name, fs.ErrNotExist)
	}
	rest, former := n.durable.bytes(n.durable.size), n.former.bytes(n.former.size)
	a, b := f(n.content, former), f(rest, former)
	n.durable = newImage(rest)
	if !a && !b {
		return failed("damage", name, fs.ErrInvalid)
	}
	return nil
}

// Files returns the names of all files, sorted, with their content as it is read.
func (m *Memory) Files() (names []string, content map[string][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content = map[string][]byte{}
	walk("", m.root, func(name string, n *node) {
		if !n.dir {
			names = append(names, name)
			content[name] = append([]byte(nil), n.content...)
		}
	})
	return names, content
}

func walk(name string, n *node, f func(string, *node)) {
	f(name, n)
	for _, base := range sorted(n.names) {
		walk(name+"/"+base, n.names[base], f)
	}
}

func sorted(names map[string]*node) []string {
	var s []string
	for name := range names {
		s = append(s, name)
	}
	slices.Sort(s)
	return s
}
