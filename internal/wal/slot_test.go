package wal

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Every field of a mark, in every combination of the flags, is what it was.
func TestSlotHoldsTheMark(t *testing.T) {
	for bits := range 16 {
		want := slot{
			mark: zab.Mark{
				Ensemble: zab.EnsembleID{1, 2}, Member: quorum.ID(3), Incarnation: zab.Incarnation{4, 5}, Promised: 7, Joined: 6,
				Counts: bits&1 != 0, Born: bits&2 != 0, Spoilt: bits&4 != 0,
			},
			name: "x", generation: 8, at: 9, acked: 10, from: 11, clean: bits&8 != 0,
		}
		var got slot
		if got.decode(want.encode(Version)); got != want {
			t.Fatalf("%+v comes back as %+v", want, got)
		}
	}
}
