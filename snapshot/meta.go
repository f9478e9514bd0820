package snapshot

import (
	"errors"
	"hash/crc32"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// ID names a sequence of chunks. It is drawn at random by whoever makes the first container of it, and copies keep it; two snapshots of one
// zxid may be cut differently. Zero is none.
type ID [16]byte

// Meta tells what a snapshot is of.
type Meta struct {
	ID       ID             // zero: Store draws one
	Ensemble zab.EnsembleID // never zero
	Zxid     zab.Zxid
	// Pos is the position, in the log of this directory, of the record with which the state became what it is: the entry of that zxid, or the last RESET.
	// Positions never step back, so it tells what is older than a RESET, which zxids do not. 0 for a snapshot from elsewhere, of another member or a
	// backup: it is of use only when a RESET names it.
	Pos     uint64
	Created time.Time // to the millisecond; of account to nobody but people
	Spans   []zab.Span
	Members []zab.Readmitted
}

// Info is what header and trailer of a container tell.
type Info struct {
	Meta
	Chunks uint32
	Length uint64 // of all chunks
	Digest uint64 // CRC-64 (ECMA) of all chunks

	File  string // name in the directory; "" for a stream
	Size  int64  // of the container
	Fault error  // why it is of no use, as far as was seen; Zxid is then that of the name, and the rest may be missing
}

// Snapshot returns what a log's RESET and a machine's start want to know, without the chunks.
func (i *Info) Snapshot() *zab.Snapshot {
	return &zab.Snapshot{Zxid: i.Zxid, Spans: slices.Clone(i.Spans), Length: i.Length, Digest: i.Digest, Members: slices.Clone(i.Members)}
}

func (m *Meta) check() error {
	switch {
	case m.Ensemble == zab.EnsembleID{}:
		return errors.New("snapshot: Ensemble is required")
	case m.size() > maxHeader:
		return errors.New("snapshot: too many spans or members")
	case !m.ordered():
		return errors.New("snapshot: the spans are not those of a history up to the zxid")
	}
	return nil
}

// millis returns what a header keeps of a time.
func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// ordered reports whether the spans rise and end with the zxid, or before it.
func (m *Meta) ordered() bool {
	for i, s := range m.Spans {
		if i > 0 && s.Epoch <= m.Spans[i-1].Epoch || zab.MakeZxid(s.Epoch, s.Last) > m.Zxid {
			return false
		}
	}
	return true
}

// size is that of the header.
func (m *Meta) size() int64 {
	return fixedSize + spanSize*int64(len(m.Spans)) + memberSize*int64(len(m.Members)) + sumSize
}

// encode returns the header. Its checksum is the seed of all others: no chunk of another container has a place in this one.
func (m *Meta) encode(version uint16) []byte {
	b := make([]byte, m.size())
	copy(b, magic)
	le.PutUint16(b[8:], version)
	le.PutUint16(b[10:], ^version)
	le.PutUint32(b[12:], uint32(len(b)))
	copy(b[16:32], m.Ensemble[:])
	copy(b[32:48], m.ID[:])
	le.PutUint64(b[48:], uint64(m.Zxid))
	le.PutUint64(b[56:], m.Pos)
	le.PutUint64(b[64:], uint64(m.Created.UnixMilli()))
	le.PutUint32(b[72:], uint32(len(m.Spans)))
	le.PutUint32(b[76:], uint32(len(m.Members)))
	at := fixedSize
	for _, s := range m.Spans {
		le.PutUint32(b[at:], s.Epoch)
		le.PutUint32(b[at+4:], s.Last)
		at += spanSize
	}
	for _, r := range m.Members {
		le.PutUint64(b[at:], uint64(r.Member))
		copy(b[at+8:], r.Incarnation[:])
		at += memberSize
	}
	le.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
	return b
}

// headerSize checks what is common to all versions and returns the length of the whole header. A version that cannot be read is no damage.
func headerSize(b []byte, newest uint16) (size int64, version uint16, why string) {
	version = le.Uint16(b[8:])
	size = int64(le.Uint32(b[12:]))
	switch {
	case string(b[:8]) != magic:
		return 0, 0, "no such header"
	case le.Uint16(b[10:]) != ^version:
		return 0, 0, "damaged version"
	case !readable(version, newest):
		return 0, version, ""
	case size < fixedSize+sumSize || size > maxHeader:
		return 0, 0, "damaged header"
	}
	return size, version, ""
}

// decode reads a whole header and returns the seed.
func (m *Meta) decode(b []byte) (seed uint32, ok bool) {
	end := len(b) - sumSize
	seed = le.Uint32(b[end:])
	spans, members := int64(le.Uint32(b[72:])), int64(le.Uint32(b[76:]))
	if seed != crc32.Checksum(b[:end], castagnoli) || int64(end) != fixedSize+spanSize*spans+memberSize*members {
		return 0, false
	}
	copy(m.Ensemble[:], b[16:])
	copy(m.ID[:], b[32:])
	m.Zxid, m.Pos = zab.Zxid(le.Uint64(b[48:])), le.Uint64(b[56:])
	m.Created = millis(time.UnixMilli(int64(le.Uint64(b[64:]))))
	if spans > 0 {
		m.Spans = make([]zab.Span, spans)
	}
	if members > 0 {
		m.Members = make([]zab.Readmitted, members)
	}
	at := fixedSize
	for i := range m.Spans {
		m.Spans[i] = zab.Span{Epoch: le.Uint32(b[at:]), Last: le.Uint32(b[at+4:])}
		at += spanSize
	}
	for i := range m.Members {
		m.Members[i].Member = quorum.ID(le.Uint64(b[at:]))
		copy(m.Members[i].Incarnation[:], b[at+8:])
		at += memberSize
	}
	return seed, m.Ensemble != zab.EnsembleID{} && m.ordered()
}

// same reports whether both are of the same sequence of chunks, for sure.
func (m *Meta) same(n *Meta) bool {
	return m.ID != ID{} && m.ID == n.ID && m.Ensemble == n.Ensemble && m.Zxid == n.Zxid && slices.Equal(m.Spans, n.Spans) && slices.Equal(m.Members, n.Members)
}
