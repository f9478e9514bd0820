package datatree

import "sync/atomic"

// index finds the entry of a path: an extendible hash table of small open-addressed segments. One writer changes it; readers look beside it
// without locks. It grows a segment at a time, so that no write pays for rebuilding all of it.
//
// A reader may hold a segment or a directory that has been replaced meanwhile. It then sees the index of a moment after it began, which
// is all it needs: an entry that a reader is entitled to see is never removed, nor is it added after the reader began.
type index struct {
	dir atomic.Pointer[directory]
}

type directory struct {
	shift uint8                     // 64 - the number of leading hash bits that choose a segment
	segs  []atomic.Pointer[segment] // a segment of fewer bits stands in a run of neighbouring places
}

type segment struct {
	bits  uint8 // leading hash bits that all entries share
	live  int   // writer only
	tombs int   // writer only
	slots []slot
}

// slot holds an entry beside its hash: a search that has to move on does so without a look at the entry, which would be a cache miss.
type slot struct {
	hash  atomic.Uint64 // 0: empty, and so it stays that way until entry is set
	entry atomic.Pointer[entry]
}

const (
	segmentMin  = 8    // slots
	segmentMax  = 1024 // slots; a fuller segment is split
	segmentBits = 32   // entries that share this many bits are not worth a split: a hash so poor is an attack
)

// tombstone stands where an entry was, so that those that had to move on because of it are still found.
var tombstone = new(entry)

func newSegment(bits uint8, slots int) *segment {
	return &segment{bits: bits, slots: make([]slot, slots)}
}

func (x *index) init() {
	d := &directory{shift: 64, segs: make([]atomic.Pointer[segment], 1)}
	d.segs[0].Store(newSegment(0, segmentMin))
	x.dir.Store(d)
}

// find returns the entry of path, or nil. Any goroutine.
func (x *index) find(path string, hash uint64) *entry {
	d := x.dir.Load()
	slots := d.segs[hash>>d.shift].Load().slots
	for i := hash; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		switch s.hash.Load() {
		case hash:
			if e := s.entry.Load(); e.path == path {
				return e
			}
		case 0:
			return nil
		}
	}
}

// insert adds an entry that is not there.
func (x *index) insert(e *entry) {
	for {
		d := x.dir.Load()
		s := d.segs[e.hash>>d.shift].Load()
		if 2*(s.live+s.tombs+1) <= len(s.slots) {
			s.add(e)
			return
		}
		switch {
		case 4*(s.live+1) <= len(s.slots): // mostly tombstones
			x.replace(s, s.copy(len(s.slots)))
		case len(s.slots) < segmentMax || s.bits >= segmentBits:
			x.replace(s, s.copy(2*len(s.slots)))
		default:
			x.split(s, e.hash)
		}
	}
}

// remove takes an entry out.
func (x *index) remove(e *entry) {
	d := x.dir.Load()
	s := d.segs[e.hash>>d.shift].Load()
	mask := uint64(len(s.slots) - 1)
	for i := e.hash; ; i++ {
		switch s.slots[i&mask].entry.Load() {
		case e:
			s.slots[i&mask].entry.Store(tombstone)
			s.live--
			s.tombs++
			return
		case nil:
			return
		}
	}
}

func (s *segment) add(e *entry) {
	mask := uint64(len(s.slots) - 1)
	i := e.hash
	for s.slots[i&mask].hash.Load() != 0 {
		i++
	}
	s.live++
	s.slots[i&mask].entry.Store(e) // first: who finds the hash finds the entry
	s.slots[i&mask].hash.Store(e.hash)
}

func (s *segment) copy(slots int) *segment {
	n := newSegment(s.bits, slots)
	for i := range s.slots {
		if e := s.slots[i].entry.Load(); e != nil && e != tombstone {
			n.add(e)
		}
	}
	return n
}

// replace puts n wherever s is. They hold the same entries, so it does not matter which one a reader meets.
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
	for i := range s.slots {
		if e := s.slots[i].entry.Load(); e != nil && e != tombstone {
			if e.hash<<s.bits>>63 == 0 {
				low.add(e)
			} else {
				high.add(e)
			}
		}
	}
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
