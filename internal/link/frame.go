package link

import (
	"encoding/binary"

	"github.com/ensemble-go/ensemble/quorum"
)

// A handshake is
//
//	kind 1 | version 1 | from 8 | to 8 | mine 16 | yours 16 | ensemble 16 | length of name 1 | name | members 16
//
// and what follows is left for later versions. The version is the newest that the sender speaks; both use the older one of the two.
//
// A frame of data is
//
//	0x80 + class<<4 + form 1 | mine 8 | yours 8 | sequence number 8
//	| last of Log 8 | last of Bulk 8       if the class is Control
//	| size of the message 8                if the form is first
//	| body
//
// Mine is the sender's nonce, yours the receiver's; in data they are cut to 8 bytes. All numbers are big-endian.
const (
	version       = 1
	oldestVersion = 1

	handshakeBytes = 1 + 1 + 8 + 8 + 16 + 16 + 16 + 1 // and the name, and the members
	dataHeader     = 1 + 8 + 8 + 8
	promises       = 8 + 8

	dataFrame = 0x80
)

type kind byte

const (
	hello   kind = 1 + iota // I want a stream
	answer                  // I have heard your hello
	confirm                 // I am in this stream; are you?
	ready                   // I am
	unknown                 // I am not, and shall never be; only the first 8 bytes of the nonces count
	refuse                  // I am not the one you look for
)

type form byte

const (
	whole form = iota
	first
	part
)

type handshake struct {
	kind        kind
	version     byte
	from, to    quorum.ID
	mine, yours Nonce
	ensemble    [16]byte
	name        string
	members     [16]byte
}

func (l *Link) handshake(k kind, mine, yours Nonce, out *Output) {
	start := len(out.buf)
	b := append(out.buf, byte(k), version)
	b = binary.BigEndian.AppendUint64(b, uint64(l.cfg.Self))
	b = binary.BigEndian.AppendUint64(b, uint64(l.peer))
	b = append(b, mine[:]...)
	b = append(b, yours[:]...)
	b = append(b, l.cfg.Ensemble[:]...)
	b = append(b, byte(len(l.cfg.Name)))
	b = append(b, l.cfg.Name...)
	b = append(b, l.cfg.Members[:]...)
	out.buf = b
	out.Frames = append(out.Frames, Frame{Control, b[start:len(b):len(b)]})
}

func parseHandshake(b []byte) (h handshake, ok bool) {
	if len(b) < handshakeBytes || len(b) < handshakeBytes+int(b[handshakeBytes-1]) {
		return h, false
	}
	h.kind, h.version = kind(b[0]), b[1]
	h.from = quorum.ID(binary.BigEndian.Uint64(b[2:]))
	h.to = quorum.ID(binary.BigEndian.Uint64(b[10:]))
	copy(h.mine[:], b[18:])
	copy(h.yours[:], b[34:])
	copy(h.ensemble[:], b[50:])
	end := handshakeBytes + int(b[handshakeBytes-1])
	h.name = string(b[handshakeBytes:end])
	if len(b) >= end+len(h.members) { // it is not there in frames of before the first release that has it
		copy(h.members[:], b[end:])
	}
	return h, h.kind >= hello && h.kind <= refuse
}

type data struct {
	class       Class
	form        form
	mine, yours uint64
	seq         uint64
	log, bulk   uint64
	total       uint64
	body        []byte
}

func (l *Link) data(class Class, f form, total int, body []byte, out *Output) {
	l.send[class]++
	start := len(out.buf)
	b := append(out.buf, dataFrame|byte(class)<<4|byte(f))
	b = append(b, l.ours[:8]...)
	b = append(b, l.theirs[:8]...)
	b = binary.BigEndian.AppendUint64(b, l.send[class])
	if class == Control {
		b = binary.BigEndian.AppendUint64(b, l.send[Log])
		b = binary.BigEndian.AppendUint64(b, l.send[Bulk])
	}
	if f == first {
		b = binary.BigEndian.AppendUint64(b, uint64(total))
	}
	b = append(b, body...)
	out.buf = b
	out.Frames = append(out.Frames, Frame{class, b[start:len(b):len(b)]})
}

func parseData(b []byte) (d data, ok bool) {
	if len(b) < dataHeader {
		return d, false
	}
	d.class, d.form = Class(b[0]>>4&7), form(b[0]&15)
	d.mine = binary.BigEndian.Uint64(b[1:])
	d.yours = binary.BigEndian.Uint64(b[9:])
	d.seq = binary.BigEndian.Uint64(b[17:])
	b = b[dataHeader:]
	if d.class >= Classes || d.form > part {
		return d, false
	}
	if d.class == Control {
		if len(b) < promises {
			return d, false
		}
		d.log = binary.BigEndian.Uint64(b)
		d.bulk = binary.BigEndian.Uint64(b[8:])
		b = b[promises:]
	}
	if d.form == first {
		if len(b) < 8 {
			return d, false
		}
		d.total = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	d.body = b[:len(b):len(b)]
	return d, true
}
