package durable

import (
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// Places, beside a list of all entries in force.
func TestPlaces(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		type entry struct {
			z   zab.Zxid
			pos uint64
		}
		var p Places
		var twin []entry
		pos, last := uint64(0), zab.MakeZxid(1, 0)
		for range 200 {
			pos++
			var rec zab.Record
			switch k := r.IntN(40); {
			case k == 0 && len(twin) > 0: // TRUNC, and then another epoch
				n := r.IntN(len(twin)) + 1
				twin = twin[:n]
				rec = zab.Record{Kind: zab.RecordTrunc, Pos: pos, Zxid: twin[n-1].z}
				last = zab.MakeZxid(last.Epoch()+1, 0)
			case k == 1:
				last = zab.MakeZxid(last.Epoch()+1, 7)
				twin = []entry{{last, pos}}
				rec = zab.Record{Kind: zab.RecordReset, Pos: pos, Snapshot: &zab.Snapshot{Zxid: last}}
			default:
				if k < 5 {
					last = zab.MakeZxid(last.Epoch()+1, 0)
				}
				last++
				twin = append(twin, entry{last, pos})
				rec = zab.Record{Kind: zab.RecordEntry, Pos: pos, Entry: zab.Entry{Zxid: last}}
			}
			p.Note(&rec)
			if i := len(twin) - 10; i > 0 && r.IntN(20) == 0 {
				p.Trim(twin[i].pos)
				if twin = twin[i:]; len(p) > len(twin) || p[0].pos+p[0].n <= twin[0].pos {
					t.Fatalf("seed %d: %d runs for %d entries, the first %+v", seed, len(p), len(twin), p[0])
				}
			}
			for _, e := range twin {
				if got := p.Of(e.z); got != e.pos {
					t.Fatalf("seed %d: %v is at %d, not %d", seed, e.z, e.pos, got)
				}
			}
		}
	}
	if pos := (Places{}).Of(5); pos != 1 {
		t.Fatal(pos)
	}
}
