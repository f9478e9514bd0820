package quorum

import (
	"fmt"
	"testing"
)

func benchmarks(b *testing.B) map[string]Verifier {
	grouped := plain(9)
	for i := range grouped {
		grouped[i].Group, grouped[i].Weight = 1+i/3, 1
	}
	all := map[string]Verifier{"hierarchy9": must(b, grouped)}
	for _, n := range []int{3, 5, 9, 16, 17} {
		all[fmt.Sprintf("majority%d", n)] = must(b, plain(n))
	}
	all["joint3to5"] = Joint(all["majority3"], all["majority5"])
	return all
}

var sinkPosition uint64

func scrambled(id ID) uint64 { return uint64(id) * 0x9e3779b97f4a7c15 >> 40 }

func BenchmarkPosition(b *testing.B) {
	for name, v := range benchmarks(b) { // any order: each is measured alone
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkPosition = v.Position(scrambled)
			}
		})
	}
}

func BenchmarkContains(b *testing.B) {
	in := func(id ID) bool { return id%2 == 1 }
	for name, v := range benchmarks(b) { // any order: each is measured alone
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Contains(in)
			}
		})
	}
}

// A leader asks for the position at every acknowledgement.
func TestPositionAllocatesNothing(t *testing.T) {
	grouped := plain(16)
	for i := range grouped {
		grouped[i].Group, grouped[i].Weight = 1+i, 1
	}
	oneGroup := plain(16)
	for i := range oneGroup {
		oneGroup[i].Group, oneGroup[i].Weight = 1, 1+i
	}
	a, b, c := must(t, plain(16)), must(t, grouped), must(t, oneGroup)
	for i, v := range []Verifier{a, b, c, Joint(a, b)} {
		if n := testing.AllocsPerRun(100, func() { sinkPosition = v.Position(scrambled) }); n != 0 {
			t.Errorf("verifier %d: %v allocations", i, n)
		}
	}
}
