package tcp

import (
	"encoding/binary"
	"sync"
)

// queue holds the frames of one class that wait to be sent to one peer. They stand side by side in chunks, each behind its length, as they will on the
// wire: a frame is copied once, by put, and costs no memory of its own.
type queue struct {
	max    int  // bytes, lengths included; the chunks have at most twice as many
	oldest bool // when it is full the oldest frames make room
	wake   chan struct{}

	mu     sync.Mutex
	owner  *conn // the one that takes
	chunks []*chunk
	head   int // where the first frame begins in the first chunk
	size   int
}

// put reports false when there is no room for the frame.
func (q *queue) put(frame []byte) bool {
	need := lengthBytes + len(frame)
	q.mu.Lock()
	if q.size+need > q.max {
		for q.oldest && q.size+need > q.max && q.size > 0 {
			q.drop()
		}
		if q.size+need > q.max {
			q.mu.Unlock()
			return false
		}
	}
	n := len(q.chunks)
	if n == 0 || len(q.chunks[n-1].buf)+need > cap(q.chunks[n-1].buf) {
		q.chunks = append(q.chunks, borrow(need))
		n++
	}
	c := q.chunks[n-1]
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(frame)))
	c.buf = append(c.buf, frame...)
	first := q.size == 0
	q.size += need
	q.mu.Unlock()
	if first {
		q.poke()
	}
	return true
}

// drop drops the oldest frame.
func (q *queue) drop() {
	c := q.chunks[0]
	n := lengthBytes + int(binary.BigEndian.Uint32(c.buf[q.head:]))
	q.head += n
	q.size -= n
	if q.head == len(c.buf) {
		q.shift()
		giveBack(c)
	}
}

func (q *queue) shift() {
	n := copy(q.chunks, q.chunks[1:])
	q.chunks[n] = nil
	q.chunks = q.chunks[:n]
	q.head = 0
}

// batch is what was taken from a queue to be sent at once.
type batch struct {
	chunks []*chunk
	vector [][]byte // the part of each chunk that is to be sent
}

// give makes c the one that takes. The goroutine of a lost connection must not take what is meant for its successor.
func (q *queue) give(c *conn) {
	q.mu.Lock()
	q.owner = c
	q.mu.Unlock()
}

// take moves whole chunks to an empty b, until they come to limit. It reports whether there were any, and whether c is still the one that takes.
func (q *queue) take(c *conn, b *batch, limit int) (some, ours bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != c {
		return false, false
	}
	for len(q.chunks) > 0 && limit > 0 {
		c := q.chunks[0]
		bytes := c.buf[q.head:]
		b.chunks, b.vector = append(b.chunks, c), append(b.vector, bytes)
		q.size -= len(bytes)
		limit -= len(bytes)
		q.shift()
	}
	return len(b.chunks) > 0, true
}

// poke wakes the one that takes.
func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (b *batch) release() {
	for i, c := range b.chunks {
		giveBack(c)
		b.chunks[i], b.vector[i] = nil, nil
	}
	b.chunks, b.vector = b.chunks[:0], b.vector[:0]
}

// clear drops everything, and nobody takes any more.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.owner = nil
	for i, c := range q.chunks {
		giveBack(c)
		q.chunks[i] = nil
	}
	q.chunks, q.head, q.size = q.chunks[:0], 0, 0
}
