package datatree

import (
	"encoding/binary"
	"unsafe"
)

// Requests, transactions and chunks are MessagePack: structs as arrays, everything in its shortest form, numbers unsigned. The decoder
// accepts nothing but the shortest form, so that there is one encoding of each thing.

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

// appendString appends what head and tail are together: a path and its sequence number.
func appendString(b []byte, head string, tail []byte) []byte {
	be := binary.BigEndian
	n := len(head) + len(tail)
	switch {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n <= 0xff:
		b = append(b, 0xd9, byte(n))
	case n <= 0xffff:
		b = be.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = be.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(append(b, head...), tail...)
}

func appendBytes(b, data []byte) []byte {
	be := binary.BigEndian
	n := len(data)
	switch {
	case data == nil:
		return append(b, 0xc0)
	case n <= 0xff:
		b = append(b, 0xc4, byte(n))
	case n <= 0xffff:
		b = be.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = be.AppendUint32(append(b, 0xc6), uint32(n))
	}
	return append(b, data...)
}

// decoder reads b. After the first failure it yields zeros; the caller looks at bad once, at the end of a record. What it returns aliases b.
type decoder struct {
	b     []byte
	bad   bool
	short bool // bad only because b ends too early
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

// take returns the next n bytes, or nil.
func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || len(d.b) < n {
		if !d.bad {
			d.short = true
		}
		d.fail()
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) tag() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0xc1 // never used by MessagePack
}

// big reads n bytes and refuses a number below least, which has a shorter form.
func (d *decoder) big(n int, least uint64) uint64 {
	var v uint64
	p := d.take(n)
	if p == nil {
		return 0
	}
	for _, c := range p {
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

// uintTo refuses what is greater than most.
func (d *decoder) uintTo(most uint64) uint64 {
	v := d.uint()
	if v > most {
		d.fail()
		return 0
	}
	return v
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

// array returns a length that may be a lie: allocate no more than the bytes that are there can fill.
func (d *decoder) array() int {
	switch t := d.tag(); {
	case t&0xf0 == 0x90:
		return int(t & 0xf)
	case t == 0xdc:
		return int(d.big(2, 16))
	case t == 0xdd:
		return int(d.big(4, 1<<16))
	}
	d.fail()
	return 0
}

func (d *decoder) sized(n uint64, most int) []byte {
	if d.bad || n > uint64(most) {
		d.fail()
		return nil
	}
	return d.take(int(n))
}

// path returns a string that aliases b: clone it before keeping it.
func (d *decoder) path() string {
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
		d.fail()
	}
	p := d.sized(n, MaxPath)
	return unsafe.String(unsafe.SliceData(p), len(p))
}

func (d *decoder) bytes(most int) []byte {
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
	return d.sized(n, most)
}
