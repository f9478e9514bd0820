package wal

import (
	"hash/crc32"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

const (
	recordHead = 40
	// maxRecord bounds a payload, far above what the layers above allow.
	maxRecord = 1 << 30
	// maxBatch bounds a batch, which is carried to the next segment as a whole.
	maxBatch = 2<<30 - 2<<20
	// maxSegment bounds a segment: its header, a batch that is carried, and one more.
	maxSegment = 4 << 30

	flagLast = 1 // of its batch

	entryHead  = 24
	entryNamed = 24 // more, with member and incarnation
)

// frame is the head of a record.
type frame struct {
	head, body uint32
	length     uint32 // of the payload
	chain      uint32
	pos, batch uint64
	generation uint32
	kind       zab.RecordKind
	last       bool
}

// size is how many bytes the record takes at off, with its padding.
func (f *frame) size(off, sector int64) int64 {
	end := off + recordHead + int64(f.length)
	if f.last {
		return align(end, unit(sector)) - off
	}
	return align(end, 8) - off
}

// unit is what a batch is padded to.
func unit(sector int64) int64 {
	if mutant.On("wal-shared-sector") {
		return 8
	}
	return sector
}

// parseFrame reads the head at the beginning of b. It is false if b holds no head of this segment's.
func parseFrame(b []byte, seed uint32) (f frame, ok bool) {
	if len(b) < recordHead {
		return f, false
	}
	f = frame{
		head:       le.Uint32(b),
		body:       le.Uint32(b[4:]),
		length:     le.Uint32(b[8:]),
		chain:      le.Uint32(b[12:]),
		pos:        le.Uint64(b[16:]),
		batch:      le.Uint64(b[24:]),
		generation: le.Uint32(b[32:]),
		kind:       zab.RecordKind(b[36]),
		last:       b[37]&flagLast != 0,
	}
	return f, f.head == crc32.Update(seed, castagnoli, b[4:recordHead])
}

// whole checks payload and padding: b is the record, as long as size says.
func (f *frame) whole(b []byte, seed uint32) bool {
	return f.body == crc32.Update(seed, castagnoli, b[recordHead:])
}

// payloadSize is the length of a record's payload.
func payloadSize(r *zab.Record) int64 {
	switch {
	case r.Kind == zab.RecordTrunc:
		return 8
	case r.Kind == zab.RecordReset:
		return 24
	case named(&r.Entry):
		return entryHead + entryNamed + int64(len(r.Entry.Data))
	}
	return entryHead + int64(len(r.Entry.Data))
}

func named(e *zab.Entry) bool { return e.Member != 0 || e.Incarnation != zab.Incarnation{} }

// putPayload writes the payload to b, which has its length.
func putPayload(b []byte, r *zab.Record) {
	switch r.Kind {
	case zab.RecordTrunc:
		le.PutUint64(b, uint64(r.Zxid))
	case zab.RecordReset:
		le.PutUint64(b, uint64(r.Snapshot.Zxid))
		le.PutUint64(b[8:], r.Snapshot.Length)
		le.PutUint64(b[16:], r.Snapshot.Digest)
	default:
		e := &r.Entry
		le.PutUint64(b, uint64(e.Zxid))
		le.PutUint64(b[8:], uint64(e.Prev))
		clear(b[16:entryHead])
		b[16] = byte(e.Kind)
		at := entryHead
		if named(e) {
			b[17] = 1
			le.PutUint64(b[at:], uint64(e.Member))
			copy(b[at+8:], e.Incarnation[:])
			at += entryNamed
		}
		copy(b[at:], e.Data)
	}
}

// parsePayload is the inverse. What it returns refers to b. Data is nil when it is empty.
func parsePayload(f *frame, b []byte) (r zab.Record, ok bool) {
	r.Kind, r.Pos = f.kind, f.pos
	switch {
	case r.Kind == zab.RecordTrunc && len(b) == 8:
		r.Zxid = zab.Zxid(le.Uint64(b))
	case r.Kind == zab.RecordReset && len(b) == 24:
		r.Zxid = zab.Zxid(le.Uint64(b))
		r.Snapshot = &zab.Snapshot{Zxid: r.Zxid, Length: le.Uint64(b[8:]), Digest: le.Uint64(b[16:])}
	case r.Kind == zab.RecordEntry && len(b) >= entryHead && b[17] <= 1:
		e := &r.Entry
		e.Zxid, e.Prev, e.Kind = zab.Zxid(le.Uint64(b)), zab.Zxid(le.Uint64(b[8:])), zab.EntryKind(b[16])
		at := entryHead
		if b[17] == 1 {
			if len(b) < at+entryNamed {
				return r, false
			}
			e.Member = quorum.ID(le.Uint64(b[at:]))
			copy(e.Incarnation[:], b[at+8:])
			at += entryNamed
		}
		if at < len(b) {
			e.Data = b[at:len(b):len(b)]
		}
	default:
		return r, false
	}
	return r, true
}

// encoder puts records one behind the other.
type encoder struct {
	seg        *segment
	off        int64 // of the next record
	chain      uint32
	batch      uint64
	generation uint32
}

// batchSize is how many bytes the records take as one batch from off on; false if one, or all together, are too large.
func batchSize(records []zab.Record, off, sector int64) (int64, bool) {
	at := off
	for i := range records {
		n := payloadSize(&records[i])
		if n > maxRecord {
			return 0, false
		}
		at = align(at+recordHead+n, 8)
	}
	size := align(at, unit(sector)) - off
	return size, size <= maxBatch
}

// put writes the records as one batch to b, which has the length that batchSize says. place is told where each begins.
func (e *encoder) put(b []byte, records []zab.Record, place func(r *zab.Record, off int64)) {
	at := int64(0)
	for i := range records {
		r := &records[i]
		f := frame{length: uint32(payloadSize(r)), last: i == len(records)-1}
		size := f.size(e.off, e.seg.sector)
		rec := b[at : at+size]
		putPayload(rec[recordHead:recordHead+f.length], r)
		clear(rec[recordHead+f.length:])
		le.PutUint32(rec[4:], crc32.Update(e.seg.seed, castagnoli, rec[recordHead:]))
		le.PutUint32(rec[8:], f.length)
		le.PutUint32(rec[12:], e.chain)
		le.PutUint64(rec[16:], r.Pos)
		le.PutUint64(rec[24:], e.batch)
		le.PutUint32(rec[32:], e.generation)
		rec[36], rec[37], rec[38], rec[39] = byte(r.Kind), 0, 0, 0
		if f.last {
			rec[37] = flagLast
		}
		e.chain = crc32.Update(e.seg.seed, castagnoli, rec[4:recordHead])
		le.PutUint32(rec, e.chain)
		if place != nil {
			place(r, e.off)
		}
		at += size
		e.off += size
	}
	e.batch++
}
