package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

const (
	magic     = "ensemble"
	version   = 1 // spoken, and the least that is understood
	headBytes = len(magic) + 4
	bodyBytes = 3 + 4*8
	maxBody   = 512 // of later versions
)

type kind uint8

const (
	hello kind = 1 + iota
	answer
)

// verdict is what an acceptor has decided about a hello.
type verdict uint8

const (
	admitted    verdict = iota
	crossed             // the acceptor's own dial goes before
	stale               // the dial has been overtaken
	wrongMember         // the hello names another member than the acceptor, or the acceptor itself
	impostor            // the certificate does not speak for the sender
	wrongVersion
	strangers // too many ids that are not among the peers
	ending    // the acceptor is being closed
)

func (v verdict) String() string {
	names := [...]string{"admitted", "crossed", "stale", "names another member", "the certificate does not speak for this member", "version not understood",
		"too many unknown members", "being closed"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// greeting is a hello or an answer.
type greeting struct {
	version   uint16
	kind      kind
	class     transport.Class
	verdict   verdict
	from, to  quorum.ID
	run, dial uint64
}

func (g *greeting) append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, g.version)
	b = binary.BigEndian.AppendUint16(b, uint16(bodyBytes))
	b = append(b, byte(g.kind), byte(g.class), byte(g.verdict))
	for _, v := range [...]uint64{uint64(g.from), uint64(g.to), g.run, g.dial} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

var (
	errForeign = errors.New("does not speak the ensemble protocol")
	errSilent  = errors.New("closed without a word")
)

// read reads a greeting, and not one byte more.
func (g *greeting) read(r io.Reader) error {
	var buf [maxBody]byte
	head := buf[:headBytes]
	if n, err := io.ReadFull(r, head); err != nil {
		if n == 0 && err == io.EOF {
			return errSilent
		}
		if string(head[:min(n, len(magic))]) != magic[:min(n, len(magic))] {
			return errForeign
		}
		return err
	}
	if string(head[:len(magic)]) != magic {
		return errForeign
	}
	g.version = binary.BigEndian.Uint16(head[len(magic):])
	length := int(binary.BigEndian.Uint16(head[len(magic)+2:]))
	if length < bodyBytes || length > maxBody {
		return fmt.Errorf("%w: a greeting of %d bytes", errForeign, length)
	}
	body := buf[:length]
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	g.kind, g.class, g.verdict = kind(body[0]), transport.Class(body[1]), verdict(body[2])
	g.from, g.to = quorum.ID(binary.BigEndian.Uint64(body[3:])), quorum.ID(binary.BigEndian.Uint64(body[11:]))
	g.run, g.dial = binary.BigEndian.Uint64(body[19:]), binary.BigEndian.Uint64(body[27:])
	if g.kind != hello && g.kind != answer || g.class >= transport.Classes || g.from == 0 || g.to == 0 {
		return fmt.Errorf("%w: malformed greeting", errForeign)
	}
	return nil
}
