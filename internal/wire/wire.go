package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/zab"
)

// ErrMalformed is given for bytes that Append never made.
var ErrMalformed = errors.New("wire: malformed message")

// version is the format of all types so far.
const version = 1

// The types on the wire: never reused, never renumbered.
const (
	typeFollowerInfo = 1
	typeLeaderInfo   = 2
	typeAckEpoch     = 3
	typeRefuse       = 4
	typeSync         = 5
	typeFetch        = 6
	typeChunk        = 7
	typeInstalled    = 8
	typePropose      = 9
	typeNewLeader    = 10
	typeAck          = 11
	typeUpToDate     = 12
	typeCommit       = 13
	typePing         = 14
	typePong         = 15
	typeHandover     = 16
	typeNotification = 32
	typeBirth        = 33
	typeForward      = 34
	typeSyncAsk      = 35
	typeSyncAnswer   = 36
	typeCompared     = 37
	typeReinstall    = 38
	typeRenew        = 39
	typeRenewed      = 40
)

// typeOf returns 0 for what is no message.
func typeOf(m any) byte {
	switch m.(type) {
	case *zab.FollowerInfo:
		return typeFollowerInfo
	case *zab.LeaderInfo:
		return typeLeaderInfo
	case *zab.AckEpoch:
		return typeAckEpoch
	case *zab.Refuse:
		return typeRefuse
	case *zab.Sync:
		return typeSync
	case *zab.Fetch:
		return typeFetch
	case *zab.Chunk:
		return typeChunk
	case *zab.Installed:
		return typeInstalled
	case *zab.Propose:
		return typePropose
	case *zab.NewLeader:
		return typeNewLeader
	case *zab.Ack:
		return typeAck
	case *zab.UpToDate:
		return typeUpToDate
	case *zab.Commit:
		return typeCommit
	case *zab.Ping:
		return typePing
	case *zab.Pong:
		return typePong
	case *zab.Handover:
		return typeHandover
	case *election.Notification:
		return typeNotification
	case *core.Birth:
		return typeBirth
	case *core.Forward:
		return typeForward
	case *core.SyncAsk:
		return typeSyncAsk
	case *core.SyncAnswer:
		return typeSyncAnswer
	case *core.Compared:
		return typeCompared
	case *core.Reinstall:
		return typeReinstall
	case *core.Renew:
		return typeRenew
	case *core.Renewed:
		return typeRenewed
	}
	return 0
}

// blank returns a new message of type t, nil if there is none.
func blank(t byte) any {
	switch t {
	case typeFollowerInfo:
		return new(zab.FollowerInfo)
	case typeLeaderInfo:
		return new(zab.LeaderInfo)
	case typeAckEpoch:
		return new(zab.AckEpoch)
	case typeRefuse:
		return new(zab.Refuse)
	case typeSync:
		return new(zab.Sync)
	case typeFetch:
		return new(zab.Fetch)
	case typeChunk:
		return new(zab.Chunk)
	case typeInstalled:
		return new(zab.Installed)
	case typePropose:
		return new(zab.Propose)
	case typeNewLeader:
		return new(zab.NewLeader)
	case typeAck:
		return new(zab.Ack)
	case typeUpToDate:
		return new(zab.UpToDate)
	case typeCommit:
		return new(zab.Commit)
	case typePing:
		return new(zab.Ping)
	case typePong:
		return new(zab.Pong)
	case typeHandover:
		return new(zab.Handover)
	case typeNotification:
		return new(election.Notification)
	case typeBirth:
		return new(core.Birth)
	case typeForward:
		return new(core.Forward)
	case typeSyncAsk:
		return new(core.SyncAsk)
	case typeSyncAnswer:
		return new(core.SyncAnswer)
	case typeCompared:
		return new(core.Compared)
	case typeReinstall:
		return new(core.Reinstall)
	case typeRenew:
		return new(core.Renew)
	case typeRenewed:
		return new(core.Renewed)
	}
	return nil
}

// Append appends the encoding of m, a core.Message, to b.
func Append(b []byte, m any) ([]byte, error) {
	t := typeOf(m)
	if t == 0 {
		return b, fmt.Errorf("wire: %T is no message", m)
	}
	head := append(b, t, version)
	if out, ok := appendHot(head, m); ok {
		return out, nil
	}
	c := codecs.Get().(*libraryCodec)
	defer codecs.Put(c)
	if err := c.encode(m); err != nil {
		return b, fmt.Errorf("wire: %T: %w", m, err)
	}
	return append(head, c.buf...), nil
}

// Decode is the inverse of Append. What it returns may alias b.
func Decode(b []byte) (any, error) { return new(Decoder).Decode(b) }

// Decoder decodes one message after the other, and makes no new one of the hot types each time. The zero value is ready.
type Decoder struct {
	propose zab.Propose
	ack     zab.Ack
	commit  zab.Commit
	ping    zab.Ping
	pong    zab.Pong
	forward core.Forward
}

// Decode is like the function of that name, but a message of a hot type, with its slices, is valid until the next one only.
func (x *Decoder) Decode(b []byte) (any, error) {
	if len(b) < 2 {
		return nil, ErrMalformed
	}
	t, body := b[0], b[2:]
	if b[1] != version {
		return nil, fmt.Errorf("wire: type %d has unknown version %d", t, b[1])
	}
	m, ok := x.hot(t, body)
	if ok {
		if m == nil {
			return nil, ErrMalformed
		}
		return m, nil
	}
	if m = blank(t); m == nil {
		return nil, fmt.Errorf("wire: unknown type %d", t)
	}
	if !plain(body) {
		return nil, ErrMalformed
	}
	c := codecs.Get().(*libraryCodec)
	defer codecs.Put(c)
	if err := c.decode(body, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// The library forgives much (longer forms, arrays too short or too long, nil for anything): we do not.
	if err := c.encode(m); err != nil || !bytes.Equal(c.buf, body) {
		return nil, ErrMalformed
	}
	return m, nil
}

var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true} // the present format: bin and str are different things
	h.StructToArray = true
	return h
}()

// libraryCodec is what the library wants to have reused.
type libraryCodec struct {
	enc *codec.Encoder
	dec *codec.Decoder
	buf []byte
}

var codecs = sync.Pool{New: func() any {
	c := &libraryCodec{dec: codec.NewDecoderBytes(nil, handle)}
	c.enc = codec.NewEncoderBytes(&c.buf, handle)
	return c
}}

// encode leaves the encoding of m in c.buf.
func (c *libraryCodec) encode(m any) error {
	if cap(c.buf) > 64<<10 {
		c.buf = nil
	}
	c.buf = c.buf[:0]
	c.enc.ResetBytes(&c.buf)
	return c.enc.Encode(m)
}

func (c *libraryCodec) decode(b []byte, m any) error {
	c.dec.ResetBytes(b)
	err := c.dec.Decode(m)
	c.dec.ResetBytes(nil) // lets go of b
	return err
}

// plain tells whether b is exactly one MessagePack value made of what our messages are made of, without believing any
// length in it: arrays nested at most three deep, unsigned numbers, booleans, nil and bytes. It stands before the library,
// which would follow other things wherever they lead.
func plain(b []byte) bool {
	d := decoder{msgpack.Decoder{B: b}}
	var left [3]int // elements still to come in each array that is open
	depth := 0
	for {
		if len(d.B) == 0 {
			return false
		}
		switch t := d.B[0]; {
		case t&0xf0 == 0x90, t == 0xdc, t == 0xdd:
			n := d.Array()
			if d.Bad || n > len(d.B) || depth == len(left) {
				return false
			}
			left[depth] = n + 1 // this array itself is taken off below
			depth++
		case t < 0x80, 0xcc <= t && t <= 0xcf:
			d.Uint()
		case t == 0xc2, t == 0xc3:
			d.Bool()
		default:
			d.Bytes(math.MaxInt32)
		}
		if d.Bad {
			return false
		}
		for depth > 0 {
			left[depth-1]--
			if left[depth-1] > 0 {
				break
			}
			depth--
		}
		if depth == 0 {
			return len(d.B) == 0
		}
	}
}
