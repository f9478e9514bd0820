package datatree

import (
	"strings"
	"sync/atomic"
	"unsafe"
)

// entry is the place of a path in the tree: what its versions have in common. It is the same object from the creation of a znode until its
// deletion is forgotten. The path itself stands in each version.
type entry struct {
	hash    uint64
	parent  *entry // writer only
	kids    atomic.Pointer[children]
	nameLen uint16  // MaxPath has no room for more
	gone    bool    // writer only: taken out of the index
	text    [5]byte // where the name begins, which the piece of memory goes on with; unless it is long
}

// Entries with room for names. With the room each fills a size class of the allocator (on 64 bits).
type (
	entry48 struct {
		entry
		_ [16]byte
	}
	entry64 struct {
		entry
		_ [32]byte
	}
	entry96 struct {
		entry
		_ [64]byte
	}
	entryOfLong struct {
		entry
		name string
	}
)

// shortName bounds the names that stand in the same piece of memory.
const shortName = len(entry{}.text) + 64

func (e *entry) name() string {
	if e.nameLen > uint16(shortName) {
		return (*entryOfLong)(unsafe.Pointer(e)).name
	}
	return unsafe.String(&e.text[0], e.nameLen)
}

// newEntry returns an entry with a copy of the name. It is in no index yet.
func newEntry(path string, hash uint64, parent *entry) *entry {
	name := path[nameAt(path):]
	var e *entry
	switch n := len(name); {
	case n <= 5:
		e = new(entry)
	case n <= 5+16:
		e = &new(entry48).entry
	case n <= 5+32:
		e = &new(entry64).entry
	case n <= shortName:
		e = &new(entry96).entry
	default:
		x := new(entryOfLong)
		e, x.name = &x.entry, strings.Clone(name)
	}
	if e.nameLen = uint16(len(name)); len(name) <= shortName {
		copy(unsafe.Slice(&e.text[0], len(name)), name)
	}
	e.hash, e.parent = hash, parent
	return e
}
