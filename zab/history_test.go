package zab

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A history against a slice, over many blocks.
func TestHistoryTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var h history
	var twin []Entry // what is held
	base, first, total := Zxid(0), uint64(0), 0
	next := MakeZxid(1, 1)
	for step := range 600 {
		switch k := r.IntN(20); {
		case k < 14:
			for range r.IntN(3 * blockLen / 2) {
				e := Entry{Zxid: next, Data: make([]byte, r.IntN(3))}
				next++
				h.append(e, WriteID(step))
				twin = append(twin, e)
				total += overhead + len(e.Data)
			}
			if r.IntN(4) == 0 {
				next = MakeZxid(next.Epoch()+1, 1)
			}
		case k < 17 && len(twin) > 0: // let go of the first
			n := r.IntN(len(twin) + 1)
			keep := 0
			for _, e := range twin[n:] {
				keep += overhead + len(e.Data)
			}
			if n > 0 {
				h.drop(twin[n-1].Zxid, keep)
				base, first = twin[n-1].Zxid, first+uint64(n)
				twin = twin[n:]
			}
		case k < 19 && len(twin) > 0: // cut off the last
			n := r.IntN(len(twin) + 1)
			z := base
			if n > 0 {
				z = twin[n-1].Zxid
			}
			h.truncate(z)
			for _, e := range twin[n:] {
				total -= overhead + len(e.Data)
			}
			twin = twin[:n]
			next = MakeZxid(next.Epoch()+1, 1)
		}
		if h.items.len() != len(twin) || h.base != base || h.first != first || h.end() != first+uint64(len(twin)) {
			t.Fatalf("step %d: %d held after %v from index %d, want %d after %v from %d", step, h.items.len(), h.base, h.first, len(twin), base, first)
		}
		size := uint64(0)
		for i, e := range twin {
			index := first + uint64(i)
			if got := h.at(index); got.Zxid != e.Zxid {
				t.Fatalf("step %d: %v at %d, want %v", step, got.Zxid, index, e.Zxid)
			}
			if at, ok := h.after(e.Zxid); at != index+1 || !ok {
				t.Fatalf("step %d: after %v comes %d, %v", step, e.Zxid, at, ok)
			}
			if got := h.sizeTo(index) - h.sizeTo(first); got != size {
				t.Fatalf("step %d: %d bytes before %v, want %d", step, got, e.Zxid, size)
			}
			size += uint64(overhead + len(e.Data))
		}
		if at, ok := h.after(next); at != h.end() || ok && len(twin) > 0 {
			t.Fatalf("step %d: after the future comes %d, %v", step, at, ok)
		}
		if got := h.durable(WriteID(step)); got != h.last() {
			t.Fatalf("step %d: durable to %v, want %v", step, got, h.last())
		}
	}
	if first < 10*blockLen {
		t.Fatalf("only %d entries were dropped", first)
	}
}

func TestCommon(t *testing.T) {
	s := func(zxids ...Zxid) (r []Span) {
		for _, z := range zxids {
			r = append(r, Span{z.Epoch(), z.Counter()})
		}
		return r
	}
	z := MakeZxid
	for _, c := range []struct {
		a, b []Span
		want Zxid
	}{
		{nil, nil, 0},
		{s(z(1, 5)), nil, 0},
		{s(z(1, 5)), s(z(1, 5)), z(1, 5)},
		{s(z(1, 5)), s(z(1, 3)), z(1, 3)},
		{s(z(1, 5), z(2, 1)), s(z(1, 7)), z(1, 5)},
		{s(z(1, 5), z(3, 1)), s(z(1, 5), z(2, 4)), z(1, 5)},
		{s(z(1, 5), z(2, 2), z(4, 1)), s(z(1, 5), z(2, 4), z(3, 9)), z(2, 2)},
		{s(z(2, 2)), s(z(1, 1)), 0},
	} {
		if got := common(c.a, c.b); got != c.want {
			t.Errorf("%v and %v have %v in common, want %v", c.a, c.b, got, c.want)
		}
		if got := common(c.b, c.a); got != c.want {
			t.Errorf("%v and %v have %v in common, want %v", c.b, c.a, got, c.want)
		}
	}
	a := s(z(1, 5), z(2, 4), z(4, 1))
	for at, want := range map[Zxid][]Span{ // any order: each by itself
		0: nil, z(1, 2): s(z(1, 2)), z(1, 9): s(z(1, 5)), z(2, 4): a[:2], z(3, 1): a[:2], z(4, 1): a, z(9, 9): a,
	} {
		if got := spansUpTo(a, at); !slices.Equal(got, want) {
			t.Errorf("up to %v: %v, want %v", at, got, want)
		}
	}
}

func TestParseZxid(t *testing.T) {
	for _, z := range []Zxid{0, MakeZxid(1, 2), MakeZxid(MaxEpoch, 1<<32-1)} {
		if got, err := ParseZxid(z.String()); got != z || err != nil {
			t.Errorf("%v: %v, %v", z, got, err)
		}
	}
	for _, s := range []string{"", "1", "1.", ".1", "1.2.3", "-1.1", "1.-1", "2147483648.1", "1.4294967296", "a.b", "1 .1"} {
		if z, err := ParseZxid(s); err == nil {
			t.Errorf("%q is taken for %v", s, z)
		}
	}
}
