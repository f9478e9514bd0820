package datatree

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The digest of a tree is the sum modulo 2^64 of the digests of its znodes, so it follows every change at once and does not depend on order.
// The digest of a znode is
//
//	p = XXH64(path, 0), or 1 if that is 0
//	c = XXH64(data, p)
//	d = XXH64(s, c)
//
// where s is ten little-endian 64-bit words: czxid, mzxid, pzxid, ctime, mtime (milliseconds), the number of children ever created, version
// in the upper and aversion in the lower 32 bits, ephemeral owner, TTL in nanoseconds, and NumChildren<<8 | Mode, with bit 7 set when the data is nil;
// and, unless everybody may do everything, an eleventh, XXH64(the ACL as it is encoded, 0). The ACL of /zookeeper/config never changes, and does not count.
// It tells states apart that came about by accident or by a bug; it is no defence against an adversary.

// seal brings the digest of n up to date; content is already.
func (n *version) seal() {
	rare := n.rarely()
	var s [88]byte
	le := binary.LittleEndian
	le.PutUint64(s[0:], uint64(n.czxid))
	le.PutUint64(s[8:], uint64(n.mzxid))
	le.PutUint64(s[16:], uint64(n.pzxid))
	le.PutUint64(s[24:], uint64(n.ctime))
	le.PutUint64(s[32:], uint64(n.mtime))
	le.PutUint64(s[40:], uint64(n.creates))
	le.PutUint64(s[48:], uint64(uint32(n.version))<<32|uint64(uint32(n.aversion)))
	le.PutUint64(s[56:], rare.owner)
	le.PutUint64(s[64:], uint64(rare.ttl))
	flags := uint64(n.children)<<8 | uint64(n.mode)
	if n.bytes == nil {
		flags |= 1 << 7
	}
	le.PutUint64(s[72:], flags)
	if rare.acl == nil {
		n.digest = xxh64(s[:80], n.content)
		return
	}
	le.PutUint64(s[80:], rare.acl.digest)
	n.digest = xxh64(s[:], n.content)
}

// digestPath returns p. Zero would say nothing, and no valid path is known to have it; if one had, it would be 1 everywhere.
func digestPath(path string) uint64 {
	return max(xxh64(unsafe.Slice(unsafe.StringData(path), len(path)), 0), 1)
}

const (
	prime1 = 0x9E3779B185EBCA87
	prime2 = 0xC2B2AE3D27D4EB4F
	prime3 = 0x165667B19E3779F9
	prime4 = 0x85EBCA77C2B2AE63
	prime5 = 0x27D4EB2F165667C5
)

func round(acc, in uint64) uint64 { return bits.RotateLeft64(acc+in*prime2, 31) * prime1 }

func merge(h, acc uint64) uint64 { return (h^round(0, acc))*prime1 + prime4 }

// xxh64 is the hash of that name (https://github.com/Cyan4973/xxHash, specification 0.1.1).
func xxh64(b []byte, seed uint64) uint64 {
	le := binary.LittleEndian
	n := uint64(len(b))
	var h uint64
	if len(b) >= 32 {
		// Variables, because a constant would overflow.
		p1, p2 := uint64(prime1), uint64(prime2)
		v1, v2, v3, v4 := seed+p1+p2, seed+p2, seed, seed-p1
		for len(b) >= 32 {
			v1 = round(v1, le.Uint64(b[0:8]))
			v2 = round(v2, le.Uint64(b[8:16]))
			v3 = round(v3, le.Uint64(b[16:24]))
			v4 = round(v4, le.Uint64(b[24:32]))
			b = b[32:]
		}
		h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
		h = merge(merge(merge(merge(h, v1), v2), v3), v4)
	} else {
		h = seed + prime5
	}
	h += n
	for len(b) >= 8 {
		h = bits.RotateLeft64(h^round(0, le.Uint64(b)), 27)*prime1 + prime4
		b = b[8:]
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(le.Uint32(b))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
