package tcp

import (
	"sync"

	"github.com/ensemble-go/ensemble/transport"
)

const (
	lengthBytes = 4        // before each frame
	chunkBytes  = 64 << 10 // of most chunks, which hold many frames
)

// chunk is a buffer from a pool: of frames that wait to be sent, or of bytes that were read.
type chunk struct {
	buf  []byte // its length is what is in use
	pool int
}

var (
	chunkSizes = [...]int{chunkBytes, 128 << 10, 256 << 10, transport.MaxFrame + lengthBytes}
	chunkPools [len(chunkSizes)]sync.Pool
)

// borrow returns an empty chunk with room for size bytes, at most MaxFrame and its length.
func borrow(size int) *chunk {
	i := 0
	for size > chunkSizes[i] {
		i++
	}
	if c, ok := chunkPools[i].Get().(*chunk); ok {
		return c
	}
	return &chunk{buf: make([]byte, 0, chunkSizes[i]), pool: i}
}

func giveBack(c *chunk) {
	c.buf = c.buf[:0]
	chunkPools[c.pool].Put(c)
}
