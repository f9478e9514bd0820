package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// Version is that of the formats that this package writes. It also reads the one before, if there is one.
const Version = 1

const (
	headerSize = 512 // of a segment's header and of a slot
	maxName    = 255
	crcAt      = headerSize - 4

	segmentMagic = "ENSBLLOG"
	slotMagic    = "ENSBLMRK"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// header is the common frame of a segment's header and of a slot.
type header [headerSize]byte

func newHeader(magic string, version uint16) *header {
	h := new(header)
	copy(h[:], magic)
	le.PutUint16(h[8:], version)
	le.PutUint16(h[10:], ^version)
	return h
}

func (h *header) seal() { le.PutUint32(h[crcAt:], h.sum()) }

func (h *header) sum() uint32 { return crc32.Checksum(h[:crcAt], castagnoli) }

// open checks what is common to all versions, then the checksum. A version that cannot be read is no damage: version is then
// not 0, and why is empty.
func (h *header) open(magic string, newest uint16) (version uint16, why string) {
	if string(h[:8]) != magic {
		return 0, "no such header"
	}
	version = le.Uint16(h[8:])
	if le.Uint16(h[10:]) != ^version {
		return 0, "damaged version"
	}
	if !readable(version, newest) {
		return version, ""
	}
	if le.Uint32(h[crcAt:]) != h.sum() {
		return 0, "damaged header"
	}
	return version, ""
}

// readable is the rule for versions: n reads n and n-1.
func readable(version, newest uint16) bool {
	return version == newest || version > 0 && version+1 == newest
}

func (h *header) putName(at int, name string) {
	h[at] = byte(len(name))
	copy(h[at+1:], name)
}

func (h *header) name(at int) string { return string(h[at+1 : at+1+int(h[at])]) }

// align rounds n up to a multiple of a power of two.
func align(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }
