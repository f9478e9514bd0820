package msgpack

import "unsafe"

// Decoder reads B. After the first failure it yields zeros; whoever uses it looks at Bad once, at the end of a record. What it returns aliases B.
type Decoder struct {
	B     []byte
	Bad   bool
	Short bool // bad only because B ends too early
}

// Fail makes the decoder bad.
func (d *Decoder) Fail() { d.Bad, d.B = true, nil }

// endsEarly fails because B is too short, unless it has failed before.
func (d *Decoder) endsEarly() {
	d.Short = d.Short || !d.Bad
	d.Fail()
}

// Done tells whether all of B was read, and nothing failed.
func (d *Decoder) Done() bool { return !d.Bad && len(d.B) == 0 }

// take returns the next n bytes, or nil.
func (d *Decoder) take(n int) []byte {
	if len(d.B) < n || d.Bad {
		d.endsEarly()
		return nil
	}
	p := d.B[:n:n]
	d.B = d.B[n:]
	return p
}

func (d *Decoder) tag() byte {
	if len(d.B) == 0 {
		d.endsEarly()
		return 0xc1 // never used by MessagePack
	}
	t := d.B[0]
	d.B = d.B[1:]
	return t
}

// big reads n bytes and refuses a number below least, which has a shorter form.
func (d *Decoder) big(n int, least uint64) uint64 {
	var v uint64
	p := d.take(n)
	if p == nil {
		return 0
	}
	for _, c := range p {
		v = v<<8 | uint64(c)
	}
	if v < least {
		d.Fail()
		return 0
	}
	return v
}

// Uint reads a number.
func (d *Decoder) Uint() uint64 {
	switch t := d.tag(); {
	case t < 0x80:
		return uint64(t)
	case t == 0xcc:
		return d.big(1, 0x80)
	case t == 0xcd:
		return d.big(2, 1<<8)
	case t == 0xce:
		return d.big(4, 1<<16)
	case t == 0xcf:
		return d.big(8, 1<<32)
	}
	d.Fail()
	return 0
}

// UintTo refuses what is greater than most.
func (d *Decoder) UintTo(most uint64) uint64 {
	v := d.Uint()
	if v > most {
		d.Fail()
		return 0
	}
	return v
}

// Bool reads a boolean.
func (d *Decoder) Bool() bool {
	switch d.tag() {
	case 0xc2:
		return false
	case 0xc3:
		return true
	}
	d.Fail()
	return false
}

// Array reads the header of an array. Its length may be a lie: allocate no more than the bytes that are left can fill.
func (d *Decoder) Array() int {
	switch t := d.tag(); {
	case t&0xf0 == 0x90:
		return int(t & 0xf)
	case t == 0xdc:
		return int(d.big(2, 16))
	case t == 0xdd:
		if n := d.big(4, 1<<16); n <= uint64(len(d.B)) { // an int of 32 bits may be too small for what is more
			return int(n)
		}
	}
	d.Fail()
	return 0
}

// Expect reads the header of an array of n.
func (d *Decoder) Expect(n int) {
	if d.Array() != n {
		d.Fail()
	}
}

// Slice reads the header of an array whose elements take at least size bytes each; it is nil if not ok. The length is one
// that the bytes left can fill.
func (d *Decoder) Slice(size int) (n int, ok bool) {
	if len(d.B) > 0 && d.B[0] == 0xc0 {
		d.B = d.B[1:]
		return 0, false
	}
	n = d.Array()
	if n > len(d.B)/size {
		d.Fail()
		return 0, false
	}
	return n, !d.Bad
}

func (d *Decoder) sized(n uint64, most int) []byte {
	if d.Bad || n > uint64(most) {
		d.Fail()
		return nil
	}
	return d.take(int(n))
}

// String reads a string of at most most bytes, which is at most 1<<31-1. It aliases B: clone it before keeping it.
func (d *Decoder) String(most int) string {
	var n uint64
	switch t := d.tag(); {
	case t&0xe0 == 0xa0:
		n = uint64(t & 0x1f)
	case t == 0xd9:
		n = d.big(1, 32)
	case t == 0xda:
		n = d.big(2, 1<<8)
	case t == 0xdb:
		n = d.big(4, 1<<16)
	default:
		d.Fail()
	}
	p := d.sized(n, most)
	return unsafe.String(unsafe.SliceData(p), len(p))
}

// Bytes reads at most most bytes, which is at most 1<<31-1, or nil.
func (d *Decoder) Bytes(most int) []byte {
	var n uint64
	switch d.tag() {
	case 0xc0:
		return nil
	case 0xc4:
		n = d.big(1, 0)
	case 0xc5:
		n = d.big(2, 1<<8)
	case 0xc6:
		n = d.big(4, 1<<16)
	default:
		d.Fail()
	}
	return d.sized(n, most)
}
