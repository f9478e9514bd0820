package wire

import (
	"math"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The types that most frames are, or that carry bulk: what the library would make of them, without its reflection.

// The least bytes that an element takes.
const (
	leastEntry = 1 + 3 + 1 + 1 + 18
	leastCall  = 1 + 4 + 1 + 1
)

// appendHot reports whether m is one of them.
func appendHot(b []byte, m any) ([]byte, bool) {
	switch m := m.(type) {
	case *zab.Propose:
		b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x94), uint64(m.Session)), uint64(m.Epoch))
		b = msgpack.AppendUint(b, uint64(m.Commit))
		if m.Entries == nil {
			return msgpack.AppendNil(b), true
		}
		b = msgpack.AppendArray(b, len(m.Entries))
		for i := range m.Entries {
			e := &m.Entries[i]
			b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x96), uint64(e.Zxid)), uint64(e.Prev))
			b = msgpack.AppendBytes(msgpack.AppendUint(b, uint64(e.Kind)), e.Data)
			b = msgpack.AppendBytes(msgpack.AppendUint(b, uint64(e.Member)), e.Incarnation[:])
		}
	case *zab.Ack:
		b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x95), uint64(m.Session)), uint64(m.Epoch))
		b = msgpack.AppendBool(msgpack.AppendBool(msgpack.AppendUint(b, uint64(m.Zxid)), m.Joined), m.Counts)
	case *zab.Commit:
		b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x93), uint64(m.Session)), uint64(m.Epoch))
		b = msgpack.AppendUint(b, uint64(m.Commit))
	case *zab.Ping:
		b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x93), uint64(m.Session)), uint64(m.Epoch))
		b = msgpack.AppendUint(b, m.Round)
	case *zab.Pong:
		b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x94), uint64(m.Session)), uint64(m.Epoch))
		b = msgpack.AppendBool(msgpack.AppendUint(b, m.Round), m.Confirms)
	case *zab.Chunk:
		b = msgpack.AppendUint(msgpack.AppendUint(append(b, 0x96), uint64(m.Session)), uint64(m.Index))
		b = msgpack.AppendBool(msgpack.AppendBytes(b, m.Data), m.Last)
		b = msgpack.AppendUint(msgpack.AppendUint(b, m.Length), m.Digest)
	case *core.Forward:
		b = msgpack.AppendBool(msgpack.AppendUint(append(b, 0x95), uint64(m.Owner)), m.Open)
		b = msgpack.AppendUint(msgpack.AppendBytes(b, m.Run[:]), uint64(m.Timeout))
		if m.Calls == nil {
			return msgpack.AppendNil(b), true
		}
		b = msgpack.AppendArray(b, len(m.Calls))
		for i := range m.Calls {
			c := &m.Calls[i]
			b = msgpack.AppendUint(append(b, 0x93, 0x93), c.Name.Session)
			b = msgpack.AppendUint(msgpack.AppendUint(b, uint64(c.Name.Generation)), c.Name.Sequence)
			b = msgpack.AppendBytes(msgpack.AppendUint(b, c.Low), c.Payload)
		}
	default:
		return b, false
	}
	return b, true
}

// hot reports whether t is one of them; m is nil if b is not what appendHot makes.
func (x *Decoder) hot(t byte, b []byte) (m any, ok bool) {
	d := decoder{msgpack.Decoder{B: b}}
	switch t {
	case typePropose:
		d.Expect(4)
		p := &x.propose
		used := recycled(p.Entries)
		*p = zab.Propose{Session: zab.Session(d.Uint()), Epoch: d.uint32(), Commit: zab.Zxid(d.Uint())}
		if n, some := d.Slice(leastEntry); some {
			p.Entries = sized(used, n)
			for i := range p.Entries {
				d.Expect(6)
				e := &p.Entries[i]
				e.Zxid, e.Prev, e.Kind, e.Data = zab.Zxid(d.Uint()), zab.Zxid(d.Uint()), zab.EntryKind(d.uint8()), d.Bytes(math.MaxInt32)
				e.Member, e.Incarnation = quorum.ID(d.Uint()), d.id16()
				if d.Bad {
					break
				}
			}
		}
		m = p
	case typeAck:
		d.Expect(5)
		x.ack = zab.Ack{Session: zab.Session(d.Uint()), Epoch: d.uint32(), Zxid: zab.Zxid(d.Uint()), Joined: d.Bool(), Counts: d.Bool()}
		m = &x.ack
	case typeCommit:
		d.Expect(3)
		x.commit = zab.Commit{Session: zab.Session(d.Uint()), Epoch: d.uint32(), Commit: zab.Zxid(d.Uint())}
		m = &x.commit
	case typePing:
		d.Expect(3)
		x.ping = zab.Ping{Session: zab.Session(d.Uint()), Epoch: d.uint32(), Round: d.Uint()}
		m = &x.ping
	case typePong:
		d.Expect(4)
		x.pong = zab.Pong{Session: zab.Session(d.Uint()), Epoch: d.uint32(), Round: d.Uint(), Confirms: d.Bool()}
		m = &x.pong
	case typeChunk:
		d.Expect(6)
		m = &zab.Chunk{
			Session: zab.Session(d.Uint()), Index: d.uint32(), Data: d.Bytes(math.MaxInt32), Last: d.Bool(),
			Length: d.Uint(), Digest: d.Uint(),
		}
	case typeForward:
		d.Expect(5)
		f := &x.forward
		used := recycled(f.Calls)
		*f = core.Forward{Owner: quorum.ID(d.Uint()), Open: d.Bool(), Run: d.id16(), Timeout: d.uint32()}
		if n, some := d.Slice(leastCall); some {
			f.Calls = sized(used, n)
			for i := range f.Calls {
				d.Expect(3)
				d.Expect(3)
				c := &f.Calls[i]
				c.Name = core.Name{Session: d.Uint(), Generation: d.uint32(), Sequence: d.Uint()}
				c.Low, c.Payload = d.Uint(), d.Bytes(math.MaxInt32)
				if d.Bad {
					break
				}
			}
		}
		m = f
	default:
		return nil, false
	}
	if !d.Done() {
		return nil, true
	}
	return m, true
}

// recycled returns the memory of s for the next message, empty, unless it is too much to keep.
func recycled[T any](s []T) []T {
	if cap(s) > 1024 {
		return nil
	}
	clear(s)
	return s[:0]
}

func sized[T any](used []T, n int) []T {
	if n > cap(used) {
		return make([]T, n)
	}
	if used == nil {
		return []T{}
	}
	return used[:n]
}

type decoder struct{ msgpack.Decoder }

func (d *decoder) uint32() uint32 { return uint32(d.UintTo(math.MaxUint32)) }

func (d *decoder) uint8() uint8 { return uint8(d.UintTo(math.MaxUint8)) }

func (d *decoder) id16() (id [16]byte) {
	if p := d.Bytes(len(id)); len(p) == len(id) {
		copy(id[:], p)
	} else {
		d.Fail()
	}
	return id
}
