package session

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// ErrCorrupt is given for bytes that Append never made.
var ErrCorrupt = errors.New("session: malformed bytes")

// An encoded table is its format, the key, the number of sessions, each session with its window, and the digest. Numbers are
// varints in their shortest form, the run 16 bytes, the digest 8. The numbers of sequential names are preceded by how many there are. Timeouts are doubled,
// and odd for a client's session.
//
// Format 1 knows neither key nor timeouts nor sessions of clients. A table that has none of these is still written in it.
const (
	plainFormat  = 1
	format       = 2
	leastSession = 1 + 1 + 16 + 1 + 1 + 1
	leastEntry   = 1 + 1 + 1 + 1
)

// size is how long the encoded sessions are, all together.
type size struct{ rows, timings int }

func (s *size) add(r *row, sign int) {
	s.rows += sign * (uvarint(r.id) + uvarint(uint64(r.owner)) + len(r.run) + uvarint(uint64(r.generation)) + r.varies())
	s.timings += sign * uvarint(r.timing())
}

// varies is the part that changes with each decision.
func (r *row) varies() int {
	n := uvarint(r.lowest) + uvarint(uint64(r.count()))
	if r.window != nil {
		n += r.window.encoded
	}
	return n
}

// uvarint is how long a number is.
func uvarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func (e *Entry) bytes() int {
	n := uvarint(uint64(e.Zxid)) + 1 + uvarint(uint64(e.Index+1)) + 1
	if e.Number >= 0 {
		n += uvarint(uint64(1+len(e.More))) - 1 + uvarint(uint64(e.Number))
		for _, m := range e.More {
			n += uvarint(uint64(m))
		}
	}
	return n
}

// Frozen is the replicated state of a table as it was at one moment. It may be read while the table changes, on another goroutine, too.
type Frozen struct {
	rows   []*row
	count  int
	size   size
	later  bool
	begun  bool
	key    Key
	digest uint64
}

// Freeze returns the present state, at the cost of copying a few bytes for each session; a session that changes afterwards is copied once.
func (t *Table) Freeze() *Frozen {
	t.frozen++
	return &Frozen{
		rows: slices.Clone(t.rows), count: t.index.Len(), size: t.size, later: t.key != Key{} || t.later > 0, key: t.key, digest: t.digest,
	}
}

// Len returns the length of the encoding.
func (f *Frozen) Len() int {
	n := 1 + uvarint(uint64(f.count)) + f.size.rows + 8
	if f.later {
		n += len(f.key) + f.size.timings
	}
	return n
}

// Append appends the next part of the encoding to b: at least that many bytes, unless it is the last; then more is false.
func (f *Frozen) Append(b []byte, least int) (_ []byte, more bool) {
	least += len(b)
	if !f.begun {
		f.begun = true
		if f.later {
			b = append(append(b, format), f.key[:]...)
		} else {
			b = append(b, plainFormat)
		}
		b = binary.AppendUvarint(b, uint64(f.count))
	}
	for len(f.rows) > 0 {
		if len(b) >= least {
			return b, true
		}
		if r := f.rows[0]; r != nil {
			b = r.append(b, f.later)
		}
		f.rows = f.rows[1:]
	}
	return binary.LittleEndian.AppendUint64(b, f.digest), false
}

// Append appends the encoding of the replicated state to b.
func (t *Table) Append(b []byte) []byte {
	f := t.Freeze()
	b, _ = f.Append(slices.Grow(b, f.Len()), math.MaxInt32)
	return b
}

func (r *row) append(b []byte, later bool) []byte {
	b = binary.AppendUvarint(b, r.id)
	b = binary.AppendUvarint(b, uint64(r.owner))
	b = append(b, r.run[:]...)
	b = binary.AppendUvarint(b, uint64(r.generation))
	if later {
		b = binary.AppendUvarint(b, r.timing())
	}
	b = binary.AppendUvarint(b, r.lowest)
	b = binary.AppendUvarint(b, uint64(r.count())) // the last is the lowest plus this minus 1
	for n := range uint64(r.count()) {
		e := r.entry(r.lowest + n)
		b = binary.AppendUvarint(b, uint64(e.Zxid))
		b = append(b, e.Code)
		b = binary.AppendUvarint(b, uint64(e.Index+1))
		if e.Number < 0 {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(1+len(e.More)))
		b = binary.AppendUvarint(b, uint64(e.Number))
		for _, n := range e.More {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b
}

func (r *row) timing() uint64 {
	if r.client {
		return uint64(r.timeout)<<1 | 1
	}
	return uint64(r.timeout) << 1
}

// Decode is the inverse of Append. It keeps nothing of b, takes memory in proportion to it, and checks the digest.
func Decode(b []byte) (*Table, error) {
	d := decoder{b: b}
	t := new(Table)
	kind := d.byte()
	switch kind {
	case plainFormat:
	case format:
		var k Key
		copy(k[:], d.take(len(k)))
		t.SetKey(k)
	default:
		return nil, ErrCorrupt
	}
	for n := d.length(leastSession, MaxSessions); n > 0; n-- {
		s := Session{ID: d.uint(math.MaxUint64), Owner: quorum.ID(d.uint(math.MaxUint64))}
		copy(s.Run[:], d.take(16))
		s.Generation = uint32(d.uint(math.MaxUint32))
		if kind == format {
			timing := d.uint(math.MaxUint32<<1 | 1)
			s.Timeout, s.Client = uint32(timing>>1), timing&1 != 0
		}
		s.Low = d.uint(math.MaxUint64 - MaxWindow)
		entries := d.length(leastEntry, MaxWindow)
		if d.bad || t.CanOpen(s.ID, 0) != nil || !s.Client && t.own[s.Owner] != nil || s.Low == 0 {
			return nil, ErrCorrupt
		}
		r := t.newRow(s)
		if entries > 0 {
			r.window = &window{seed: r.seed(), slots: make([]slot, 0, entries)}
		}
		var last zab.Zxid
		for i := range entries {
			e := Entry{Sequence: s.Low + uint64(i), Zxid: zab.Zxid(d.uint(math.MaxUint64)), Code: d.byte()}
			e.Index = int32(d.uint(math.MaxInt32)) - 1
			e.Number = -1
			if n := d.length(1, math.MaxInt); n > 0 {
				e.Number = int32(d.uint(math.MaxInt32))
				if n > 1 {
					e.More = make([]int32, n-1)
					for i := range e.More {
						e.More[i] = int32(d.uint(math.MaxInt32))
					}
				}
			}
			if d.bad || e.Zxid <= last {
				return nil, ErrCorrupt
			}
			last = e.Zxid
			t.digest += r.push(&e)
		}
		r.high = r.last()
		t.add(r)
	}
	sum := d.take(8)
	if mutant.On("window-lost-in-snapshot") {
		for _, r := range t.rows {
			t.leave(r)
			t.forget(r)
			r.window, r.lowest, r.high, r.low = nil, 1, 0, 1
			t.enter(r)
		}
		return t, nil
	}
	if d.bad || len(d.b) != 0 || kind == format && t.key == (Key{}) && t.later == 0 || binary.LittleEndian.Uint64(sum) != t.digest {
		return nil, ErrCorrupt
	}
	return t, nil
}

// decoder reads b. After the first failure it yields zeros; whoever uses it looks at bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most || n > 1 && d.b[n-1] == 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads how many things of at least size bytes follow; there is room for them.
func (d *decoder) length(size int, most uint64) int {
	return int(d.uint(min(most, uint64(len(d.b)/size))))
}
