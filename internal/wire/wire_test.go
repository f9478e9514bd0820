package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// all are the types there are.
func all() []byte {
	var types []byte
	for t := range 256 {
		if blank(byte(t)) != nil {
			types = append(types, byte(t))
		}
	}
	return types
}

// fill sets v to something random, with a liking for the borders between the forms of numbers and lengths.
func fill(r *rand.Rand, v reflect.Value) {
	number := func() uint64 {
		n := uint64(1) << r.IntN(64)
		switch r.IntN(4) {
		case 0:
			return n
		case 1:
			return n - 1
		case 2:
			return r.Uint64N(n) | 1
		}
		return 0
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(number() & (1<<v.Type().Bits() - 1))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Slice:
		n := [...]int{0, 0, 1, 2, 15, 16, 17, 40}[r.IntN(8)]
		if n == 0 && r.IntN(2) == 0 {
			return // nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n = [...]int{0, 1, 31, 32, 255, 256, 300, 65535, 65536}[r.IntN(9)]
			if r.IntN(4) != 0 {
				n = min(n, 32)
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			v.SetBytes(b)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	default:
		panic("no rule for " + v.Kind().String())
	}
}

func random(r *rand.Rand, t byte) any {
	m := blank(t)
	fill(r, reflect.ValueOf(m).Elem())
	return m
}

// library is what the library makes of m by itself.
func library(t testing.TB, m any) []byte {
	var b []byte
	if err := codec.NewEncoderBytes(&b, handle).Encode(m); err != nil {
		t.Fatal(err)
	}
	return b
}

// same holds b and m, which belong together, to the library, both ways.
func same(t testing.TB, b []byte, m any) {
	t.Helper()
	if want := library(t, m); !bytes.Equal(b[2:], want) {
		t.Fatalf("%T: % x, the library says % x", m, b[2:], want)
	}
	twin := blank(b[0])
	if err := codec.NewDecoderBytes(b[2:], handle).Decode(twin); err != nil {
		t.Fatalf("%T: the library refuses % x: %v", m, b, err)
	}
	if !reflect.DeepEqual(m, twin) {
		t.Fatalf("% x is %+v, the library says %+v", b, m, twin)
	}
}

func roundTrip(t testing.TB, m any) {
	t.Helper()
	prefix := []byte("before")
	b, err := Append(prefix, m)
	if err != nil || !bytes.HasPrefix(b, prefix) {
		t.Fatalf("%T: % x, %v", m, b, err)
	}
	b = b[len(prefix):]
	same(t, b, m)
	got, err := Decode(b)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("% x decodes to %+v, %v; it was %+v", b, got, err, m)
	}
}

func TestEveryTypeRoundTrips(t *testing.T) {
	types := all()
	if len(types) != 25 {
		t.Fatalf("%d types", len(types))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range types {
		if typeOf(blank(typ)) != typ {
			t.Errorf("type %d is not its own", typ)
		}
		roundTrip(t, blank(typ)) // the zero value
		for range 300 {
			roundTrip(t, random(r, typ))
		}
	}
}

// More than 65535 elements, and a long payload: the longest forms.
func TestLongForms(t *testing.T) {
	roundTrip(t, &zab.Propose{Entries: make([]zab.Entry, 1<<16)})
	roundTrip(t, &core.Forward{Calls: make([]core.Call, 1<<16-1)})
	roundTrip(t, &zab.Chunk{Data: make([]byte, 1<<17)})
}

// Every prefix of a message, and every message with something after it, is refused.
func TestTornIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, typ := range all() {
		for range 20 {
			b, _ := Append(nil, random(r, typ))
			if len(b) > 4000 {
				continue
			}
			for n := range b {
				if m, err := Decode(b[:n]); err == nil {
					t.Fatalf("%d of % x decode to %+v", n, b, m)
				}
			}
			if _, err := Decode(append(b, 0)); !errors.Is(err, ErrMalformed) {
				t.Fatalf("type %d with a byte after it: %v", typ, err)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	for name, b := range map[string][]byte{ // any order: each stands alone
		"nothing":          {},
		"type 0":           {0, version, 0x91, 1},
		"unknown type":     {200, version, 0x91, 1},
		"unknown version":  {typeAck, version + 1, 0x95, 1, 1, 1, 0xc2, 0xc2},
		"version 0":        {typeAck, 0, 0x95, 1, 1, 1, 0xc2, 0xc2},
		"long form, hot":   {typeCommit, version, 0x93, 0xcc, 1, 1, 1},
		"long form, rare":  {typeSyncAsk, version, 0x91, 0xcc, 1},
		"long array, rare": {typeSyncAsk, version, 0xdc, 0, 1, 1},
		"a map":            {typeSyncAsk, version, 0x81, 0xa2, 'I', 'D', 1},
		"too wide, hot":    {typeCommit, version, 0x93, 1, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		"too wide, rare":   {typeRefuse, version, 0x92, 1, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0},
		"nil, rare":        {typeRefuse, version, 0xc0},
		"negative":         {typeRefuse, version, 0x92, 0xff, 1},
		"short array":      {typeRefuse, version, 0x91, 1},
		"long array":       {typeRefuse, version, 0x93, 1, 1, 1},
	} {
		if m, err := Decode(b); err == nil {
			t.Errorf("%s decodes to %+v", name, m)
		}
	}
	for _, m := range []any{nil, 1, zab.Ack{}, &zab.Entry{}, "x"} {
		if _, err := Append(nil, m); err == nil {
			t.Errorf("%T is taken for a message", m)
		}
	}
}

// Lengths that lie, and nesting without end, cost next to nothing.
func TestLies(t *testing.T) {
	deep := append([]byte{typeSync, version}, bytes.Repeat([]byte{0x91}, 1<<20)...)
	for name, b := range map[string][]byte{ // any order: each stands alone
		"entries":  {typePropose, version, 0x94, 1, 1, 1, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"data":     {typePropose, version, 0x94, 1, 1, 1, 0x91, 0x96, 1, 1, 1, 0xc6, 0xff, 0xff, 0xff, 0xff, 1},
		"calls":    append([]byte{typeForward, version, 0x94, 1, 0xc2, 0xc4, 16}, append(make([]byte, 16), 0xdd, 0x7f, 0xff, 0xff, 0xff)...),
		"spans":    append(append([]byte{typeSync, version, 0x99, 1, 1, 1, 0xc2, 1, 0xc4, 16}, make([]byte, 16)...), 1, 0xdd, 0x7f, 0xff, 0xff, 0xff),
		"chunk":    {typeChunk, version, 0x96, 1, 1, 0xc6, 0x7f, 0xff, 0xff, 0xff},
		"nesting":  deep,
		"in array": append([]byte{typeSyncAsk, version, 0xdd, 0, 0x10, 0, 0}, deep...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Decode(b)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s decodes to %+v", name, m)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<10 {
			t.Errorf("%s takes %d bytes", name, n)
		}
	}
}

// Per byte of the input, the smallest elements take the most memory.
func TestMemoryIsBounded(t *testing.T) {
	for _, m := range []any{
		&zab.Propose{Entries: make([]zab.Entry, 10000)}, &core.Forward{Calls: make([]core.Call, 10000)},
		&zab.Sync{Spans: make([]zab.Span, 10000), Members: make([]zab.Readmitted, 10000)}, &zab.AckEpoch{Spans: make([]zab.Span, 100000)},
		&core.Renew{Touches: make([]core.Touch, 10000)}, &core.Renewed{Nots: make([]uint32, 10000)},
	} {
		b, err := Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = Decode(b)
		runtime.ReadMemStats(&after)
		// The library grows its slices step by step, which makes up most of it.
		if n := after.TotalAlloc - before.TotalAlloc; err != nil || n > uint64(32*len(b)) {
			t.Errorf("%T of %d bytes takes %d, %v", m, len(b), n, err)
		}
	}
}

// FuzzDecode: whatever is accepted is what Append makes of it, and the library agrees.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, typ := range all() {
		b, _ := Append(nil, blank(typ))
		f.Add(b)
		if b, _ = Append(nil, random(r, typ)); len(b) < 2000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Append(nil, m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("% x is %+v is % x, %v", b, m, again, err)
		}
		same(t, b, m)
	})
}

// FuzzAppend holds the hand-written encoders to the library, by message instead of by bytes.
func FuzzAppend(f *testing.F) {
	for _, typ := range all() {
		f.Add(typ, uint64(typ))
	}
	f.Fuzz(func(t *testing.T, typ byte, seed uint64) {
		if blank(typ) != nil {
			roundTrip(t, random(rand.New(rand.NewPCG(seed, 0)), typ))
		}
	})
}
