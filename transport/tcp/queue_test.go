package tcp

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// The goroutine of a lost connection takes nothing, and hands on the wake-up that was meant for its successor.
func TestQueueHasOneTaker(t *testing.T) {
	q := queue{max: 1 << 20, wake: make(chan struct{}, 1)}
	former, present := new(conn), new(conn)
	var b batch
	q.give(former)
	q.clear() // the bundle is lost
	q.put([]byte("early"))
	if some, ours := q.take(former, &b, batchBytes); some || ours {
		t.Fatal("taken by a connection that is lost")
	}
	q.give(present)
	if some, ours := q.take(former, &b, batchBytes); some || ours {
		t.Fatal("taken by a connection that has a successor")
	}
	if some, ours := q.take(present, &b, batchBytes); !some || !ours || string(b.vector[0]) != "\x00\x00\x00\x05early" {
		t.Fatalf("%v %v %q", some, ours, b.vector)
	}

	c := &conn{b: &bundle{p: new(peer)}, ended: make(chan struct{})}
	d := &c.b.p.queues[0]
	d.wake = make(chan struct{}, 1)
	d.give(present)
	tr := New(plain())
	if err := c.write(tr); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.wake:
	default:
		t.Error("the wake-up is lost")
	}
}

// A queue holds at least what it is said to hold, in at most twice the memory, and an order of put is the order of take.
func TestQueueBounds(t *testing.T) {
	for _, size := range []int{0, 1, 100, chunkBytes/2 - lengthBytes + 1, chunkBytes, 130_000, 300_000} {
		q := queue{max: 2 << 20, wake: make(chan struct{}, 1)}
		c := new(conn)
		q.give(c)
		frame := make([]byte, size)
		n := 0
		for q.put(frame) {
			n++
		}
		if held := n * (size + lengthBytes); held > q.max || held < q.max-size-lengthBytes {
			t.Errorf("frames of %d bytes: holds %d", size, held)
		}
		memory := 0
		for _, c := range q.chunks {
			memory += cap(c.buf)
		}
		if memory > 2*q.max+chunkBytes {
			t.Errorf("frames of %d bytes: %d bytes of memory", size, memory)
		}
		q.oldest = true
		last := bytes.Repeat([]byte{7}, size+1)
		if !q.put(last) {
			t.Fatal("the oldest does not make room")
		}
		var all []byte
		var b batch
		for some, _ := q.take(c, &b, batchBytes); some; some, _ = q.take(c, &b, batchBytes) {
			for _, v := range b.vector {
				all = append(all, v...)
			}
			b.release()
		}
		f := frames{r: bytes.NewReader(all)}
		for got := 0; ; got++ {
			frame, err := f.next()
			if err != nil {
				t.Fatalf("the last frame is missing after %d: %v", got, err)
			}
			if len(frame) == len(last) && bytes.Equal(frame, last) {
				break
			}
		}
		if rest := all[len(all)-len(last)-lengthBytes:]; binary.BigEndian.Uint32(rest) != uint32(len(last)) {
			t.Errorf("frames of %d bytes: the newest is not the last", size)
		}
		if q.size != 0 || len(q.chunks) != 0 {
			t.Errorf("%d bytes in %d chunks are left", q.size, len(q.chunks))
		}
	}
}
