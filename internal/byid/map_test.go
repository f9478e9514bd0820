package byid

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

type thing struct{ id, n uint64 }

func (x *thing) Key() uint64 { return x.id }

// twin is a map and what it has to be.
type twin struct {
	m    Map[*thing]
	want map[uint64]*thing
	n    uint64
}

func (w *twin) put(id uint64) {
	w.n++
	x := &thing{id, w.n}
	w.m.Put(x)
	w.want[id] = x
}

func (w *twin) delete(t *testing.T, id uint64) {
	t.Helper()
	_, there := w.want[id]
	if got := w.m.Delete(id); got != there {
		t.Fatalf("delete of %d: %v", id, got)
	}
	delete(w.want, id)
}

func (w *twin) get(t *testing.T, id uint64) {
	t.Helper()
	if got := w.m.Get(id); got != w.want[id] {
		t.Fatalf("at %d is %v, want %v", id, got, w.want[id])
	}
}

func (w *twin) check(t *testing.T) {
	t.Helper()
	if w.m.Len() != len(w.want) {
		t.Fatalf("%d, want %d", w.m.Len(), len(w.want))
	}
	for id := range w.want {
		w.get(t, id)
	}
	all := w.m.Sorted()
	if len(all) != len(w.want) || !slices.IsSortedFunc(all, func(a, b *thing) int { return cmp.Compare(a.id, b.id) }) {
		t.Fatalf("%d are sorted, want %d, or not in order", len(all), len(w.want))
	}
	for _, x := range all {
		if w.want[x.id] != x {
			t.Fatalf("%v is among all", x)
		}
	}
	room := perGroup * len(w.m.groups)
	if most := perGroup * (len(w.want)/2 + 1); room > most {
		t.Fatalf("%d have %d places", len(w.want), room)
	}
	passed := 0
	for i := range w.m.groups {
		g := &w.m.groups[i]
		passed += int(g.tags & most)
		for place, x := range g.places {
			if (x != nil) != (g.tags>>(8*place+15)&1 == 1) {
				t.Fatal("a place and its tag differ")
			}
		}
	}
	if len(w.want) == 0 && passed > 0 && passed < most {
		t.Fatalf("%d passed by, and nothing is there", passed)
	}
}

func random(t *testing.T, seed uint64, steps int, draw func(*rand.Rand) uint64) {
	r := rand.New(rand.NewPCG(seed, 5))
	w := twin{want: map[uint64]*thing{}}
	grow := true
	for step := range steps {
		if step%(1+steps/6) == 0 {
			grow = !grow || step == 0
		}
		id := draw(r)
		switch k := r.IntN(10); {
		case k < 3:
			w.get(t, id)
		case (k < 8) == grow:
			w.put(id)
		default:
			w.delete(t, id)
		}
		if r.IntN(1+steps/50) == 0 {
			w.check(t)
		}
	}
	w.check(t)
	for id := range w.want {
		w.delete(t, id)
		if r.IntN(200) == 0 {
			w.check(t)
		}
	}
	w.check(t)
}

func TestTwin(t *testing.T) {
	for seed := range uint64(20) {
		for name, draw := range map[string]func(*rand.Rand) uint64{
			"few":   func(r *rand.Rand) uint64 { return r.Uint64N(20) },
			"dense": func(r *rand.Rand) uint64 { return r.Uint64N(3000) },
			"zxids": func(r *rand.Rand) uint64 { return r.Uint64N(4)<<32 | r.Uint64N(700)*3 },
			"high":  func(r *rand.Rand) uint64 { return r.Uint64N(2000) << 50 },
		} {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) { random(t, seed, 6000, draw) })
		}
	}
}

// clash returns n ids that all begin in the first group of a map of at most 512 groups, with at most so many tags.
func clash(n int, tags uint64) (ids []uint64) {
	for id := uint64(1); len(ids) < n; id++ {
		if h := hash(id); h>>55 == 0 && h&0x7f < tags {
			ids = append(ids, id)
		}
	}
	return ids
}

// Everything is in the place of everything else, and so much that it is not counted any more what passed by.
func TestClash(t *testing.T) {
	for _, tags := range []uint64{1, 3, 128} {
		ids := clash(600, tags)
		if len(ids) != 600 {
			t.Fatal("no clash")
		}
		for seed := range uint64(5) {
			random(t, seed, 4000, func(r *rand.Rand) uint64 { return ids[r.IntN(len(ids))] })
		}
		w := twin{want: map[uint64]*thing{}}
		for _, id := range ids {
			w.put(id)
		}
		w.check(t)
		if w.m.groups[0].tags&most != most {
			t.Fatal("what passes by is still counted")
		}
		for _, id := range ids[100:] {
			w.delete(t, id)
		}
		w.check(t)
	}
}

// A map that did the same is the same.
func TestSame(t *testing.T) {
	fill := func() *Map[*thing] {
		var m Map[*thing]
		for id := range uint64(1000) {
			m.Put(&thing{id: id * 7})
			m.Delete(id)
		}
		return &m
	}
	a, b := fill(), fill()
	for i := range a.groups {
		if a.groups[i].tags != b.groups[i].tags {
			t.Fatal("they differ")
		}
	}
}

func TestLine(t *testing.T) {
	if size := unsafe.Sizeof(group[*thing]{}); size > 64 {
		t.Errorf("a group has %d bytes", size)
	}
}

func FuzzMap(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x02\x01\x01\x02\x02"))
	ids := clash(64, 2)
	f.Fuzz(func(t *testing.T, program []byte) {
		w := twin{want: map[uint64]*thing{}}
		for ; len(program) >= 2; program = program[2:] {
			k := binary.LittleEndian.Uint16(program)
			id := uint64(k >> 3)
			if k&4 != 0 {
				id = ids[id%uint64(len(ids))]
			}
			switch k & 3 {
			case 0:
				w.get(t, id)
			case 1:
				w.delete(t, id)
			default:
				w.put(id)
			}
		}
		w.check(t)
	})
}

const many = 100_000

// Things at random places among many, with ids as zxids are.
func BenchmarkGet(b *testing.B) {
	var m Map[*thing]
	twin := map[uint64]*thing{}
	for i := range uint64(many) {
		x := &thing{id: 7<<32 | 2*i}
		m.Put(x)
		twin[x.id] = x
	}
	for name, get := range map[string]func(uint64) *thing{"byid": m.Get, "map": func(id uint64) *thing { return twin[id] }} {
		b.Run(name, func(b *testing.B) {
			i, found := uint64(0), 0
			for b.Loop() {
				i = (i + 7919) % many
				if get(7<<32|2*i).id != 0 {
					found++
				}
			}
			if found != b.N {
				b.Fatal("something is not there")
			}
		})
	}
}

// As many sessions as there can be, what they take here, and what the slowest of them waits for, which the map grows for.
func BenchmarkGrow(b *testing.B) {
	const n = 1 << 18
	things := make([]thing, n)
	for i := range things {
		things[i].id = 7<<32 | 2*uint64(i)
	}
	for b.Loop() {
		var m Map[*thing]
		var slowest time.Duration
		for i := range things {
			since := time.Now()
			m.Put(&things[i])
			slowest = max(slowest, time.Since(since))
		}
		b.ReportMetric(float64(slowest.Nanoseconds()), "slowest-ns")
		b.ReportMetric(float64(len(m.groups))*float64(unsafe.Sizeof(m.groups[0]))/n, "B/thing")
	}
}
