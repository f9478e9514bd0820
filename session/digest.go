package session

import (
	"encoding/binary"
	"math/bits"
)

// The digest of a table is the sum modulo 2^64 of the digests of its key, if it has one, of its sessions and of their entries, so it follows every
// change at once. It tells apart states that differ by accident or by a bug; it is no defence against an adversary.
//
// Each of these digests is of words of 64 bits, taken as XXH64 takes its last lanes, and ended as XXH64 ends:
//
//   - of the key, from prime1 on: its four words, little-endian
//   - of a session, from prime3 on: ID, Owner, the two words of Run, Generation, the doubled Timeout, odd for a client's session, unless that is 0; then 0, Low, Last
//   - of an entry, from prime3 on: those of its session up to the timeout; then Sequence, Zxid, Code and Index, the length of More and Number (32 bits each, the first
//     is the upper half), each of More

// Digest identifies the replicated state.
func (t *Table) Digest() uint64 { return t.digest }

const (
	prime1 = 0x9E3779B185EBCA87
	prime2 = 0xC2B2AE3D27D4EB4F
	prime3 = 0x165667B19E3779F9
	prime4 = 0x85EBCA77C2B2AE63
)

// mix is the inner step of XXH64: for a given h it takes no two v to the same place.
func mix(h, v uint64) uint64 {
	return bits.RotateLeft64(h^bits.RotateLeft64(v*prime2, 31)*prime1, 27)*prime1 + prime4
}

func finish(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// hash says which session and generation it is, and whose.
func (s *Session) hash() uint64 {
	h := mix(mix(prime3, s.ID), uint64(s.Owner))
	h = mix(mix(h, binary.LittleEndian.Uint64(s.Run[:8])), binary.LittleEndian.Uint64(s.Run[8:]))
	h = mix(h, uint64(s.Generation))
	if s.Timeout == 0 && !s.Client {
		return h // as it was before there were others
	}
	client := uint64(0)
	if s.Client {
		client = 1
	}
	return mix(h, uint64(s.Timeout)<<1|client)
}

func (k *Key) hash() uint64 {
	h := uint64(prime1)
	for i := 0; i < len(k); i += 8 {
		h = mix(h, binary.LittleEndian.Uint64(k[i:]))
	}
	return finish(h)
}

// seed is that of the digests of a row and of its entries.
func (r *row) seed() uint64 {
	if r.window != nil {
		return r.window.seed
	}
	s := r.session()
	return s.hash()
}

// state is the row's share of the digest, without its window.
func (r *row) state() uint64 { return finish(mix(mix(mix(r.seed(), 0), r.lowest), r.last())) }

// counted is state as the digest has it, and countsAs what it has from now on.
func (r *row) counted() uint64 {
	if r.window != nil {
		return r.window.state
	}
	return r.state()
}

func (r *row) countsAs() uint64 {
	state := r.state()
	if r.window != nil {
		r.window.state = state
	}
	return state
}

func (e *Entry) hash(seed uint64) uint64 {
	h := mix(mix(mix(seed, e.Sequence), uint64(e.Zxid)), uint64(e.Code)<<32|uint64(uint32(e.Index)))
	h = mix(h, uint64(len(e.More))<<32|uint64(uint32(e.Number)))
	for _, n := range e.More {
		h = mix(h, uint64(uint32(n)))
	}
	return finish(h)
}
