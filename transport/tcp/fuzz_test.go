package tcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// The seeds below testdata/fuzz are what members have sent to each other: go test ./transport/tcp -run TestRecordTraffic -record.

// script is a connection whose other side has sent everything it will, in pieces.
type script struct {
	net.Conn
	in    []byte
	piece int
	out   bytes.Buffer
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), max(s.piece, 1))], s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *script) Close() error                     { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// FuzzHandshake gives the accepting side any bytes. It admits nothing but a well-formed hello to itself, reads not one byte more than that, and its answer is one.
func FuzzHandshake(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		m := New(Config{Insecure: true, Listener: new(pipes).listen("")})
		if err := m.Start(1, nobody{}); err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		s := &script{in: bytes.Clone(data), piece: int(piece)}
		var h greeting
		read := h.read(&script{in: bytes.Clone(data), piece: 1})
		// Only as far as the decision: the goroutines of an admitted connection would read on.
		var a greeting
		err := m.serve(&visitor{raw: judgeOnly{s}})
		var r *refusal
		switch {
		case read != nil || h.kind != hello:
			if err == nil || errors.As(err, &r) || s.out.Len() > 0 {
				t.Fatalf("answered: %v, %v", read, err)
			}
			return
		case a.read(&s.out) != nil || s.out.Len() > 0:
			t.Fatalf("the answer is malformed: %+v", a)
		case a.kind != answer || a.class != h.class || a.from != 1 || a.to != h.from || a.version != version:
			t.Fatalf("the answer to %+v is %+v", h, a)
		case errors.As(err, &r) != (a.verdict != admitted):
			t.Fatalf("%+v, and %v", a, err)
		}
		first := h.run != 0 || h.dial > 0 // nobody counts his dials from 0
		if want := h.version >= version && h.to == 1 && h.from != 1 && h.class == transport.Control && first; want != (a.verdict == admitted) {
			t.Fatalf("hello %+v: %v", h, a.verdict)
		}
		length := headBytes + int(binary.BigEndian.Uint16(data[headBytes-2:]))
		if len(s.in) != len(data)-length {
			t.Fatalf("read %d bytes of a greeting of %d", len(data)-len(s.in), length)
		}
		if again := h.append(nil); length == len(again) && !bytes.Equal(again, data[:length]) {
			t.Fatalf("%x is read as %x", data[:length], again)
		}
	})
}

// judgeOnly lets no frame be read once the connection is admitted.
type judgeOnly struct{ *script }

func (judgeOnly) SetReadDeadline(time.Time) error { return errClosed }

type nobody struct{}

func (nobody) Receive(quorum.ID, transport.Class, []byte) {}
func (nobody) Lost(quorum.ID)                             {}

// FuzzFrames reads any bytes in any pieces, and compares with a slow twin that has all of them at once.
func FuzzFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, pieces []byte) {
		var want [][]byte
		rest := data
		lie := false
		for len(rest) >= lengthBytes {
			n := binary.BigEndian.Uint32(rest)
			if n == alive {
				rest = rest[lengthBytes:]
				continue
			}
			if lie = n > transport.MaxFrame; lie || uint64(len(rest)-lengthBytes) < uint64(n) {
				break
			}
			want = append(want, rest[lengthBytes:lengthBytes+n])
			rest = rest[lengthBytes+n:]
		}
		r := frames{r: &uneven{data, pieces, 0}}
		defer r.release()
		for i := 0; ; i++ {
			got, err := r.next()
			if err != nil {
				if i != len(want) || lie == (err == io.EOF) {
					t.Fatalf("%d frames of %d, then %v", i, len(want), err)
				}
				break
			}
			if i >= len(want) || !bytes.Equal(got, want[i]) {
				t.Fatalf("frame %d of %d is %.40q", i, len(want), got)
			}
		}
		if r.c != nil && cap(r.c.buf) > transport.MaxFrame+lengthBytes {
			t.Fatalf("a buffer of %d bytes", cap(r.c.buf))
		}
	})
}

// uneven returns data in pieces of these sizes, again and again.
type uneven struct {
	data   []byte
	pieces []byte
	next   int
}

func (u *uneven) Read(b []byte) (int, error) {
	if len(u.data) == 0 {
		return 0, io.EOF
	}
	size := len(b)
	if len(u.pieces) > 0 {
		p := int(u.pieces[u.next%len(u.pieces)])
		size = max(p*p, 1)
		u.next++
	}
	n := copy(b[:min(len(b), size)], u.data)
	u.data = u.data[n:]
	return n, nil
}
