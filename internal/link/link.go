package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// Class separates messages between which there is no order. The values are those of transport.Class.
type Class uint8

// The classes.
const (
	Control Class = iota // a gap is allowed: each message is complete in itself
	Log                  // in order, or reset
	Bulk                 // in order, or reset
)

// Classes is the number of classes: every Class is below it.
const Classes = 3

const (
	// MaxFrame is the size of the largest frame that a link makes or takes; it is transport.MaxFrame.
	MaxFrame = 512 << 10
	// MaxName is the size of the longest name, in bytes.
	MaxName = 255
	// DefaultMaxMessage is what Config.MaxMessage is if it is zero.
	DefaultMaxMessage = 64 << 20
	// DefaultStallTicks is what Config.StallTicks is if it is zero: three seconds.
	DefaultStallTicks = 60
	// retryTicks is the longest time between two repeats of an opening.
	retryTicks = 4
	// The pause after a fault is firstPause ticks at most, and twice as long after each further one, up to mostPause: between half and all of that.
	// A stream that lasts calmTicks ends the row.
	firstPause = 4
	mostPause  = 64
	calmTicks  = 128
)

var (
	// ErrDown is returned by Send when no stream is up.
	ErrDown = errors.New("link: down")
	// ErrTooLarge is returned by Send for a message above Config.MaxMessage; in Output, the peer has sent one.
	ErrTooLarge = errors.New("link: message too large")
	// ErrClass is returned by Send for a class that does not exist.
	ErrClass = errors.New("link: no such class")
	// ErrEnsemble, in Output: the peer belongs to an ensemble with another id.
	ErrEnsemble = errors.New("link: peer belongs to another ensemble")
	// ErrName, in Output: the peer belongs to an ensemble with another name.
	ErrName = errors.New("link: peer's ensemble has another name")
	// ErrMember, in Output: the peer takes itself, or this member, for another one.
	ErrMember = errors.New("link: peer has another member id")
	// ErrVersion, in Output: the peer speaks no version of the format that this member knows.
	ErrVersion = errors.New("link: peer speaks another version")
	// ErrNonce, in Output: Config.Nonce is missing, gave zero or repeated itself.
	ErrNonce = errors.New("link: bad nonce")
)

// Nonce is one side's number of a stream. Zero stands for none.
type Nonce [16]byte

func (n Nonce) short() uint64 { return binary.BigEndian.Uint64(n[:8]) }

func long(short uint64) (n Nonce) {
	binary.BigEndian.PutUint64(n[:], short)
	return n
}

// Config is what a link has to know.
type Config struct {
	Self     quorum.ID
	Name     string   // of the ensemble; New cuts it to MaxName bytes
	Ensemble [16]byte // zero: none yet, matches any

	// MaxMessage is the size of the largest message, sent or received; 0 is DefaultMaxMessage.
	MaxMessage int

	// LargestFrame is the size of the largest frame that Send makes, at least 256; 0 is MaxFrame. Of the peer, any is taken.
	LargestFrame int

	// StallTicks is for how many ticks nothing may come of Log or Bulk while something of it is known to be missing; then
	// the link resets. A frame must not take longer than that on the slowest network. 0 is DefaultStallTicks.
	StallTicks int

	// Nonce draws a number that was never drawn before and that nobody can foresee: in production from crypto/rand, never
	// from a seed. All 16 bytes must be random: some frames carry only the first 8. A method of Link calls it at most once, and only when the number will be used.
	Nonce func() Nonce
}

// Output is what a link wants done. Calls append to it. If several streams began and ended in it, only the last one is left, so that it always
// reads: first Reset, then Up, then Messages, with Frames for the transport in any case.
type Output struct {
	// Frames are to be sent to the peer, in order. Their bytes belong to the Output, until Clear.
	Frames []Frame
	// Reset says that the stream that was up has ended. What was sent in it may or may not have arrived.
	Reset bool
	// Up says that a new stream has begun in both directions, and is still up.
	Up bool
	// Messages are what the peer has sent in the stream that is up. The bytes of one that fitted into a frame are those of the
	// frame given to Receive, lent for as long as that is; larger ones belong to the receiver.
	Messages []Message
	// Err says why the link stays down, or why it was reset, if the peer is not the one that it should be.
	Err error

	buf []byte
}

// Frame is to be sent in its class.
type Frame struct {
	Class Class
	Bytes []byte
}

// Message is a message received.
type Message struct {
	Class Class
	Bytes []byte
}

// Clear empties the Output for reuse.
func (o *Output) Clear() {
	clear(o.Frames)
	clear(o.Messages)
	o.Frames, o.Messages = o.Frames[:0], o.Messages[:0]
	o.Reset, o.Up, o.Err = false, false, nil
	if cap(o.buf) > 4<<20 {
		o.buf = nil
	}
	o.buf = o.buf[:0]
}

// Link is one side's view of the streams with one peer. It is not safe for use by several goroutines.
type Link struct {
	cfg  Config
	peer quorum.ID

	// The opening.
	candidate Nonce    // ours, for the next stream
	last      Nonce    // the candidate before, to notice a Config.Nonce that repeats itself
	heard     Nonce    // the peer's, as of its last hello
	stated    [16]byte // the peer's ensemble, as of the same
	opening   bool     // we say hello until there is a stream
	wait      int      // ticks until the next repeat
	gap       int      // ticks between repeats

	// What the peer's faults have led to.
	faults int // in a row
	pause  int // ticks in which this side neither opens nor answers

	// The stream that is up.
	up        bool
	confirmed bool // the peer has shown that it is up too
	ours      Nonce
	theirs    Nonce
	ensemble  [16]byte // the peer's, as it stated last
	age       int      // ticks since it is up
	send      [Classes]uint64
	recv      [Classes]incoming

	frame int // MaxFrame, or less in tests

	said bool // unknown or refuse was sent in this tick
}

// incoming is the receiving side of one class.
type incoming struct {
	last    uint64 // sequence number
	promise uint64 // the peer has sent this many
	stall   int    // ticks without a frame while some are missing
	total   int    // size of the message in parts; 0: none
	parts   []byte
}

// New returns a link to the peer, down until Open or until the peer opens it. Without
// Config.Nonce it stays down, with ErrNonce.
func New(cfg Config, peer quorum.ID) *Link {
	if cfg.Nonce == nil {
		cfg.Nonce = func() Nonce { return Nonce{} }
	}
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = DefaultMaxMessage
	}
	if cfg.StallTicks <= 0 {
		cfg.StallTicks = DefaultStallTicks
	}
	if len(cfg.Name) > MaxName {
		cfg.Name = cfg.Name[:MaxName]
	}
	frame := MaxFrame
	if cfg.LargestFrame > 0 {
		frame = min(max(cfg.LargestFrame, 256), MaxFrame)
	}
	return &Link{cfg: cfg, peer: peer, frame: frame}
}

// Peer returns the id of the peer.
func (l *Link) Peer() quorum.ID { return l.peer }

// Up reports whether a stream is up, so that Send may be used.
func (l *Link) Up() bool { return l.up }

// SetEnsemble sets the id of the ensemble, once it is known. If a stream is up it goes on, unless the peer has stated, or states now, another id.
func (l *Link) SetEnsemble(id [16]byte, out *Output) {
	if id == l.cfg.Ensemble {
		return
	}
	l.cfg.Ensemble = id
	if !l.up {
		return
	}
	if differ(id, l.ensemble) {
		l.fail(ErrEnsemble, out)
		return
	}
	l.confirmed = false // the confirm, repeated until it is answered, tells the peer
	l.confirm(out)
}

// Open says hello to the peer, and Tick repeats it until there is a stream. A stream that is up stays so until the new one takes its
// place.
func (l *Link) Open(out *Output) {
	if l.pause > 0 || !l.draw(out) {
		return
	}
	l.opening = true
	l.gap, l.wait = 1, 1
	l.handshake(hello, l.candidate, Nonce{}, out)
}

// Reset ends the stream that is up, if there is one, and opens the next. The peer learns of it by the hello.
func (l *Link) Reset(out *Output) {
	l.down(out)
	l.Open(out)
}

// Fault ends the stream that is up because of what was to be sent or has come in it: in the next one that would most likely happen again, and as fast as the
// peer answers. So there is a pause before this side opens the next one, or takes part in one that the peer opens.
func (l *Link) Fault(out *Output) {
	if !l.up {
		return
	}
	l.down(out)
	l.opening = false
	longest := min(firstPause<<min(l.faults, 16), mostPause)
	l.faults++
	l.pause = longest/2 + int(l.last[len(l.last)-1])%(longest/2+1) // the nonce is as good as any chance
}

// Tick is to be called every 50 milliseconds.
func (l *Link) Tick(out *Output) {
	l.said = false
	if l.pause > 0 {
		if l.pause--; l.pause == 0 {
			l.Open(out)
		}
		return
	}
	if l.up {
		if l.age++; l.age >= calmTicks {
			l.faults = 0
		}
		for c := Log; c <= Bulk; c++ {
			in := &l.recv[c]
			if in.last >= in.promise {
				in.stall = 0
				continue
			}
			if in.stall++; in.stall >= l.cfg.StallTicks {
				l.Reset(out)
				return
			}
		}
	}
	if !l.opening && (!l.up || l.confirmed) {
		return
	}
	if l.wait--; l.wait > 0 {
		return
	}
	l.gap = min(2*l.gap, retryTicks)
	l.wait = l.gap
	if l.up && !l.confirmed {
		l.handshake(confirm, l.ours, l.theirs, out)
	}
	if l.opening {
		l.handshake(hello, l.candidate, Nonce{}, out)
	}
}

// draw sees to it that there is a candidate. A candidate is kept until it has become part of a stream.
func (l *Link) draw(out *Output) bool {
	if l.candidate != (Nonce{}) {
		return true
	}
	n := l.cfg.Nonce()
	if n == (Nonce{}) || n == l.last {
		out.Err = ErrNonce
		return false
	}
	l.candidate, l.last = n, n
	return true
}

// establish makes the candidate and the peer's nonce the stream that is up.
func (l *Link) establish(theirs Nonce, ensemble [16]byte, out *Output) {
	l.down(out)
	l.ours, l.theirs, l.ensemble = l.candidate, theirs, ensemble
	l.candidate, l.heard = Nonce{}, Nonce{}
	l.opening, l.up, l.confirmed, l.age = false, true, false, 0
	l.gap, l.wait = 1, 1
	out.Up = true
}

func (l *Link) confirm(out *Output) {
	l.gap, l.wait = 1, 1
	l.handshake(confirm, l.ours, l.theirs, out)
}

// down ends the stream that is up.
func (l *Link) down(out *Output) {
	if !l.up {
		return
	}
	l.up, l.confirmed = false, false
	l.ours, l.theirs, l.ensemble = Nonce{}, Nonce{}, [16]byte{}
	l.send = [Classes]uint64{}
	l.recv = [Classes]incoming{}
	out.Reset, out.Up = true, false
	clear(out.Messages)
	out.Messages = out.Messages[:0]
}

// fail ends the stream that is up because of err, and goes on asking: the peer, or this side, may be put right.
func (l *Link) fail(err error, out *Output) {
	out.Err = fmt.Errorf("%w (peer %d)", err, l.peer)
	l.down(out)
	if !l.opening && l.draw(out) {
		l.opening, l.gap, l.wait = true, retryTicks, retryTicks
	}
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

// Receive takes a frame of the class, as the transport delivers it, that the peer has sent. The frame is lent: until Receive returns, or for as long as the
// Messages of the Output are used.
func (l *Link) Receive(class Class, frame []byte, out *Output) {
	if len(frame) == 0 || len(frame) > MaxFrame || class >= Classes {
		return
	}
	if frame[0]&dataFrame != 0 {
		l.receiveData(class, frame, out)
	} else if class == Control {
		l.receiveHandshake(frame, out)
	}
}

func (l *Link) receiveHandshake(frame []byte, out *Output) {
	h, ok := parseHandshake(frame)
	if !ok || l.pause > 0 {
		return
	}
	// What repeats one of our nonces is no older than that nonce.
	wanted := l.candidate != (Nonce{}) && h.yours == l.candidate
	live := l.up && h.yours == l.ours && h.mine == l.theirs

	switch h.kind {
	case unknown:
		if l.isUp(h.yours.short(), h.mine.short()) {
			l.Reset(out)
		}
		return
	case refuse:
		if err := l.mismatch(&h); err != nil && (wanted || live) {
			l.fail(err, out)
		}
		return
	}
	if err := l.mismatch(&h); err != nil {
		switch {
		case wanted || live:
			l.fail(err, out)
		case h.kind == hello && l.up: // perhaps an old one
		case h.kind == hello:
			out.Err = fmt.Errorf("%w (peer %d)", err, l.peer)
		default:
			return // an old one
		}
		if !l.said {
			l.said = true
			l.handshake(refuse, h.yours, h.mine, out)
		}
		return
	}
	if h.mine == (Nonce{}) {
		return
	}

	switch h.kind {
	case hello:
		if l.up && h.mine == l.theirs {
			if !l.confirmed { // it has not seen our answer
				l.handshake(confirm, l.ours, l.theirs, out)
			}
			return
		}
		if l.draw(out) {
			l.heard, l.stated = h.mine, h.ensemble
			l.handshake(answer, l.candidate, h.mine, out)
		}
	case answer:
		switch {
		case wanted:
			l.establish(h.mine, h.ensemble, out)
			l.confirm(out)
		case live && !l.confirmed:
			l.handshake(confirm, l.ours, l.theirs, out)
		}
	case confirm:
		switch {
		case wanted:
			l.establish(h.mine, h.ensemble, out)
		case live:
			l.ensemble = merge(l.ensemble, h.ensemble)
		default:
			l.deny(h.yours.short(), h.mine.short(), out)
			return
		}
		l.confirmed = true
		l.handshake(ready, l.ours, l.theirs, out)
	case ready:
		if live {
			l.ensemble = merge(l.ensemble, h.ensemble)
			l.confirmed = true
		}
	}
}

// mismatch says why the peer is not the one that it should be.
func (l *Link) mismatch(h *handshake) error {
	switch {
	case h.version < oldestVersion:
		return ErrVersion
	case h.from != l.peer || h.to != l.cfg.Self:
		return ErrMember
	case h.name != l.cfg.Name:
		return ErrName
	case differ(h.ensemble, l.cfg.Ensemble):
		return ErrEnsemble
	}
	return nil
}

// deny says that the stream is dead on this side. It is not called for one that is up or may still come up: that is what makes it safe for the
// peer to believe it whenever it arrives.
func (l *Link) deny(ours, theirs uint64, out *Output) {
	if !l.said {
		l.said = true
		l.handshake(unknown, long(ours), long(theirs), out)
	}
}

func (l *Link) isUp(ours, theirs uint64) bool {
	return l.up && ours == l.ours.short() && theirs == l.theirs.short()
}

func differ(a, b [16]byte) bool { return a != b && a != [16]byte{} && b != [16]byte{} }

// merge keeps what was stated before if a repeat states nothing.
func merge(old, now [16]byte) [16]byte {
	if now == ([16]byte{}) {
		return old
	}
	return now
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
