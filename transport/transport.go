package transport

import (
	"errors"

	"github.com/ensemble-go/ensemble/quorum"
)

// Class separates frames that must not wait for each other.
type Class uint8

// The classes. There is no order between frames of different classes.
const (
	// Control is for heartbeats and votes: small, and late is as bad as lost.
	Control Class = iota
	// Log is for the protocol's own stream: proposals, acknowledgements, requests and their answers.
	Log
	// Bulk is for snapshots. They must not delay a heartbeat.
	Bulk
)

// Classes is the number of classes: every Class is below it.
const Classes = 3

// String returns "control", "log" or "bulk".
func (c Class) String() string {
	switch c {
	case Control:
		return "control"
	case Log:
		return "log"
	case Bulk:
		return "bulk"
	}
	return "unknown class"
}

const (
	// MaxFrame is the size in bytes of the largest frame. The library splits what is larger; a transport may drop a
	// frame beyond it.
	MaxFrame = 512 << 10

	// QueueBytes is how much a transport should hold for one peer, in bytes and over all classes, before it drops.
	QueueBytes = 8 << 20
)

// The errors of Start. Those that a transport returns may wrap them.
var (
	// ErrClosed says that the transport is closed.
	ErrClosed = errors.New("transport: closed")
	// ErrStarted says that Start was called before.
	ErrStarted = errors.New("transport: already started")
	// ErrID says that the transport was made for another id.
	ErrID = errors.New("transport: made for another id")
	// ErrInUse says that another live transport has the id.
	ErrInUse = errors.New("transport: id is in use")
)

// Handler takes what a transport delivers. Its methods may be called from many goroutines at once, from the moment that
// Start is called (even before it has returned) until Close returns. They never block.
type Handler interface {
	// Receive takes a frame that the member from has sent. The frame is lent until Receive returns, and is read-only:
	// it must neither be kept nor changed.
	Receive(from quorum.ID, class Class, frame []byte)

	// Lost is a hint that the peer, or the way to it, may be gone. It speeds detection, may be wrong, may be missing,
	// and is never needed for safety.
	Lost(peer quorum.ID)
}

// Transport moves frames between members, best effort. All but Start may be called from many goroutines at once.
//
// The interface never gains methods; new abilities come as interfaces of their own, which a transport may have.
type Transport interface {
	// Start begins to deliver to h, as the member self. It is called once; it refuses a second call, a call after
	// Close, and an id other than the one that the transport was made for. A second call is ErrStarted before anything else is looked at, and changes
	// nothing: the transport belongs to the first caller, and who is given that error leaves it alone.
	Start(self quorum.ID, h Handler) error

	// SetPeers tells the addresses of all members, this one too, whenever they have changed: after Start, and at any
	// time beside Send. The map belongs to the transport from then on; the caller does not touch it again. What an address looks like is
	// the transport's affair.
	//
	// Frames from an authenticated id that is not among the peers are delivered like any other, and Send reaches that id
	// by the connection on which they came.
	SetPeers(addrs map[quorum.ID]string)

	// Send sends the frame, best effort: it may be dropped, repeated, delayed or overtaken. Send never blocks and never
	// fails; before Start and after Close it does nothing. The frame is lent until Send returns: the transport copies what it keeps
	// and changes nothing.
	Send(to quorum.ID, class Class, frame []byte)

	// Close lets go of everything. When it has returned, the Handler is not called any more and no goroutine is left. It is idempotent, may be
	// called before Start, and must not be called from within a method of the Handler, which it waits for.
	Close() error
}
