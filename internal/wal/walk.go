package wal

import (
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Piece is a stretch of a segment's file as it is found there.
type Piece struct {
	Offset, Size int64
	Fault        string // what is wrong with it; "": a whole record, in its place behind the one before

	// Of a record, when its head at least is whole; 0 otherwise.
	Kind       zab.RecordKind
	Pos        uint64
	Batch      uint64
	Ends       bool // it is the last of its batch
	Generation uint32
	Length     uint32     // of the payload
	Zxid       zab.Zxid   // if the payload is whole
	Entry      *zab.Entry // of an entry, if the payload is whole
}

// Walk shows every stretch of a segment's file, also behind damage and behind the end of the log, and changes nothing. Zeros up to
// the end of the file are no piece. Errors are those that let nothing be shown: *DamageError of the header, *VersionError.
func Walk(fsys vfs.FS, dir, file string, visit func(*Piece)) error {
	im := &image{fs: fsys, dir: dir, newest: Version}
	s := &segment{file: file}
	if err := im.readHeader(s); err != nil {
		return err
	}
	if s.fault != "" {
		return &DamageError{file, 0, s.fault}
	}
	b, _, err := im.load(file, s.size)
	if err != nil {
		return &DamageError{file, 0, "unreadable: " + err.Error()}
	}
	end := int64(lastNonZero(b))
	chain, joined := s.root, true
	for off := s.begin(); off < end; {
		f, ok := parseFrame(b[off:], s.seed)
		if !ok {
			p := Piece{Offset: off, Fault: "no record"}
			for off += 8; off < end; off += 8 {
				if _, ok := parseFrame(b[off:], s.seed); ok {
					break
				}
			}
			p.Size = min(off, end) - p.Offset
			joined = false
			visit(&p)
			continue
		}
		p := f.piece(b[off:], off, s)
		if p.Fault == "" && (!joined || f.chain != chain) {
			p.Fault = "does not follow what is before it"
		}
		chain, joined = f.head, true
		off += p.Size
		visit(&p)
	}
	return nil
}

// piece describes the record at off, where b begins.
func (f *frame) piece(b []byte, off int64, s *segment) Piece {
	p := Piece{Offset: off, Size: f.size(off, s.sector), Kind: f.kind, Pos: f.pos, Batch: f.batch, Ends: f.last, Generation: f.generation, Length: f.length}
	if p.Size > int64(len(b)) {
		p.Size, p.Fault = int64(len(b)), "goes on behind the end of the file"
		return p
	}
	if !f.whole(b[:p.Size], s.seed) {
		p.Fault = "damaged"
		return p
	}
	r, ok := parsePayload(f, b[recordHead:recordHead+int64(f.length)])
	if !ok {
		p.Fault = "cannot be decoded"
		return p
	}
	p.Zxid = r.Zxid
	if r.Kind == zab.RecordEntry {
		p.Zxid, p.Entry = r.Entry.Zxid, &r.Entry
	}
	return p
}
