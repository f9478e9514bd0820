package link

import (
	"fmt"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// incoming is the receiving side of one class.
type incoming struct {
	last    uint64 // sequence number
	promise uint64 // the peer has sent this many
	stall   int    // ticks without a frame while some are missing
	total   int    // size of the message in parts; 0: none
	parts   []byte
}

// Send appends the frames of a message to the Output. The message is copied. It fails, with nothing appended and no sequence number taken, if the link is
// down, the message is too large or the class does not exist. The peer will not miss what was refused: a caller who needs it to arrive, or the stream to end, calls Fault.
func (l *Link) Send(class Class, msg []byte, out *Output) error {
	switch {
	case class >= Classes:
		return ErrClass
	case !l.up:
		return ErrDown
	case len(msg) > l.cfg.MaxMessage:
		return ErrTooLarge
	}
	if len(msg) <= l.frame-dataHeader-promises {
		l.data(class, whole, 0, msg, out)
		return nil
	}
	piece := l.frame - dataHeader - promises - 8
	form, rest := first, msg
	out.buf = slices.Grow(out.buf, len(msg)+(len(msg)/piece+1)*(l.frame-piece))
	for len(rest) > 0 {
		n := min(piece, len(rest))
		l.data(class, form, len(msg), rest[:n], out)
		form, rest = part, rest[n:]
	}
	return nil
}

func (l *Link) receiveData(class Class, frame []byte, out *Output) {
	d, ok := parseData(frame)
	if !ok || d.class != class {
		return
	}
	if !l.isUp(d.yours, d.mine) && !(mutant.On("old-connection") && l.up && class == Log) {
		if l.candidate == (Nonce{}) || d.yours != l.candidate.short() {
			l.deny(d.yours, d.mine, out)
			return
		}
		// The peer is in a stream with our candidate: the data has overtaken its confirm. If the beginning is missing, it
		// may still come.
		if l.pause > 0 || l.heard == (Nonce{}) || d.mine != l.heard.short() || differ(l.stated, l.cfg.Ensemble) || class != Control && d.seq != 1 {
			return
		}
		l.establish(l.heard, l.stated, out)
	}
	if l.ensemble == l.cfg.Ensemble {
		l.confirmed = true // as good as ready; but the news of SetEnsemble only ready confirms
	}
	in := &l.recv[class]
	if d.seq <= in.last {
		return
	}
	follows := d.seq == in.last+1
	if !follows && class != Control {
		l.Reset(out)
		return
	}
	in.last, in.stall = d.seq, 0
	if class == Control {
		l.recv[Log].promise = max(l.recv[Log].promise, d.log)
		l.recv[Bulk].promise = max(l.recv[Bulk].promise, d.bulk)
	}
	l.assemble(class, in, d, follows, out)
}

// assemble delivers a message, or adds to the one that comes in parts.
func (l *Link) assemble(class Class, in *incoming, d data, follows bool, out *Output) {
	if d.form == part && class == Control && (in.total == 0 || !follows) {
		in.total, in.parts = 0, nil // its beginning was lost, so the rest is of no use
		return
	}
	if d.form == whole {
		if in.total != 0 && class != Control {
			l.Fault(out)
			return
		}
		in.total, in.parts = 0, nil
		if len(d.body) > l.cfg.MaxMessage {
			l.refuseSize(out)
			return
		}
		out.Messages = append(out.Messages, Message{class, d.body})
		return
	}
	if d.form == first {
		if in.total != 0 && class != Control {
			l.Fault(out)
			return
		}
		if d.total > uint64(l.cfg.MaxMessage) {
			l.refuseSize(out)
			return
		}
		in.total = int(d.total)
		in.parts = nil
	}
	if in.total == 0 || len(d.body) == 0 || len(d.body) > in.total-len(in.parts) {
		l.Fault(out)
		return
	}
	if need := len(in.parts) + len(d.body); need > cap(in.parts) {
		// Memory is taken as the parts come, whatever the first one says.
		grown := make([]byte, len(in.parts), min(in.total, max(2*need, 4*MaxFrame)))
		copy(grown, in.parts)
		in.parts = grown
	}
	in.parts = append(in.parts, d.body...)
	if len(in.parts) == in.total {
		out.Messages = append(out.Messages, Message{class, in.parts})
		in.total, in.parts = 0, nil
	}
}

func (l *Link) refuseSize(out *Output) {
	out.Err = fmt.Errorf("%w (peer %d)", ErrTooLarge, l.peer)
	l.Fault(out)
}
