package datatree

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// hashPath is what the index and what is outstanding go by. It is known to nobody outside this package and may change; the digest has another one. It folds
// products as wyhash does, because a read waits for it: the 64-bit words of a path are taken two at a time, and what is left at the end overlaps what was taken.
func hashPath(path string) uint64 {
	b := unsafe.Slice(unsafe.StringData(path), len(path))
	le := binary.LittleEndian
	h := uint64(len(b)) ^ prime3
	for len(b) > 16 {
		h = fold(le.Uint64(b)^prime1, le.Uint64(b[8:])^h)
		b = b[16:]
	}
	var low, high uint64
	switch n := len(b); {
	case n >= 8:
		low, high = le.Uint64(b), le.Uint64(b[n-8:])
	case n >= 4:
		low, high = uint64(le.Uint32(b)), uint64(le.Uint32(b[n-4:]))
	case n > 0:
		low = uint64(b[0])<<16 | uint64(b[n/2])<<8 | uint64(b[n-1])
	}
	return fold(fold(low^prime2, high^h), prime5)
}

// fold returns both halves of the product of a and b as one.
func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
