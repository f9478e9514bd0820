package vfs

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// An image, beside plain bytes; what was taken before does not change.
func TestImage(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		var m, former image
		var twin, was []byte
		for range 60 {
			content := make([]byte, r.IntN(3*pageSize))
			for i := range content {
				content[i] = byte(1 + r.IntN(255))
			}
			dirty := make([]bool, r.IntN(len(content)/Sector+2))
			next := make([]byte, len(content))
			copy(next, twin)
			for s := range dirty {
				if dirty[s] = r.IntN(3) == 0; dirty[s] && s*Sector < len(content) {
					copy(next[s*Sector:min((s+1)*Sector, len(next))], content[s*Sector:])
				}
			}
			former, was = m, twin
			m, twin = m.synced(content, dirty), next
			if r.IntN(10) == 0 {
				m = newImage(twin)
			}
			if !bytes.Equal(m.bytes(m.size), twin) || !bytes.Equal(former.bytes(len(was)), was) {
				t.Fatalf("seed %d: %d and %d bytes differ", seed, m.size, former.size)
			}
			if more := m.bytes(m.size + Sector); !bytes.Equal(more[m.size:], make([]byte, Sector)) {
				t.Fatalf("seed %d: not zeros beyond %d", seed, m.size)
			}
		}
	}
}
