package wire

import "encoding/binary"

func appendUint(b []byte, v uint64) []byte {
	be := binary.BigEndian
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= 0xff:
		return append(b, 0xcc, byte(v))
	case v <= 0xffff:
		return be.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= 0xffffffff:
		return be.AppendUint32(append(b, 0xce), uint32(v))
	}
	return be.AppendUint64(append(b, 0xcf), v)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func appendArray(b []byte, n int) []byte {
	be := binary.BigEndian
	switch {
	case n < 16:
		return append(b, 0x90|byte(n))
	case n <= 0xffff:
		return be.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return be.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendNil(b []byte) []byte { return append(b, 0xc0) }

func appendBytes(b, data []byte) []byte {
	be := binary.BigEndian
	n := len(data)
	switch {
	case data == nil:
		return appendNil(b)
	case n <= 0xff:
		b = append(b, 0xc4, byte(n))
	case n <= 0xffff:
		b = be.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = be.AppendUint32(append(b, 0xc6), uint32(n))
	}
	return append(b, data...)
}

// decoder reads b. After the first failure it yields zeros; whoever uses it looks at bad once, at the end.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

// take returns the next n bytes, or nil.
func (d *decoder) take(n int) []byte {
	if d.bad || len(d.b) < n {
		d.fail()
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) tag() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0xc1 // never used by MessagePack
	}
	t := d.b[0]
	d.b = d.b[1:]
	return t
}

// big reads n bytes and refuses a number below least, which has a shorter form.
func (d *decoder) big(n int, least uint64) uint64 {
	var v uint64
	for _, c := range d.take(n) {
		v = v<<8 | uint64(c)
	}
	if v < least {
		d.fail()
		return 0
	}
	return v
}

func (d *decoder) uint() uint64 {
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
	d.fail()
	return 0
}

func (d *decoder) uint32() uint32 {
	v := d.uint()
	if v>>32 != 0 {
		d.fail()
	}
	return uint32(v)
}

func (d *decoder) uint8() uint8 {
	v := d.uint()
	if v>>8 != 0 {
		d.fail()
	}
	return uint8(v)
}

func (d *decoder) bool() bool {
	switch d.tag() {
	case 0xc2:
		return false
	case 0xc3:
		return true
	}
	d.fail()
	return false
}

// array returns a length that may be a lie.
func (d *decoder) array() int {
	switch t := d.tag(); {
	case t&0xf0 == 0x90:
		return int(t & 0xf)
	case t == 0xdc:
		return int(d.big(2, 16))
	case t == 0xdd:
		if n := d.big(4, 1<<16); n <= uint64(len(d.b)) { // else int might be too small for it
			return int(n)
		}
	}
	d.fail()
	return 0
}

// slice reads the header of an array whose elements take at least size bytes each; it is nil if not ok. The length is one
// that the bytes left can fill.
func (d *decoder) slice(size int) (n int, ok bool) {
	if len(d.b) > 0 && d.b[0] == 0xc0 {
		d.b = d.b[1:]
		return 0, false
	}
	n = d.array()
	if n > len(d.b)/size {
		d.fail()
		return 0, false
	}
	return n, !d.bad
}

// expect reads the header of an array of n.
func (d *decoder) expect(n int) {
	if d.array() != n {
		d.fail()
	}
}

// bytes aliases b.
func (d *decoder) bytes() []byte {
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
		d.fail()
	}
	if d.bad || n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) id16() (id [16]byte) {
	if p := d.bytes(); len(p) == len(id) {
		copy(id[:], p)
	} else {
		d.fail()
	}
	return id
}
