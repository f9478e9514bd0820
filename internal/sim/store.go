package sim

import (
	"slices"
	"sort"

	"github.com/ensemble-go/ensemble/zab"
)

// store keeps the records of one member. What is in it is durable, but for pending, of which a crash keeps any prefix.
type store struct {
	mark    zab.Mark
	snap    *zab.Snapshot
	entries []zab.Entry // after snap
	pos     uint64
	pending []zab.Record
	flying  int // records of pending that the flush under way covers; 0: none
}

// base is the zxid that the first of entries follows.
func (s *store) base() zab.Zxid {
	if s.snap == nil {
		return 0
	}
	return s.snap.Zxid
}

// last is the zxid of the last durable entry.
func (s *store) last() zab.Zxid {
	if n := len(s.entries); n > 0 {
		return s.entries[n-1].Zxid
	}
	return s.base()
}

// lastOf is the zxid of the last durable entry of an epoch or of those before it.
func (s *store) lastOf(epoch uint32) zab.Zxid {
	i := sort.Search(len(s.entries), func(i int) bool { return s.entries[i].Zxid.Epoch() > epoch })
	if i == 0 {
		return s.base()
	}
	return s.entries[i-1].Zxid
}

// find returns the durable entry z.
func (s *store) find(z zab.Zxid) (zab.Entry, bool) { return find(s.entries, z) }

func find(entries []zab.Entry, z zab.Zxid) (zab.Entry, bool) {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Zxid >= z })
	if i < len(entries) && entries[i].Zxid == z {
		return entries[i], true
	}
	return zab.Entry{}, false
}

// holds reports whether everything up to z of a history that has z is durable here.
func (s *store) holds(z zab.Zxid) bool {
	if z <= s.base() {
		return true
	}
	_, ok := s.find(z)
	return ok
}

// upTo returns the epochs of the history up to z, and the memories that it has readmitted last.
func (s *store) upTo(z zab.Zxid) (spans []zab.Span, members []zab.Readmitted) {
	if s.snap != nil {
		spans, members = slices.Clone(s.snap.Spans), slices.Clone(s.snap.Members)
	}
	for i := range s.entries {
		e := &s.entries[i]
		if e.Zxid > z {
			break
		}
		if n := len(spans); n > 0 && spans[n-1].Epoch == e.Zxid.Epoch() {
			spans[n-1].Last = e.Zxid.Counter()
		} else {
			spans = append(spans, zab.Span{Epoch: e.Zxid.Epoch(), Last: e.Zxid.Counter()})
		}
		if e.Kind == zab.EntryReadmit {
			members = slices.DeleteFunc(members, func(r zab.Readmitted) bool { return r.Member == e.Member })
			members = append(members, zab.Readmitted{Member: e.Member, Incarnation: e.Incarnation})
		}
	}
	return spans, members
}

// apply makes one record durable. removed is the first entry that it kills, if any.
func (s *store) apply(r *zab.Record) (removed *zab.Entry) {
	if r.Kind != zab.RecordMark {
		s.pos = r.Pos
	}
	switch r.Kind {
	case zab.RecordEntry:
		s.entries = append(s.entries, r.Entry)
	case zab.RecordTrunc:
		i := sort.Search(len(s.entries), func(i int) bool { return s.entries[i].Zxid > r.Zxid })
		if i < len(s.entries) {
			e := s.entries[i]
			removed = &e
			s.entries = append([]zab.Entry(nil), s.entries[:i]...)
		}
	case zab.RecordReset:
		i := sort.Search(len(s.entries), func(i int) bool { return s.entries[i].Zxid > r.Snapshot.Zxid })
		if i < len(s.entries) {
			e := s.entries[i]
			removed = &e
		}
		s.snap, s.entries = r.Snapshot, nil
	case zab.RecordMark:
		s.mark = r.Mark
	}
	return removed
}

// fresher compares what freshness is judged by: joined epoch, then last zxid.
func (s *store) fresher(t *store) bool {
	if s.mark.Joined != t.mark.Joined {
		return s.mark.Joined > t.mark.Joined
	}
	return s.last() > t.last()
}
