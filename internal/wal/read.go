package wal

import (
	"sort"

	"github.com/ensemble-go/ensemble/zab"
)

// entryBytes is what an entry counts beside its data.
const entryBytes = 64

// readAhead is how much is read at once.
const readAhead = 64 << 10

// Entries reads back the entries in force and durable after a zxid, up to another one, in order: as many as come to maxBytes, each counted as
// its data and 64 bytes more, and at least one if there is any. after is a zxid of the history, or its beginning; if the log holds nothing that follows it, the error is
// ErrGone. Damage is a *DamageError. It may be called from any goroutine, beside the writer; what it returns belongs to the caller.
func (l *Log) Entries(after, upTo zab.Zxid, maxBytes int) ([]zab.Entry, error) {
	l.mu.Lock()
	h := &l.hist
	upTo = min(upTo, h.last)
	if l.closed || after < h.base || after >= upTo {
		defer l.mu.Unlock()
		switch {
		case l.closed:
			return nil, ErrClosed
		case after < h.base:
			return nil, ErrGone
		}
		return nil, nil
	}
	r := reader{log: l, cuts: h.cuts, prev: after, upTo: upTo, maxBytes: max(maxBytes, 0)}
	i := sort.Search(len(h.points), func(i int) bool { return h.points[i].zxid > after })
	p := h.points[max(i-1, 0)]
	for j := len(l.segments) - 1; j >= 0; j-- {
		s := l.segments[j]
		s.readers++
		r.segments = append(r.segments, s)
		r.ends = append(r.ends, s.end)
		if s == p.seg {
			break
		}
	}
	l.mu.Unlock()
	defer r.release()
	for j := len(r.segments) - 1; j >= 0 && !r.done; j-- {
		off := p.off
		if r.segments[j] != p.seg {
			off = r.segments[j].begin()
		}
		if err := r.read(r.segments[j], off, r.ends[j]); err != nil {
			return nil, err
		}
	}
	return r.entries, nil
}

// Size tells about how many bytes of log lie between two zxids of the history: within 64 KiB at each end, dead records included.
func (l *Log) Size(after, upTo zab.Zxid) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	points := l.hist.points
	i := max(sort.Search(len(points), func(i int) bool { return points[i].zxid > after })-1, 0)
	j := sort.Search(len(points), func(i int) bool { return points[i].zxid > upTo })
	if i >= len(points) {
		return 0
	}
	size, from := int64(0), false
	for _, s := range l.segments {
		begin, end := s.begin(), s.end
		if s == points[i].seg {
			begin, from = points[i].off, true
		}
		last := j < len(points) && s == points[j].seg
		if last {
			end = points[j].off
		}
		if from {
			size += max(0, end-begin)
		}
		if last {
			break
		}
	}
	return size
}

// reader holds what of the log is to be read, as it was when it began. The segments cannot be removed meanwhile.
type reader struct {
	log        *Log
	segments   []*segment // newest first
	ends       []int64
	cuts       []cut
	prev, upTo zab.Zxid
	maxBytes   int

	entries []zab.Entry
	bytes   int
	done    bool
}

func (r *reader) release() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	for _, s := range r.segments {
		s.readers--
	}
}

// read takes what is wanted between two offsets of a segment.
func (r *reader) read(s *segment, off, end int64) error {
	f, err := r.log.fs.Open(r.log.path(s.file))
	if err != nil {
		return &DamageError{s.file, off, err.Error()}
	}
	defer f.Close()
	var b []byte // of the file, from off on
	for off < end && !r.done {
		x, ok := parseFrame(b, s.seed)
		if len(b) >= recordHead && !ok {
			return &DamageError{s.file, off, "no whole record"}
		}
		size := x.size(off, s.sector)
		if size > end-off {
			return &DamageError{s.file, off, "a record that goes on behind the end"}
		}
		if len(b) < recordHead || int64(len(b)) < size {
			// Not used again: entries refer to it.
			b = make([]byte, min(max(readAhead, size), end-off))
			if _, err := f.ReadAt(b, off); err != nil {
				return &DamageError{s.file, off, err.Error()}
			}
			continue
		}
		if !x.whole(b[:size], s.seed) {
			return &DamageError{s.file, off, "a damaged record"}
		}
		if r.entries == nil {
			r.entries = make([]zab.Entry, 0, min(min(int64(r.maxBytes), end-off)/size+1, 1024))
		}
		rec, ok := parsePayload(&x, b[recordHead:recordHead+x.length])
		if !ok {
			return &DamageError{s.file, off, "a record that cannot be decoded"}
		}
		if err := r.take(&rec); err != nil {
			return err
		}
		b, off = b[size:], off+size
	}
	return nil
}

func (r *reader) take(rec *zab.Record) error {
	e := &rec.Entry
	if rec.Kind != zab.RecordEntry || dead(r.cuts, rec.Pos, e.Zxid) || e.Zxid <= r.prev {
		return nil
	}
	if e.Zxid > r.upTo {
		r.done = true
		return nil
	}
	if e.Prev != r.prev {
		return ErrGone // after is no zxid of this history
	}
	if r.bytes += len(e.Data) + entryBytes; len(r.entries) > 0 && r.bytes > r.maxBytes {
		r.done = true
		return nil
	}
	r.entries = append(r.entries, *e)
	r.prev = e.Zxid
	return nil
}
