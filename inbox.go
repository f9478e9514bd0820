package ensemble

import (
	"sync"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// What may wait before frames are dropped: a dropped frame costs one resynchronisation of its link.
const (
	maxInbound   = 32 << 20 // bytes, of each class
	frameBytes   = 64       // what a frame counts beyond its own
	arenaBytes   = 64 << 10
	arenaLargest = arenaBytes / 4 // frames above it get memory of their own
)

// frame is one that has arrived, or (nil bytes, hint) the transport's hint that the peer is lost.
type frame struct {
	from  quorum.ID
	hint  bool
	bytes []byte
}

// lane holds the frames of one class that the node's goroutine has yet to take.
type lane struct {
	mu     sync.Mutex
	frames []frame
	size   int
	arena  []byte // where small frames are copied to, many side by side
}

// copyIn returns a copy of b. What is decoded from a frame may stay for long, so memory is never reused.
func (l *lane) copyIn(b []byte) []byte {
	if len(b) > arenaLargest {
		return append([]byte(nil), b...)
	}
	if len(l.arena)+len(b) > cap(l.arena) {
		l.arena = make([]byte, 0, arenaBytes)
	}
	start := len(l.arena)
	l.arena = append(l.arena, b...)
	return l.arena[start:len(l.arena):len(l.arena)]
}

// handler is the node's face to its transport.
type handler struct{ h *host }

// Receive is part of transport.Handler.
func (t handler) Receive(from quorum.ID, class transport.Class, b []byte) {
	h := t.h
	if class >= transport.Classes {
		return
	}
	l := &h.lanes[class]
	l.mu.Lock()
	fits := l.size+len(b)+frameBytes <= maxInbound
	if fits {
		l.size += len(b) + frameBytes
		l.frames = append(l.frames, frame{from: from, bytes: l.copyIn(b)})
	}
	l.mu.Unlock()
	h.stats.framesReceived.Add(1)
	h.stats.bytesReceived.Add(uint64(len(b)))
	if !fits {
		h.stats.framesDropped.Add(1)
		return
	}
	h.wakeUp()
}

// Lost is part of transport.Handler.
func (t handler) Lost(peer quorum.ID) {
	l := &t.h.lanes[transport.Control]
	l.mu.Lock()
	if l.size < maxInbound {
		l.size += frameBytes
		l.frames = append(l.frames, frame{from: peer, hint: true})
	}
	l.mu.Unlock()
	t.h.wakeUp()
}

// taken is what the node's goroutine has taken out of a queue and is working through.
type taken[T any] struct {
	list []T
	next int
}

func (t *taken[T]) empty() bool { return t.next == len(t.list) }

func (t *taken[T]) pop() T {
	v := t.list[t.next]
	var zero T
	t.list[t.next] = zero
	t.next++
	return v
}

// recycle returns the empty list for reuse.
func (t *taken[T]) recycle() []T {
	if cap(t.list) > 8192 {
		return nil // a burst is not a reason to keep its memory
	}
	return t.list[:0]
}

// take fills an empty t.
func (l *lane) take(t *taken[frame]) {
	spare := t.recycle()
	l.mu.Lock()
	t.list, l.frames, l.size = l.frames, spare, 0
	l.mu.Unlock()
	t.next = 0
}
