package sim

import (
	"encoding/binary"
	"fmt"

	"github.com/ensemble-go/ensemble/quorum"
)

// A stream is what one end of a link has between Up and Reset. Whatever a machine sends in it is tagged with the stream and its number, and what arrives
// must be of the one stream that the other end has on the same link, in order: all up to some point of Log and Bulk, and nothing older than the last of
// Control.
type stream struct {
	id      uint32
	at      quorum.ID
	to      quorum.ID
	partner *stream     // once a message of it has come here
	sent    [3][]uint64 // hashes
	got     [3]uint32
}

const tagBytes = 8

func (w *World) newStream(n *node, peer quorum.ID) *stream {
	s := &stream{id: uint32(len(w.streams)), at: n.id, to: peer}
	w.streams = append(w.streams, s)
	return s
}

// tag completes a message, whose first bytes are kept free.
func (s *stream) tag(class uint8, msg []byte) {
	binary.BigEndian.PutUint32(msg, s.id)
	binary.BigEndian.PutUint32(msg[4:], uint32(len(s.sent[class])))
	s.sent[class] = append(s.sent[class], hashBytes(msg[tagBytes:]))
}

// takes checks a message that a link delivers in s.
func (s *stream) takes(all []*stream, class uint8, msg []byte) error {
	if len(msg) < tagBytes {
		return fmt.Errorf("inv/Z19: member %d receives %d bytes that nobody sent", s.at, len(msg))
	}
	id, nth := binary.BigEndian.Uint32(msg), binary.BigEndian.Uint32(msg[4:])
	if int(id) >= len(all) || all[id].at != s.to || all[id].to != s.at {
		return fmt.Errorf("inv/Z19: member %d receives from %d what that has not sent to it", s.at, s.to)
	}
	from := all[id]
	if s.partner != nil && s.partner != from || from.partner != nil && from.partner != s {
		return fmt.Errorf("inv/Z19: member %d receives from %d message %d of class %d of another link", s.at, s.to, nth, class)
	}
	s.partner, from.partner = from, s
	if sent := from.sent[class]; int(nth) >= len(sent) || sent[nth] != hashBytes(msg[tagBytes:]) {
		return fmt.Errorf("inv/Z19: member %d receives from %d another message %d of class %d than was sent", s.at, s.to, nth, class)
	}
	if nth < s.got[class] || class != 0 && nth > s.got[class] {
		return fmt.Errorf("inv/Z19: member %d receives from %d message %d of class %d, expected is %d", s.at, s.to, nth, class, s.got[class])
	}
	s.got[class] = nth + 1
	return nil
}

func hashBytes(b []byte) uint64 {
	h := uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}
