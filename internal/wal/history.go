package wal

import (
	"sort"

	"github.com/ensemble-go/ensemble/zab"
)

// Reset is a RESET of the log: the snapshot with which the history begins.
type Reset struct {
	Pos    uint64 // of its record
	Zxid   zab.Zxid
	Length uint64
	Digest uint64
}

// cut is a TRUNC: entries before pos with a zxid above this one are dead.
type cut struct {
	pos  uint64
	zxid zab.Zxid
}

// point says where an entry stands that is in force. Not every entry has one.
type point struct {
	zxid zab.Zxid
	pos  uint64
	seg  *segment
	off  int64
}

// history is what the records amount to. It holds no entries.
type history struct {
	pos    uint64   // of the last record
	base   zab.Zxid // what the first entry in the log follows
	last   zab.Zxid
	reset  *Reset
	cuts   []cut   // since reset; never changed in place, so that a reader may keep them
	points []point // of entries in force, ascending; likewise
}

// pointEvery is how many bytes of log may lie between two points.
const pointEvery = 64 << 10

// follows tells why r cannot come next; "" if it can.
func (h *history) follows(r *zab.Record) string {
	switch {
	case r.Pos != h.pos+1:
		return "its position does not follow"
	case r.Kind == zab.RecordEntry && (r.Entry.Prev != h.last || r.Entry.Zxid <= h.last):
		return "its zxid does not follow"
	case r.Kind == zab.RecordTrunc && r.Zxid > h.last:
		return "TRUNC to beyond the end"
	case r.Kind == zab.RecordReset && r.Snapshot == nil:
		return "RESET without snapshot"
	case r.Kind < zab.RecordEntry || r.Kind > zab.RecordReset:
		return "unknown kind"
	}
	return ""
}

// step takes r, which follows, except for the points.
func (h *history) step(r *zab.Record) {
	h.pos = r.Pos
	switch r.Kind {
	case zab.RecordEntry:
		h.last = r.Entry.Zxid
	case zab.RecordTrunc:
		h.last, h.base = r.Zxid, min(h.base, r.Zxid)
		h.cuts = append(h.cuts[:len(h.cuts):len(h.cuts)], cut{r.Pos, r.Zxid})
		n := sort.Search(len(h.points), func(i int) bool { return h.points[i].zxid > r.Zxid })
		h.points = h.points[:n:n]
	case zab.RecordReset:
		s := r.Snapshot
		h.reset = &Reset{r.Pos, s.Zxid, s.Length, s.Digest}
		h.last, h.base = s.Zxid, s.Zxid
		h.cuts, h.points = nil, nil
	}
}

// place notes where the entry r stands, now and then.
func (h *history) place(r *zab.Record, seg *segment, off int64) {
	if r.Kind != zab.RecordEntry {
		return
	}
	if n := len(h.points); n > 0 && h.points[n-1].seg == seg && off-h.points[n-1].off < pointEvery {
		return
	}
	h.points = append(h.points, point{r.Entry.Zxid, r.Pos, seg, off})
}

// dead reports whether a later TRUNC killed the entry at pos.
func dead(cuts []cut, pos uint64, z zab.Zxid) bool {
	for i := len(cuts) - 1; i >= 0 && cuts[i].pos > pos; i-- {
		if cuts[i].zxid < z {
			return true
		}
	}
	return false
}

// forget drops what lies before the segment, which is the first from now on.
func (h *history) forget(s *segment) {
	i := sort.Search(len(h.points), func(i int) bool { return h.points[i].pos >= s.first })
	h.points = h.points[i:]
	i = sort.Search(len(h.cuts), func(i int) bool { return h.cuts[i].pos >= s.first })
	h.cuts = h.cuts[i:]
	if h.reset == nil || h.reset.Pos < s.first {
		h.base = s.base
		for _, c := range h.cuts {
			h.base = min(h.base, c.zxid)
		}
	}
}

// moved tells that the records, which were taken already, now stand in seg at these places.
func (h *history) moved(records []zab.Record, seg *segment, places []int64) {
	if len(records) == 0 {
		return
	}
	i := sort.Search(len(h.points), func(i int) bool { return h.points[i].pos >= records[0].Pos })
	h.points = h.points[:i:i]
	for i := range records {
		r := &records[i]
		switch r.Kind {
		case zab.RecordEntry:
			h.place(r, seg, places[i])
		case zab.RecordTrunc:
			n := sort.Search(len(h.points), func(i int) bool { return h.points[i].zxid > r.Zxid })
			h.points = h.points[:n:n]
		case zab.RecordReset:
			h.points = nil
		}
	}
}
