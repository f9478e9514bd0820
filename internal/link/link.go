package link

import (
	"encoding/binary"
	"errors"
	"fmt"

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
	// ErrMembers, in Output: the peer's ensemble has other members than this one's, or others of them vote.
	ErrMembers = errors.New("link: peer has another membership")
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
	Members  [16]byte // stands for the membership, on which both sides have to agree; zero matches any

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
