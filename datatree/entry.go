package datatree

import (
	"sync/atomic"
	"unsafe"
)

// entry is the place of a path in the tree: what its versions have in common. It is the same object from the creation of a znode until its
// deletion is forgotten.
type entry struct {
	path   string // in the same piece of memory, unless it is long
	hash   uint64
	parent *entry // writer only
	kids   atomic.Pointer[children]
	nameAt uint32 // where the name begins in path
	gone   bool   // writer only: taken out of the index
}

func (e *entry) name() string { return e.path[e.nameAt:] }

// Entries with room for their paths. With the entry each fills a size class of the allocator (on 64 bits).
type (
	entry32 struct {
		entry
		buf [32]byte
	}
	entry48 struct {
		entry
		buf [48]byte
	}
	entry64 struct {
		entry
		buf [64]byte
	}
	entry96 struct {
		entry
		buf [96]byte
	}
	entry144 struct {
		entry
		buf [144]byte
	}
)

// newEntry returns an entry with a copy of path. It is in no index yet.
func newEntry(path string, hash uint64, parent *entry) *entry {
	var e *entry
	var buf []byte
	switch n := len(path); {
	case n <= 32:
		x := new(entry32)
		e, buf = &x.entry, x.buf[:]
	case n <= 48:
		x := new(entry48)
		e, buf = &x.entry, x.buf[:]
	case n <= 64:
		x := new(entry64)
		e, buf = &x.entry, x.buf[:]
	case n <= 96:
		x := new(entry96)
		e, buf = &x.entry, x.buf[:]
	case n <= 144:
		x := new(entry144)
		e, buf = &x.entry, x.buf[:]
	default:
		e, buf = new(entry), make([]byte, n)
	}
	n := copy(buf, path)
	e.path = unsafe.String(&buf[0], n) // never written again
	e.hash, e.parent, e.nameAt = hash, parent, uint32(nameAt(path))
	return e
}
