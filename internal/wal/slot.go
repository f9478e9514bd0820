package wal

import (
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// slotNames are the files of the two slots.
var slotNames = [2]string{"mark.0", "mark.1"}

const tempSuffix = ".tmp"

// slot is what both slots of the mark hold.
type slot struct {
	mark       zab.Mark
	name       string
	generation uint64
	at         uint64 // position up to which the log was durable when the mark was written
	acked      uint64
	from       uint64 // positions before it may be missing
	clean      bool   // the log was closed, and acked is its last position
}

// first is the slot that is written first. Each update begins with the slot that the former one ended with: that one may not
// be durable, the other is.
func first(generation uint64) int { return int(generation & 1) }

const (
	flagCounts = 1 << iota
	flagBorn
	flagClean
	flagSpoilt
)

func (s *slot) encode(version uint16) *header {
	h := newHeader(slotMagic, version)
	var flags uint32
	for _, f := range []struct {
		on   bool
		flag uint32
	}{{s.mark.Counts, flagCounts}, {s.mark.Born, flagBorn}, {s.clean, flagClean}, {s.mark.Spoilt, flagSpoilt}} {
		if f.on {
			flags |= f.flag
		}
	}
	le.PutUint32(h[12:], flags)
	le.PutUint64(h[16:], s.generation)
	le.PutUint64(h[24:], uint64(s.mark.Member))
	copy(h[32:48], s.mark.Ensemble[:])
	copy(h[48:64], s.mark.Incarnation[:])
	le.PutUint32(h[64:], s.mark.Promised)
	le.PutUint32(h[68:], s.mark.Joined)
	le.PutUint64(h[72:], s.at)
	le.PutUint64(h[80:], s.acked)
	le.PutUint64(h[88:], s.from)
	h.putName(96, s.name)
	h.seal()
	return h
}

func (s *slot) decode(h *header) {
	flags := le.Uint32(h[12:])
	*s = slot{
		mark: zab.Mark{
			Member:   quorum.ID(le.Uint64(h[24:])),
			Counts:   flags&flagCounts != 0,
			Born:     flags&flagBorn != 0,
			Spoilt:   flags&flagSpoilt != 0,
			Promised: le.Uint32(h[64:]),
			Joined:   le.Uint32(h[68:]),
		},
		name:       h.name(96),
		generation: le.Uint64(h[16:]),
		at:         le.Uint64(h[72:]),
		acked:      le.Uint64(h[80:]),
		from:       le.Uint64(h[88:]),
		clean:      flags&flagClean != 0,
	}
	copy(s.mark.Ensemble[:], h[32:48])
	copy(s.mark.Incarnation[:], h[48:64])
}

// after returns the least generation above g whose first slot is x.
func after(g uint64, x int) uint64 {
	if first(g+1) == x {
		return g + 1
	}
	return g + 2
}
