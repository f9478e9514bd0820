package session

import (
	"encoding/binary"
	"math/bits"
)

// The digest and the encoding as digest.go and encode.go describe them, made anew from what a model holds. They share nothing with the table but its types, so what one
// leaves out the other has.

func (m *model) digest() uint64 {
	sum := uint64(0)
	if m.key != (Key{}) {
		sum += twinDigest(twinPrime1, twinWords(m.key[:])...)
	}
	for _, s := range m.sessions {
		sum += twinSession(s.Session)
		for n := s.Low; n <= s.Last; n++ {
			sum += twinEntry(s.Session, s.decided[n])
		}
	}
	return sum
}

// recompute takes the digest of a table from what it shows.
func recompute(t *Table) uint64 {
	m := model{key: *t.Key()}
	for s := range t.All() {
		decided := map[uint64]Entry{}
		for n := s.Low; n <= s.Last; n++ {
			decided[n], _ = t.Lookup(Name{s.ID, s.Generation, n})
		}
		m.sessions = append(m.sessions, &modelSession{s, decided})
	}
	return m.digest()
}

func (m *model) encode() []byte {
	uvarint := binary.AppendUvarint
	later := m.key != Key{}
	for _, s := range m.sessions {
		later = later || s.Timeout != 0 || s.Client
	}
	b := []byte{1}
	if later {
		b = append([]byte{2}, m.key[:]...)
	}
	b = uvarint(b, uint64(len(m.sessions)))
	for _, s := range m.sessions {
		b = uvarint(uvarint(b, s.ID), uint64(s.Owner))
		b = uvarint(append(b, s.Run[:]...), uint64(s.Generation))
		if later {
			b = uvarint(b, twinTiming(s.Session))
		}
		b = uvarint(uvarint(b, s.Low), s.Last+1-s.Low)
		for n := s.Low; n <= s.Last; n++ {
			e := s.decided[n]
			b = append(uvarint(b, uint64(e.Zxid)), e.Code)
			b = uvarint(b, uint64(e.Index+1))
			numbers := e.More
			if e.Number >= 0 {
				numbers = append([]int32{e.Number}, e.More...)
			}
			b = uvarint(b, uint64(len(numbers)))
			for _, n := range numbers {
				b = uvarint(b, uint64(n))
			}
		}
	}
	return binary.LittleEndian.AppendUint64(b, m.digest())
}

func twinTiming(s Session) uint64 {
	if s.Client {
		return 2*uint64(s.Timeout) + 1
	}
	return 2 * uint64(s.Timeout)
}

// twinIdentity says which session and generation it is, and whose.
func twinIdentity(s Session) []uint64 {
	words := append([]uint64{s.ID, uint64(s.Owner)}, twinWords(s.Run[:])...)
	words = append(words, uint64(s.Generation))
	if timing := twinTiming(s); timing != 0 {
		words = append(words, timing)
	}
	return words
}

func twinSession(s Session) uint64 {
	return twinDigest(twinPrime3, append(twinIdentity(s), 0, s.Low, s.Last)...)
}

func twinEntry(s Session, e Entry) uint64 {
	words := append(twinIdentity(s), e.Sequence, uint64(e.Zxid), twinPair(uint32(e.Code), e.Index), twinPair(uint32(len(e.More)), e.Number))
	for _, n := range e.More {
		words = append(words, twinPair(0, n))
	}
	return twinDigest(twinPrime3, words...)
}

// twinPair is a word of two halves.
func twinPair(high uint32, low int32) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], high)
	binary.BigEndian.PutUint32(b[4:], uint32(low))
	return binary.BigEndian.Uint64(b[:])
}

func twinWords(b []byte) (words []uint64) {
	for ; len(b) > 0; b = b[8:] {
		words = append(words, binary.LittleEndian.Uint64(b))
	}
	return words
}

// The primes of the specification of XXH64.
const (
	twinPrime1 = 11400714785074694791
	twinPrime2 = 14029467366897019727
	twinPrime3 = 1609587929392839161
	twinPrime4 = 9650029242287828579
)

// twinDigest takes the words as XXH64 takes lanes of eight bytes behind its stripes, and ends as it does.
func twinDigest(acc uint64, words ...uint64) uint64 {
	for _, w := range words {
		acc ^= bits.RotateLeft64(w*twinPrime2, 31) * twinPrime1
		acc = bits.RotateLeft64(acc, 27)*twinPrime1 + twinPrime4
	}
	acc = (acc ^ acc>>33) * twinPrime2
	acc = (acc ^ acc>>29) * twinPrime3
	return acc ^ acc>>32
}
