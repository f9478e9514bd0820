package durable

import (
	"sort"

	"github.com/ensemble-go/ensemble/zab"
)

// Places knows at which position of the log an entry stands. Entries follow each other closely, so few runs hold all of them.
type Places []placeRun

// placeRun is n entries with zxids and positions that follow each other.
type placeRun struct {
	first zab.Zxid
	pos   uint64
	n     uint64
}

func (r *placeRun) last() zab.Zxid { return r.first + zab.Zxid(r.n-1) }

// Note takes the next record.
func (p *Places) Note(r *zab.Record) {
	switch r.Kind {
	case zab.RecordEntry:
		p.add(r.Entry.Zxid, r.Pos)
	case zab.RecordTrunc:
		s := *p
		n := sort.Search(len(s), func(i int) bool { return s[i].first > r.Zxid })
		if s = s[:n]; n > 0 && s[n-1].last() > r.Zxid {
			s[n-1].n = uint64(r.Zxid-s[n-1].first) + 1
		}
		*p = s
	case zab.RecordReset:
		*p = append((*p)[:0], placeRun{r.Snapshot.Zxid, r.Pos, 1})
	}
}

func (p *Places) add(z zab.Zxid, pos uint64) {
	s := *p
	if n := len(s); n > 0 && s[n-1].last()+1 == z && s[n-1].pos+s[n-1].n == pos {
		s[n-1].n++
		return
	}
	*p = append(s, placeRun{z, pos, 1})
}

// Trim forgets runs that end before pos, which the log was told to begin with.
func (p *Places) Trim(pos uint64) {
	n := 0
	for n < len(*p) && (*p)[n].pos+(*p)[n].n <= pos {
		n++
	}
	if n > 0 {
		*p = append(Places(nil), (*p)[n:]...)
	}
}

// Of returns the position of the entry z, or of an earlier one where that of z is not known: of the first there ever was, if nothing is.
func (p Places) Of(z zab.Zxid) uint64 {
	i := sort.Search(len(p), func(i int) bool { return p[i].first > z }) - 1
	if i < 0 {
		return 1
	}
	r := &p[i]
	return r.pos + min(uint64(z-r.first), r.n-1)
}
