package session

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/ensemble-go/ensemble/zab"
)

// A row stays in its size class, which is another one from 81 bytes on, and what a touch looks at stays together.
func TestRowSize(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		return // sizes are those of 8-byte pointers
	}
	for what, size := range map[string][2]uintptr{ // any order: each stands alone
		"row": {unsafe.Sizeof(row{}), 80}, "touched": {unsafe.Offsetof(row{}.home), 32}, "window": {unsafe.Sizeof(window{}), 56}, "slot": {unsafe.Sizeof(slot{}), 40},
	} {
		if size[0] != size[1] {
			t.Errorf("%s: %d bytes, want %d", what, size[0], size[1])
		}
	}
}

const many = 100_000

// heap returns how many bytes make leaves, for each of many.
func heap(make func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / many
}

// crowd returns a table of many sessions, with an answer each that was not fetched, or none.
func crowd(tb testing.TB, answers uint64) *Table {
	t := new(Table)
	for i := range uint64(many) {
		id := uint64(zab.MakeZxid(7, uint32(3*i+1)))
		if err := t.OpenFor(id, 1, zab.Incarnation{1}, 5000); err != nil {
			tb.Fatal(err)
		}
		for n := range answers {
			if err := t.Decide(Name{id, 0, n + 1}, 1, Entry{Zxid: zab.Zxid(id + 1 + n), Index: -1, Number: -1}); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return t
}

// What a session takes, in the table of a member, and in that of the leader.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		what string
		most float64
		make func() any
	}{
		{"member", 115, func() any { return crowd(t, 0) }},
		{"member, with an answer", 230, func() any { return crowd(t, 1) }},
		{"leader", 131, func() any { return lead(crowd(t, 0)) }},
	} {
		each := heap(c.make)
		t.Logf("%s: %.1f bytes a session", c.what, each)
		if each > c.most || each < c.most/2 {
			t.Errorf("%s: a session takes %.1f bytes, which may be %v", c.what, each, c.most)
		}
	}
}

// lead lets the table's sessions be tracked for four timeouts, while all are alive.
func lead(t *Table) *Table {
	const tick = 50 * time.Millisecond
	t.Lead(tick)
	for n := range 4 * Ticks(5*time.Second, tick) {
		for i, r := range t.rows {
			if (uint64(i)+n)%16 == 0 {
				t.Touch(r.id, 0)
			}
		}
		t.Elapse()
	}
	return t
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(heap(func() any { return crowd(b, 0) }), "B/session")
		b.ReportMetric(heap(func() any { return lead(crowd(b, 0)) }), "leader-B/session")
	}
}
