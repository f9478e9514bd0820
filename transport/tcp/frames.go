package tcp

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ensemble-go/ensemble/transport"
)

// alive stands where the length of a frame would, and is followed by none.
const alive = 0xffffffff

// frames reads frames from a connection.
type frames struct {
	r      io.Reader
	c      *chunk
	lo, hi int // what has been read and not yet returned
}

// next returns the next frame, which is valid until the next call. The length is checked before memory is taken for it.
func (f *frames) next() ([]byte, error) {
	for {
		need := lengthBytes
		if f.hi-f.lo >= lengthBytes {
			n := binary.BigEndian.Uint32(f.c.buf[f.lo:f.hi])
			if n == alive {
				f.lo += lengthBytes
				continue
			}
			if n > transport.MaxFrame {
				return nil, fmt.Errorf("a frame of %d bytes", n)
			}
			need += int(n)
			if f.hi-f.lo >= need {
				frame := f.c.buf[f.lo+lengthBytes : f.lo+need : f.lo+need]
				f.lo += need
				return frame, nil
			}
		}
		f.room(need)
		n, err := f.r.Read(f.c.buf[f.hi:])
		f.hi += n
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// room makes space for need bytes from lo on. A large chunk is kept only as long as it is needed.
func (f *frames) room(need int) {
	have, c := f.hi-f.lo, f.c
	switch {
	case c != nil && have == 0 && c.pool == 0:
	case c != nil && have > 0 && len(c.buf)-f.lo >= need:
		return
	case c != nil && have > 0 && len(c.buf) >= need:
		copy(c.buf, c.buf[f.lo:f.hi])
	default:
		f.c = borrow(need)
		f.c.buf = f.c.buf[:cap(f.c.buf)]
		if c != nil {
			copy(f.c.buf, c.buf[f.lo:f.hi])
			giveBack(c)
		}
	}
	f.lo, f.hi = 0, have
}

func (f *frames) release() {
	if f.c != nil {
		giveBack(f.c)
		f.c = nil
	}
}
