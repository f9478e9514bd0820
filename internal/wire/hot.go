package wire

import (
	"github.com/ensemble-go/ensemble/internal/core"
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
		b = appendUint(appendUint(append(b, 0x94), uint64(m.Session)), uint64(m.Epoch))
		b = appendUint(b, uint64(m.Commit))
		if m.Entries == nil {
			return appendNil(b), true
		}
		b = appendArray(b, len(m.Entries))
		for i := range m.Entries {
			e := &m.Entries[i]
			b = appendUint(appendUint(append(b, 0x96), uint64(e.Zxid)), uint64(e.Prev))
			b = appendBytes(appendUint(b, uint64(e.Kind)), e.Data)
			b = appendBytes(appendUint(b, uint64(e.Member)), e.Incarnation[:])
		}
	case *zab.Ack:
		b = appendUint(appendUint(append(b, 0x95), uint64(m.Session)), uint64(m.Epoch))
		b = appendBool(appendBool(appendUint(b, uint64(m.Zxid)), m.Joined), m.Counts)
	case *zab.Commit:
		b = appendUint(appendUint(append(b, 0x93), uint64(m.Session)), uint64(m.Epoch))
		b = appendUint(b, uint64(m.Commit))
	case *zab.Ping:
		b = appendUint(appendUint(append(b, 0x93), uint64(m.Session)), uint64(m.Epoch))
		b = appendUint(b, m.Round)
	case *zab.Pong:
		b = appendUint(appendUint(append(b, 0x94), uint64(m.Session)), uint64(m.Epoch))
		b = appendBool(appendUint(b, m.Round), m.Confirms)
	case *zab.Chunk:
		b = appendUint(appendUint(append(b, 0x96), uint64(m.Session)), uint64(m.Index))
		b = appendBool(appendBytes(b, m.Data), m.Last)
		b = appendUint(appendUint(b, m.Length), m.Digest)
	case *core.Forward:
		b = appendBool(appendUint(append(b, 0x94), uint64(m.Owner)), m.Open)
		b = appendBytes(b, m.Run[:])
		if m.Calls == nil {
			return appendNil(b), true
		}
		b = appendArray(b, len(m.Calls))
		for i := range m.Calls {
			c := &m.Calls[i]
			b = appendUint(append(b, 0x93, 0x93), c.Name.Session)
			b = appendUint(appendUint(b, uint64(c.Name.Generation)), c.Name.Sequence)
			b = appendBytes(appendUint(b, c.Low), c.Payload)
		}
	default:
		return b, false
	}
	return b, true
}

// hot reports whether t is one of them; m is nil if b is not what appendHot makes.
func (x *Decoder) hot(t byte, b []byte) (m any, ok bool) {
	d := decoder{b: b}
	switch t {
	case typePropose:
		d.expect(4)
		p := &x.propose
		used := recycled(p.Entries)
		*p = zab.Propose{Session: zab.Session(d.uint()), Epoch: d.uint32(), Commit: zab.Zxid(d.uint())}
		if n, some := d.slice(leastEntry); some {
			p.Entries = sized(used, n)
			for i := range p.Entries {
				d.expect(6)
				e := &p.Entries[i]
				e.Zxid, e.Prev, e.Kind, e.Data = zab.Zxid(d.uint()), zab.Zxid(d.uint()), zab.EntryKind(d.uint8()), d.bytes()
				e.Member, e.Incarnation = quorum.ID(d.uint()), d.id16()
				if d.bad {
					break
				}
			}
		}
		m = p
	case typeAck:
		d.expect(5)
		x.ack = zab.Ack{Session: zab.Session(d.uint()), Epoch: d.uint32(), Zxid: zab.Zxid(d.uint()), Joined: d.bool(), Counts: d.bool()}
		m = &x.ack
	case typeCommit:
		d.expect(3)
		x.commit = zab.Commit{Session: zab.Session(d.uint()), Epoch: d.uint32(), Commit: zab.Zxid(d.uint())}
		m = &x.commit
	case typePing:
		d.expect(3)
		x.ping = zab.Ping{Session: zab.Session(d.uint()), Epoch: d.uint32(), Round: d.uint()}
		m = &x.ping
	case typePong:
		d.expect(4)
		x.pong = zab.Pong{Session: zab.Session(d.uint()), Epoch: d.uint32(), Round: d.uint(), Confirms: d.bool()}
		m = &x.pong
	case typeChunk:
		d.expect(6)
		m = &zab.Chunk{
			Session: zab.Session(d.uint()), Index: d.uint32(), Data: d.bytes(), Last: d.bool(),
			Length: d.uint(), Digest: d.uint(),
		}
	case typeForward:
		d.expect(4)
		f := &x.forward
		used := recycled(f.Calls)
		*f = core.Forward{Owner: quorum.ID(d.uint()), Open: d.bool(), Run: d.id16()}
		if n, some := d.slice(leastCall); some {
			f.Calls = sized(used, n)
			for i := range f.Calls {
				d.expect(3)
				d.expect(3)
				c := &f.Calls[i]
				c.Name = core.Name{Session: d.uint(), Generation: d.uint32(), Sequence: d.uint()}
				c.Low, c.Payload = d.uint(), d.bytes()
				if d.bad {
					break
				}
			}
		}
		m = f
	default:
		return nil, false
	}
	if d.bad || len(d.b) != 0 {
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
