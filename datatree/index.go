package datatree

import (
	"math/bits"
	"sync/atomic"
)

// index finds the newest version of a path: an extendible hash table of small segments. One writer changes it; readers look beside it
// without locks. It grows a segment at a time, so that no write pays for rebuilding all of it.
//
// A reader may hold a segment or a directory that has been replaced meanwhile. It then sees the index of a moment after it began, which
// is all it needs: a path that a reader is entitled to see is never removed, one that was added after it began does not concern it, and from any
// version that was the newest after it began it finds the one it may see.
type index struct {
	dir atomic.Pointer[directory]
}

type directory struct {
	shift uint8                     // 64 - the number of leading hash bits that choose a segment
	segs  []atomic.Pointer[segment] // a segment of fewer bits stands in a run of neighbouring places
}

// segment is an open-addressed table in groups of eight slots. A byte for each slot, its tag, tells most of what a search wants to know: the tags
// of 100 000 paths fit into a processor's cache, and what they pass over is not touched.
type segment struct {
	tags   []atomic.Uint64           // of a group
	slots  []atomic.Pointer[version] // the newest version
	hashes []uint64                  // writer only
	bits   uint8                     // leading hash bits that all paths share
	live   int                       // writer only
	tombs  int                       // writer only
}

type slot = *atomic.Pointer[version]

const (
	segmentMin  = 8    // slots
	segmentMax  = 1024 // slots; a fuller segment is split
	segmentBits = 32   // paths that share this many bits are not worth a split: a hash so poor is an attack
)

// A tag is 0 for a slot that was never taken, 1 for one that was given up, and has the top bit set for one that is taken.
const (
	tagEmpty = 0x00
	tagTomb  = 0x01
	lowBits  = 0x0101010101010101
	topBits  = 0x8080808080808080
)

func tagOf(hash uint64) uint64 { return hash>>24&0x7f | 0x80 }

// zeros has the top bit set of each byte of w that is 0; above one that is, others may have it too.
func zeros(w uint64) uint64 { return (w - lowBits) &^ w & topBits }

func newSegment(bits uint8, slots int) *segment {
	return &segment{
		bits: bits, tags: make([]atomic.Uint64, slots/8), slots: make([]atomic.Pointer[version], slots), hashes: make([]uint64, slots),
	}
}

func (x *index) init() {
	d := &directory{shift: 64, segs: make([]atomic.Pointer[segment], 1)}
	d.segs[0].Store(newSegment(0, segmentMin))
	x.dir.Store(d)
}

func (x *index) segment(hash uint64) *segment {
	d := x.dir.Load()
	return d.segs[hash>>d.shift].Load()
}

// find returns the newest version of path, or nil. Any goroutine.
func (x *index) find(path string, hash uint64) *version {
	v, _ := x.segment(hash).find(path, hash)
	return v
}

// newest returns the newest version of e, or nil when e is not there any more. Any goroutine.
func (x *index) newest(e *entry) *version {
	v, _ := x.segment(e.hash).newest(e)
	return v
}

func (s *segment) newest(e *entry) (*version, int) {
	want := tagOf(e.hash) * lowBits
	for g := e.hash; ; g++ {
		g &= uint64(len(s.tags) - 1)
		s.slots[g*8].Load() // as in find
		tags := s.tags[g].Load()
		for m := zeros(tags ^ want); m != 0; m &= m - 1 {
			i := int(g)*8 + bits.TrailingZeros64(m)/8
			if v := s.slots[i].Load(); v != nil && v.entry == e {
				return v, i
			}
		}
		if zeros(tags) != 0 {
			return nil, 0
		}
	}
}

// locate is find for the writer: the slot is good until the next insert.
func (x *index) locate(path string, hash uint64) (*version, slot) {
	s := x.segment(hash)
	v, i := s.find(path, hash)
	if v == nil {
		return nil, nil
	}
	return v, &s.slots[i]
}

// put makes v the newest version of an entry that is there.
func (x *index) put(v *version) {
	s := x.segment(v.entry.hash)
	_, i := s.newest(v.entry)
	s.slots[i].Store(v)
}

func (s *segment) find(path string, hash uint64) (*version, int) {
	want := tagOf(hash) * lowBits
	for g := hash; ; g++ {
		g &= uint64(len(s.tags) - 1)
		s.slots[g*8].Load() // the line comes from memory while the tags do
		tags := s.tags[g].Load()
		for m := zeros(tags ^ want); m != 0; m &= m - 1 {
			i := int(g)*8 + bits.TrailingZeros64(m)/8
			v := s.slots[i].Load()
			if v == nil {
				continue
			}
			v.prev.Load()         // the line where the path begins comes with that of its length
			if v.path() == path { // it may have been taken out meanwhile, and the slot taken by another path
				return v, i
			}
		}
		if zeros(tags) != 0 {
			return nil, 0
		}
	}
}

// insert adds the first version of an entry that is not there.
func (x *index) insert(v *version) {
	hash := v.entry.hash
	for {
		s := x.segment(hash)
		if 8*(s.live+s.tombs+1) <= 7*len(s.slots) {
			s.add(v, hash)
			return
		}
		switch {
		case 8*(s.live+1) <= 5*len(s.slots): // enough tombstones to make it worth while
			x.replace(s, s.copy(len(s.slots)))
		case len(s.slots) < segmentMax || s.bits >= segmentBits:
			x.replace(s, s.copy(2*len(s.slots)))
		default:
			x.split(s, hash)
		}
	}
}

// remove takes an entry out.
func (x *index) remove(e *entry) {
	s := x.segment(e.hash)
	v, i := s.newest(e)
	if v == nil {
		return
	}
	tag := uint64(tagTomb)
	if zeros(s.tags[i/8].Load()) != 0 {
		tag = tagEmpty // no search ever went past this group
	} else {
		s.tombs++
	}
	s.live--
	s.tag(i, tag)
	s.slots[i].Store(nil)
}

func (s *segment) tag(i int, tag uint64) {
	w, at := &s.tags[i/8], i%8*8
	w.Store(w.Load()&^(0xff<<at) | tag<<at)
}

func (s *segment) add(v *version, hash uint64) {
	for g := hash; ; g++ {
		g &= uint64(len(s.tags) - 1)
		if m := zeros(s.tags[g].Load()); m != 0 {
			i := int(g*8) + bits.TrailingZeros64(m)/8
			s.live++
			s.hashes[i] = hash
			s.slots[i].Store(v) // first: who finds the tag finds the version
			s.tag(i, tagOf(hash))
			return
		}
	}
}

// each calls f for all versions.
func (s *segment) each(f func(v *version, hash uint64)) {
	for i := range s.slots {
		if v := s.slots[i].Load(); v != nil {
			f(v, s.hashes[i])
		}
	}
}

func (s *segment) copy(slots int) *segment {
	n := newSegment(s.bits, slots)
	s.each(n.add)
	return n
}

// replace puts n wherever s is. They hold the same versions, so it does not matter which one a reader meets.
func (x *index) replace(s, n *segment) {
	segs := x.dir.Load().segs
	for i := range segs {
		if segs[i].Load() == s {
			segs[i].Store(n)
		}
	}
}

// split divides s by one more bit.
func (x *index) split(s *segment, hash uint64) {
	d := x.dir.Load()
	if 64-d.shift == s.bits { // s has one place only
		wide := &directory{shift: d.shift - 1, segs: make([]atomic.Pointer[segment], 2*len(d.segs))}
		for i := range wide.segs {
			wide.segs[i].Store(d.segs[i/2].Load())
		}
		x.dir.Store(wide)
		d = wide
	}
	low, high := newSegment(s.bits+1, segmentMax), newSegment(s.bits+1, segmentMax)
	s.each(func(v *version, hash uint64) {
		if hash<<s.bits>>63 == 0 {
			low.add(v, hash)
		} else {
			high.add(v, hash)
		}
	})
	run := 1 << (64 - d.shift - s.bits) // places of s
	first := int(hash>>d.shift) &^ (run - 1)
	for i := range run {
		n := low
		if i >= run/2 {
			n = high
		}
		d.segs[first+i].Store(n)
	}
}
