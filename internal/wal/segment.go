package wal

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// link names a place at the end of a batch, from which a segment goes on: in the file of that number and id.
type link struct {
	number, id uint64 // 0: nothing is before
	end        int64
	chain      uint32
}

// segment is a file of the log.
type segment struct {
	file      string // its name in the directory
	fault     string // why its header cannot be used; "": it can
	version   uint16
	number    uint64
	id        uint64
	sector    int64
	first     uint64 // position of its first record
	batch     uint64 // number of its first batch
	carried   uint64 // records written before the file had its name
	base      zab.Zxid
	before    link
	ensemble  zab.EnsembleID
	member    quorum.ID
	name      string
	allocated int64

	seed uint32 // of its checksums
	root uint32 // chain value before its first record

	end     int64 // where its records end, so far
	chain   uint32
	last    uint64 // position of its last record; first-1: none
	size    int64  // of the file, as far as known
	written int64  // so far its blocks are written and durable, as records or zeros
	readers int    // guarded by Log.mu
}

func (s *segment) link() link { return link{s.number, s.id, s.end, s.chain} }

// begin is where the first record stands.
func (s *segment) begin() int64 { return align(headerSize, s.sector) }

const segmentSuffix = ".log"

func segmentName(number, id uint64) string {
	return fmt.Sprintf("%016x-%016x%s", number, id, segmentSuffix)
}

// parseSegmentName is strict, so that a name has one reading.
func parseSegmentName(name string) (number, id uint64, ok bool) {
	base, ok := strings.CutSuffix(name, segmentSuffix)
	a, b, cut := strings.Cut(base, "-")
	if !ok || !cut {
		return 0, 0, false
	}
	number, err1 := strconv.ParseUint(a, 16, 64)
	id, err2 := strconv.ParseUint(b, 16, 64)
	return number, id, err1 == nil && err2 == nil && name == segmentName(number, id)
}

func (s *segment) encode(version uint16) *header {
	h := newHeader(segmentMagic, version)
	le.PutUint32(h[12:], uint32(s.sector))
	le.PutUint64(h[16:], s.number)
	le.PutUint64(h[24:], s.id)
	le.PutUint64(h[32:], s.first)
	le.PutUint64(h[40:], s.batch)
	le.PutUint64(h[48:], s.carried)
	le.PutUint64(h[56:], uint64(s.base))
	le.PutUint64(h[64:], s.before.number)
	le.PutUint64(h[72:], s.before.id)
	le.PutUint64(h[80:], uint64(s.before.end))
	le.PutUint32(h[88:], s.before.chain)
	copy(h[96:112], s.ensemble[:])
	le.PutUint64(h[112:], uint64(s.member))
	le.PutUint64(h[120:], uint64(s.allocated))
	h.putName(128, s.name)
	h.seal()
	s.derive(h)
	return h
}

func (s *segment) decode(h *header) {
	*s = segment{
		file:    s.file,
		version: le.Uint16(h[8:]),
		size:    s.size,
		sector:  int64(le.Uint32(h[12:])),
		number:  le.Uint64(h[16:]),
		id:      le.Uint64(h[24:]),
		first:   le.Uint64(h[32:]),
		batch:   le.Uint64(h[40:]),
		carried: le.Uint64(h[48:]),
		base:    zab.Zxid(le.Uint64(h[56:])),
		before: link{
			number: le.Uint64(h[64:]),
			id:     le.Uint64(h[72:]),
			end:    int64(le.Uint64(h[80:])),
			chain:  le.Uint32(h[88:]),
		},
		member:    quorum.ID(le.Uint64(h[112:])),
		allocated: int64(le.Uint64(h[120:])),
		name:      h.name(128),
	}
	copy(s.ensemble[:], h[96:112])
	s.derive(h)
}

// derive fills what follows from the header.
func (s *segment) derive(h *header) {
	var id [8]byte
	le.PutUint64(id[:], s.id)
	s.seed = crc32.Checksum(id[:], castagnoli)
	s.root = le.Uint32(h[crcAt:])
	s.end, s.chain, s.last = s.begin(), s.root, s.first-1
}
