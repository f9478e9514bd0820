package wal

import (
	"slices"
	"sort"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// replay reads the records of one segment into the image.
type replay struct {
	*image
	seg  *segment
	data []byte // as far as the segment is in force
	off  int64
	f    frame      // at off
	rec  zab.Record // the same, decoded; in here, so that it need not be allocated for each
	open bool       // the batch has no end yet
	want uint64     // batch of the next record

	// of the last batch:
	begin   link
	pos     uint64 // before it
	base    zab.Zxid
	records []zab.Record
	regular bool // it was appended, not carried
}

// readPath reads the log and judges its end.
func (im *image) readPath() {
	for i, s := range im.path {
		r := replay{image: im, seg: s, off: s.begin(), want: s.batch}
		if i == 0 {
			im.hist = history{pos: s.first - 1, base: s.base, last: s.base}
		} else if !im.linked(im.path[i-1], s) {
			return
		}
		limit := s.allocated
		if i < len(im.path)-1 {
			if limit = im.path[i+1].before.end; limit < s.begin() {
				im.impair(im.path[i+1].file, 0, "it goes on in the middle of a header")
				return
			}
		}
		var err error
		if r.data, s.size, err = im.load(s.file, limit); err != nil {
			im.impair(s.file, -1, "unreadable: "+err.Error())
			return
		}
		if int64(len(r.data)) < min(limit, s.allocated) { // a link goes by its own word
			im.impair(s.file, int64(len(r.data)), "the file is too short")
			im.lookAhead(i, &r)
			return
		}
		why, misfit := r.run()
		switch {
		case misfit:
			im.impair(s.file, r.off, why)
		case i == len(im.path)-1:
			r.judgeTail(why)
		case r.off != limit:
			im.impair(s.file, r.off, "damaged record")
		case r.open:
			im.impair(s.file, r.off, "a batch without end")
		}
		if im.verdict.Kind == Impaired {
			im.lookAhead(i, &r)
			return
		}
		if i == 0 && s.end > 0 { // one allocation for what the rest is likely to hold
			total := int64(0)
			for _, p := range im.path {
				total += p.size
			}
			im.entries = slices.Grow(im.entries, int(int64(len(im.entries))*(total-s.end)/s.end*9/8))
		}
	}
	im.judgeEnd()
}

// linked checks that s goes on where p ended.
func (im *image) linked(p, s *segment) bool {
	if s.before != p.link() || s.first != im.hist.pos+1 || s.base != im.hist.last || s.batch <= im.batch {
		im.impair(s.file, 0, "it does not go on where the segment before it ends")
		return false
	}
	return true
}

// run takes records until there is none that is whole. A misfit is a record that is whole and in the wrong place: no crash
// leaves that behind.
func (r *replay) run() (why string, misfit bool) {
	s := r.seg
	for r.off < int64(len(r.data)) {
		rest := r.data[r.off:]
		f, ok := parseFrame(rest, s.seed)
		if !ok {
			return "no whole record", false
		}
		r.f = f
		size := f.size(r.off, s.sector)
		if f.chain != s.chain || f.pos != r.hist.pos+1 || f.batch != r.want || size > int64(len(rest)) {
			return "a record that does not follow", true
		}
		if r.mark != nil && int32(f.generation-uint32(r.mark.generation)) > 0 {
			return "the mark is older than this record", true
		}
		if !f.whole(rest[:size], s.seed) {
			return "a damaged record", false
		}
		if r.rec, ok = parsePayload(&f, rest[recordHead:recordHead+f.length]); !ok {
			return "a record that cannot be decoded", true
		}
		if why := r.hist.follows(&r.rec); why != "" {
			return why, true
		}
		r.take(size)
	}
	return "", false
}

// take takes the record at off.
func (r *replay) take(size int64) {
	s, f, rec := r.seg, &r.f, &r.rec
	if !r.open {
		r.begin, r.pos, r.base = s.link(), r.hist.pos, r.hist.last
		r.records = r.records[:0]
		r.regular = f.pos >= s.first+s.carried
	}
	if s == r.path[len(r.path)-1] {
		r.records = append(r.records, *rec)
	}
	r.hist.step(rec)
	r.hist.place(rec, s, r.off)
	switch rec.Kind {
	case zab.RecordEntry:
		r.entries = append(r.entries, rec.Entry)
		r.seen = max(r.seen, rec.Entry.Zxid)
	case zab.RecordTrunc:
		r.entries = r.entries[:sort.Search(len(r.entries), func(i int) bool { return r.entries[i].Zxid > rec.Zxid })]
	case zab.RecordReset:
		r.entries = nil
		r.seen = max(r.seen, rec.Snapshot.Zxid)
	}
	if r.visit != nil {
		r.visit(s, r.off, f, rec)
	}
	r.open = !f.last
	r.batch = f.batch
	if f.last {
		r.want++
	}
	r.off += size
	s.end, s.chain, s.last = r.off, f.head, f.pos
}

// judgeTail looks at what lies behind the last whole record of the last segment.
func (r *replay) judgeTail(why string) {
	if r.verdict.Kind == Impaired { // by what was seen before: nothing here makes it better
		return
	}
	s := r.seg
	rest := r.data[r.off:]
	n := lastNonZero(rest)
	torn := n > 0 || r.open
	r.image.open = r.open
	if mutant.On("wal-zero-record") && len(rest) >= 4 && le.Uint32(rest) == 0 {
		n, torn = 0, false
	}
	if s.last+1 < s.first+s.carried {
		r.impair(s.file, r.off, "a carried record is damaged")
		return
	}
	found := 0
	if n > 0 && !mutant.On("wal-cut-always") {
		var stray bool
		if found, stray = r.resynchronise(rest[:min(n+recordHead, len(rest))]); stray { // a head may end with zeros
			r.impair(s.file, r.off, why+", and records of another batch behind it")
			return
		}
	}
	if torn {
		if why == "" || n == 0 {
			why = "a batch without end"
		}
		r.verdict.Kind, r.verdict.Where, r.verdict.Why = TornTail, s.file, why
		r.verdict.Bytes, r.verdict.Records = int64(n), found
	}
	r.judgeProof(n > 0)
}

// resynchronise looks for records behind damage. Those of the batch that is damaged may be there, since the sectors of one
// batch reach the disk in any order. Any other proves that this batch was once durable: a stray.
func (r *replay) resynchronise(b []byte) (found int, stray bool) {
	for off := 0; off+recordHead <= len(b); off += 8 {
		f, ok := parseFrame(b[off:], r.seg.seed)
		if !ok {
			continue
		}
		if f.batch != r.want || f.pos <= r.hist.pos {
			return found, true
		}
		found++
	}
	return found, false
}

// judgeProof finds what is proven durable, and so where the log goes on. garbage tells that there are bytes behind the last
// whole record.
func (r *replay) judgeProof(garbage bool) {
	s := r.seg
	t := &r.tail
	*t = tail{from: s.link(), pos: r.hist.pos, base: r.hist.last}
	if r.mark == nil || r.mark.clean || mutant.On("wal-page-cache-trusted") {
		return
	}
	known := max(r.mark.at, r.mark.acked) // durable before the mark was written
	switch {
	case s.last <= known && s.last >= s.first:
	case len(r.records) > 0 && r.regular:
		t.from, t.pos, t.base = r.begin, r.pos, r.base
		t.unproven = r.records
	case garbage: // a batch was begun, so the segment with all that it carried was durable
	default: // nothing shows that even its name is
		t.from, t.pos, t.base = s.before, s.first-1, s.base
		t.unproven = r.records
		r.dead = append(r.dead, s.file)
	}
}

// judgeEnd compares the end of the log with the mark.
func (im *image) judgeEnd() {
	if im.mark == nil || im.verdict.Kind == Impaired {
		return
	}
	m, pos := im.mark, im.hist.pos
	where := im.dir
	if n := len(im.path); n > 0 {
		where = im.path[n-1].file
	}
	known := max(m.at, m.acked)
	if m.from > 0 {
		known = max(known, m.from-1)
	}
	switch {
	case pos < known && !mutant.On("wal-cut-always"):
		im.impair(where, -1, "it ends before what was acknowledged")
	case m.clean && pos > m.acked:
		im.impair(where, -1, "it goes on after a clean stop")
	case im.open && pos == known:
		im.impair(where, -1, "an acknowledged batch has no end")
	case m.clean && im.verdict.Kind == TornTail:
		im.verdict = Verdict{} // all there is: what lies beyond was never part of it
	}
}

// lookAhead goes on, for an impaired directory, to find the greatest zxid that was ever there.
func (im *image) lookAhead(i int, r *replay) {
	for {
		b := r.data
		for off := align(r.off, 8); off+recordHead <= int64(len(b)); off += 8 {
			f, ok := parseFrame(b[off:], r.seg.seed)
			if !ok {
				continue
			}
			if size := f.size(off, r.seg.sector); size <= int64(len(b))-off && f.whole(b[off:off+size], r.seg.seed) {
				if rec, ok := parsePayload(&f, b[off+recordHead:off+recordHead+int64(f.length)]); ok {
					im.seen = max(im.seen, rec.Entry.Zxid)
				}
			}
		}
		if i++; i >= len(im.path) {
			return
		}
		s := im.path[i]
		data, _, err := im.load(s.file, s.size)
		if err != nil {
			return
		}
		r = &replay{image: im, seg: s, data: data, off: s.begin()}
	}
}
