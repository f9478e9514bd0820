package transport

import (
	"math/bits"
	"sync"
)

// Frames come in all sizes, so there is a pool for each power of two from smallest to MaxFrame.
const smallest = 8 // as a power of two

var pools [12]sync.Pool

func poolOf(size int) int {
	if size <= 1<<smallest {
		return 0
	}
	return bits.Len(uint(size-1)) - smallest
}

// borrow returns a buffer of at least the size, which is at most MaxFrame.
func borrow(size int) *[]byte {
	i := poolOf(size)
	if b, ok := pools[i].Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 1<<(smallest+i))
	return &b
}

func giveBack(b *[]byte) { pools[poolOf(len(*b))].Put(b) }
