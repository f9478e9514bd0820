package ensemble_test

import (
	"testing"
	"testing/synctest"

	"github.com/ensemble-go/ensemble"
)

// A start from a long log applies it a part at a time: whoever asks for something meanwhile is answered.
func TestLongLogIsAppliedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, size = 100, 40 << 10
		var applied []ensemble.Zxid
		d := emptyDisks(t, func(c *ensemble.Config) {
			c.Members = []ensemble.Member{{ID: 1}}
			c.Trace = &ensemble.Trace{Applied: func(i ensemble.AppliedInfo) { applied = append(applied, i.Zxid) }}
		})
		n := d.open(1)
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		paths := d.fill(n, "/a", count, size)
		last := n.Status().Applied
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		applied = nil
		n = d.open(1)
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.has(n, paths)
		if err := n.Close(); err != nil { // and the trace has ended
			t.Fatal(err)
		}
		most, parts, was := uint32(0), 0, uint32(0)
		for _, z := range applied {
			if z.Epoch() == last.Epoch() {
				most, was = max(most, z.Counter()-was), z.Counter()
				parts++
			}
		}
		if was != last.Counter() || most > count/5 || parts < 5 {
			t.Errorf("up to %d of %v in %d parts, one of %d: %v", was, last, parts, most, applied)
		}
	})
}
