// Package byid finds things by the id that they hold themselves. A map of Go keeps a copy of each key beside the pointer, and much room; with a hundred thousand
// small things that is most of what they take.
package byid

import (
	"cmp"
	"math/bits"
	"slices"
)

// Keyed is what has an id: a pointer to a struct that holds it. It does not change while the thing is in a [Map].
type Keyed interface {
	Key() uint64 // the id
}

// Map is a set of things, found by their ids. It keeps 9.1 bytes for each of its places, of which between half and six of seven are taken while it grows. A thing
// that is looked for at random costs two lines of cache: one in the map, and the thing.
//
// The zero value is empty. Its state follows from what was done to it and nothing else. It is for one goroutine at a time.
type Map[T Keyed] struct {
	groups []group[T]
	n      int
}

// group is a line of cache. It is that of a thing by its hash; if it is full, the next one is, and so on.
type group[T any] struct {
	// The lowest byte is how many things passed by this group because it was full; at 255 it is not counted any more. The others are 7 bits of the
	// hash of what is in each place and the highest bit, or 0 where there is nothing.
	tags   uint64
	places [perGroup]T
}

const (
	perGroup = 7
	ones     = 0x0101010101010101
	taken    = 0x8080808080808000
	most     = 255 // that are counted
)

// hash has all bits of an id in each of its own. Ids are no secret and nobody's choice, so it need not be either.
func hash(id uint64) uint64 {
	hi, lo := bits.Mul64(id^0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F)
	return hi ^ lo
}

// home is the group where the search begins: by the highest bits, while the lowest are the tag.
func (m *Map[T]) home(h uint64) int {
	at, _ := bits.Mul64(h, uint64(len(m.groups)))
	return int(at)
}

func (m *Map[T]) after(at int) int {
	if at++; at < len(m.groups) {
		return at
	}
	return 0
}

func tag(h uint64) uint64 { return h&0x7f | 0x80 }

// find returns where id is; at is -1 if it is nowhere.
func (m *Map[T]) find(id uint64) (at, place int) {
	h := hash(id)
	same := tag(h) * ones
	at = m.home(h)
	for range m.groups {
		g := &m.groups[at]
		x := g.tags ^ same
		for hits := (x - ones) &^ x & taken; hits != 0; hits &= hits - 1 { // where x is 0, and a few more, all of them taken
			place = bits.TrailingZeros64(hits)/8 - 1
			if g.places[place].Key() == id {
				return at, place
			}
		}
		if g.tags&most == 0 {
			break
		}
		at = m.after(at)
	}
	return -1, 0
}

// Get returns the thing with that id, or the zero value.
func (m *Map[T]) Get(id uint64) (v T) {
	if at, place := m.find(id); at >= 0 {
		v = m.groups[at].places[place]
	}
	return v
}

// Put takes v in, in place of what had its id.
func (m *Map[T]) Put(v T) {
	if at, place := m.find(v.Key()); at >= 0 {
		m.groups[at].places[place] = v
		return
	}
	if m.n >= (perGroup-1)*len(m.groups) {
		m.rebuild(len(m.groups) + len(m.groups)/2 + 1)
	}
	m.add(v)
	m.n++
}

// add puts v into the first place that is free.
func (m *Map[T]) add(v T) {
	h := hash(v.Key())
	at := m.home(h)
	for m.groups[at].tags&taken == taken {
		if m.groups[at].tags&most < most {
			m.groups[at].tags++
		}
		at = m.after(at)
	}
	g := &m.groups[at]
	place := bits.TrailingZeros64(^g.tags&taken)/8 - 1
	g.tags |= tag(h) << (8 * (place + 1))
	g.places[place] = v
}

// Delete takes out what has that id. It reports whether there was anything.
func (m *Map[T]) Delete(id uint64) bool {
	at, place := m.find(id)
	if at < 0 {
		return false
	}
	for by := m.home(hash(id)); by != at; by = m.after(by) {
		if m.groups[by].tags&most < most {
			m.groups[by].tags--
		}
	}
	g := &m.groups[at]
	g.tags &^= 0xff << (8 * (place + 1))
	var none T
	g.places[place] = none
	m.n--
	if m.n < 2*(len(m.groups)-1) {
		m.rebuild((m.n + 3) / 4)
	}
	return true
}

// rebuild takes everything into so many groups. It looks at each thing once, and comes after as many changes as a part of those.
func (m *Map[T]) rebuild(groups int) {
	old := m.groups
	m.groups = make([]group[T], groups)
	for i := range old {
		for at := old[i].tags & taken; at != 0; at &= at - 1 {
			m.add(old[i].places[bits.TrailingZeros64(at)/8-1])
		}
	}
}

// Len returns how many there are.
func (m *Map[T]) Len() int { return m.n }

// Sorted returns all in the order of their ids.
func (m *Map[T]) Sorted() []T {
	all := make([]T, 0, m.n)
	for i := range m.groups {
		for at := m.groups[i].tags & taken; at != 0; at &= at - 1 {
			all = append(all, m.groups[i].places[bits.TrailingZeros64(at)/8-1])
		}
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.Key(), b.Key()) })
	return all
}
