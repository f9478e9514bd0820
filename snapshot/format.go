package snapshot

import (
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
)

// Version is that of the format that this package writes. It also reads the one before, if there is one.
const Version = 1

// MaxChunk is the greatest number of bytes of one chunk.
const MaxChunk = 16 << 20

const (
	magic      = "ENSBLSNP"
	prefixSize = 16 // magic, version, version inverted, length of the header
	fixedSize  = 80 // of the header before spans, members and checksum
	maxHeader  = 256 << 20
	spanSize   = 8
	memberSize = 24
	sumSize    = 4
	headSize   = 32        // before each chunk, and at the end
	theEnd     = 1<<32 - 1 // instead of a length: no chunk follows
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	ecma       = crc64.MakeTable(crc64.ECMA)
	le         = binary.LittleEndian
)

// Position is a place between two chunks, named by all that is before it.
type Position struct {
	Chunk  uint32 // index of the chunk that comes next
	Length uint64 // bytes of those before
	Digest uint64 // their CRC-64 (ECMA)
}

// after returns the position behind a chunk.
func (p Position) after(chunk []byte) Position {
	return Position{p.Chunk + 1, p.Length + uint64(len(chunk)), crc64.Update(p.Digest, ecma, chunk)}
}

// head stands before each chunk. The last one, which has theEnd for a length, is the trailer.
type head struct {
	body   uint32 // CRC of the chunk
	length uint32
	at     Position
}

func (h *head) put(b *[headSize]byte, seed uint32) {
	le.PutUint32(b[4:], h.body)
	le.PutUint32(b[8:], h.length)
	le.PutUint32(b[12:], h.at.Chunk)
	le.PutUint64(b[16:], h.at.Length)
	le.PutUint64(b[24:], h.at.Digest)
	le.PutUint32(b[0:], crc32.Update(seed, castagnoli, b[4:]))
}

// parseHead reports whether b begins with a head of the container with this seed.
func parseHead(b []byte, seed uint32) (h head, ok bool) {
	if len(b) < headSize || le.Uint32(b) != crc32.Update(seed, castagnoli, b[4:headSize]) {
		return head{}, false
	}
	h = head{le.Uint32(b[4:]), le.Uint32(b[8:]), Position{le.Uint32(b[12:]), le.Uint64(b[16:]), le.Uint64(b[24:])}}
	return h, h.length <= MaxChunk || h.length == theEnd
}

// readable is the rule for versions: n reads n and n-1.
func readable(version, newest uint16) bool {
	return version == newest || version > 0 && version+1 == newest
}
