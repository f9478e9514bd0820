package msgpack

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// What is appended is read back, and nothing less of it.
func TestRoundTrip(t *testing.T) {
	for _, v := range []uint64{0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		all(t, AppendUint(nil, v), func(d *Decoder) bool { return d.Uint() == v })
	}
	for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536} {
		s := strings.Repeat("x", n)
		all(t, AppendString(nil, s[:n/2], []byte(s[n/2:])), func(d *Decoder) bool { return d.String(n) == s })
		all(t, AppendBytes(nil, []byte(s)), func(d *Decoder) bool { p := d.Bytes(n); return p != nil && string(p) == s })
		all(t, append(AppendArray(nil, n), s...), func(d *Decoder) bool { return d.Array() == n && len(d.take(n)) == n })
	}
	all(t, AppendBool(AppendBool(nil, true), false), func(d *Decoder) bool { return d.Bool() && !d.Bool() })
	all(t, AppendNil(nil), func(d *Decoder) bool { return d.Bytes(1) == nil && !d.Bad })
	all(t, AppendNil(nil), func(d *Decoder) bool { _, ok := d.Slice(1); return !ok && !d.Bad })
	all(t, []byte{0x92, 1, 2}, func(d *Decoder) bool { n, ok := d.Slice(1); return ok && n == 2 && d.Uint() == 1 && d.Uint() == 2 })
}

// all reads b, and then everything that b begins with, which is too short.
func all(t *testing.T, b []byte, read func(d *Decoder) bool) {
	t.Helper()
	d := Decoder{B: b}
	if !read(&d) || !d.Done() || d.Short {
		t.Fatalf("%.20x... was read as something else", b)
	}
	for n := range b {
		if n > 40 && n < len(b)-1 {
			continue
		}
		d := Decoder{B: b[:n]}
		// The length of an array is refused as a lie when the bytes that could fill it are not there.
		if read(&d); !d.Bad || d.Done() || !d.Short && !(b[0] == 0xdd && n >= 5) && b[0] != 0x92 {
			t.Fatalf("%d bytes of %.20x...: bad %v, short %v", n, b, d.Bad, d.Short)
		}
	}
}

// There is one encoding of each thing, and no length is believed. On a machine of 32 bits some lengths do not fit an int.
func TestRefused(t *testing.T) {
	rest := bytes.Repeat([]byte{0xc0}, 300)
	for _, x := range []struct {
		b    string
		read func(d *Decoder)
	}{
		{"\xcc\x7f", func(d *Decoder) { d.Uint() }},
		{"\xcd\x00\xff", func(d *Decoder) { d.Uint() }},
		{"\xce\x00\x00\xff\xff", func(d *Decoder) { d.Uint() }},
		{"\xcf\x00\x00\x00\x00\xff\xff\xff\xff", func(d *Decoder) { d.Uint() }},
		{"\xd0\x01", func(d *Decoder) { d.Uint() }},
		{"\xcc\x80", func(d *Decoder) { d.UintTo(0x7f) }},
		{"\x01", func(d *Decoder) { d.Bool() }},
		{"\xc0", func(d *Decoder) { d.Array() }},
		{"\xdc\x00\x0f", func(d *Decoder) { d.Array() }},
		{"\xdd\x00\x00\xff\xff", func(d *Decoder) { d.Array() }},
		{"\xdd\x00\x01\x00\x00", func(d *Decoder) { d.Array() }},
		{"\xdd\x7f\xff\xff\xff", func(d *Decoder) { d.Array() }},
		{"\xdd\x80\x00\x00\x00", func(d *Decoder) { d.Array() }},
		{"\xdd\xff\xff\xff\xff", func(d *Decoder) { d.Array() }},
		{"\xdd\xff\xff\xff\xff", func(d *Decoder) { d.Slice(1) }},
		{"\xdc\x01\x00", func(d *Decoder) { d.Slice(2) }},
		{"\x93", func(d *Decoder) { d.Expect(2) }},
		{"\xd9\x1f", func(d *Decoder) { d.String(300) }},
		{"\xda\x00\xff", func(d *Decoder) { d.String(300) }},
		{"\xdb\x00\x00\xff\xff", func(d *Decoder) { d.String(1 << 20) }},
		{"\xdb\xff\xff\xff\xff", func(d *Decoder) { d.String(math.MaxInt32) }},
		{"\xa2", func(d *Decoder) { d.String(1) }},
		{"\xc4\x02", func(d *Decoder) { d.Bytes(1) }},
		{"\xc5\x00\xff", func(d *Decoder) { d.Bytes(300) }},
		{"\xc6\x00\x00\xff\xff", func(d *Decoder) { d.Bytes(1 << 20) }},
		{"\xc6\xff\xff\xff\xff", func(d *Decoder) { d.Bytes(math.MaxInt32) }},
		{"\xa1", func(d *Decoder) { d.Bytes(1) }},
	} {
		d := Decoder{B: append([]byte(x.b), rest...)}
		if x.read(&d); !d.Bad || d.Short || d.Done() {
			t.Errorf("% x was not refused", x.b)
		}
	}
}
