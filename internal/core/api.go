package core

import (
	"time"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// Config describes one member.
type Config struct {
	Self        quorum.ID
	Members     []quorum.Member
	Join        bool            // never takes part in a birth
	InitLimit   int             // ticks to join and synchronise
	SyncLimit   int             // ticks without progress before a peer counts as lost
	MaxInFlight int             // requests waiting at this member, session.MaxWindow at most: all have their place in a window; above it ErrOverloaded
	MaxTail     int             // bytes of applied history kept in memory for lagging learners
	Window      int             // bytes sent to a learner and not yet acknowledged
	MaxApply    int             // bytes of entries that one step applies, each counted with 64 more; 0: all that there are
	ChunkSize   int             // bytes of one chunk of a snapshot
	ReadsLog    bool            // the shell has a log to answer Reads from
	MaxCounter  uint32          // of a zxid, before the epoch is renewed in place; 0: the greatest there is
	Incarnation zab.Incarnation // drawn by the shell when there is no mark
	Ensemble    zab.EnsembleID  // used if this member is the founder that draws it
	DigestEvery uint32          // entries from one digest of the state to the next, at least 2; 0: 1024
	Run         zab.Incarnation // names this run of the member: drawn at each start, never again, and not zero
	Tick        time.Duration   // how long a tick is, for the timeouts of sessions; 0: they do not expire here, and nothing is renewed
	Timeout     uint32          // of the member's own session, in milliseconds; 0: it does not expire
	Seed        uint64          // of jitter, and of nothing that must not repeat
}

// Recovered is what a member finds at its start. The zero value is an empty memory.
type Recovered = zab.Recovered

// Input is one stimulus of the machine; the set of its types is closed.
type Input interface{ input() }

// Tick tells that a tick has passed. Wall is the wall clock in milliseconds since 1970. Now is a clock that never steps back: it is handed back
// with what is confirmed of what this tick has sent.
type Tick struct {
	Wall int64
	Now  time.Duration
}

// Receive is a message from a peer's present link.
type Receive struct {
	From    quorum.ID
	Message Message
}

// Linked tells that a new stream to and from Peer begins; all of the former one is dead.
type Linked struct{ Peer quorum.ID }

// Lost tells that the link to Peer ended.
type Lost struct{ Peer quorum.ID }

// Request asks for a write. Payload belongs to the machine from now on.
type Request struct {
	Ticket     uint64
	Session    uint64 // that asks; 0: whatever is the member's own
	Generation uint32
	Payload    []byte
	Wall       int64
}

// GiveUp tells that a session is renewed no more; the member's own is ended, and the next one begins.
type GiveUp struct {
	Session    uint64 // 0: none
	Generation uint32
	Last       bool // this member opens no other of its own
}

// SyncRequest asks for a position, confirmed by a quorum round begun after it, that is then applied here.
type SyncRequest struct{ Ticket uint64 }

// TransferRequest asks the leader to hand over to To; 0 is the most advanced voter.
type TransferRequest struct {
	Ticket uint64
	To     quorum.ID
}

// Persisted tells that all writes up to Upto are durable.
type Persisted struct{ Upto zab.WriteID }

// Taken tells how far the shell has come with the Pieces of a snapshot: all before At is taken over. State is what the state machine decoded, when that is
// all there is. After Err there is nothing of it.
type Taken struct {
	Snapshot *zab.Snapshot
	At       zab.Position
	State    any
	Err      error
}

// Recalled answers a Read; without entries there are none to be had.
type Recalled struct {
	ID      uint64
	Entries []zab.Entry
}

// Continue answers Output.More.
type Continue struct{}

// Failed tells that a write or sync failed: the end of this member's voting life.
type Failed struct{ Err error }

func (*Tick) input()            {}
func (*Receive) input()         {}
func (*Linked) input()          {}
func (*Lost) input()            {}
func (*Request) input()         {}
func (*GiveUp) input()          {}
func (*SyncRequest) input()     {}
func (*TransferRequest) input() {}
func (*Persisted) input()       {}
func (*Taken) input()           {}
func (*Recalled) input()        {}
func (*Continue) input()        {}
func (*Failed) input()          {}

// Message is what travels between members: a zab.Message (as pointer), an *election.Notification, or one of the types of
// this package's messages (*Birth, *Forward, *Renew, *Renewed, *SyncAsk, *SyncAnswer).
type Message any

// Class is the lane a message travels in.
type Class uint8

// The classes, in the order of transport.Class.
const (
	Control Class = iota // votes, pings: each complete in itself, may be lost, only the newest matters
	Log                  // the ordered stream
	Bulk                 // chunks of snapshots
)

// Send is a message that may leave now.
type Send struct {
	To      quorum.ID
	Class   Class
	Message Message
}

// Reply answers a ticket, exactly once. Err nil: Result holds the result; for a SyncRequest Zxid holds the position.
type Reply[R any] struct {
	Ticket uint64
	Result R
	Zxid   zab.Zxid
	Err    error
}

// Output is append-only: the shell steps many inputs into one Output, then carries it out. Writes and Sends may be carried
// out in any order; State is published before Replies are given.
type Output[V, R any] struct {
	Writes        []zab.Record
	LastWrite     zab.WriteID // of Writes
	Sends         []Send
	Replies       []Reply[R]
	Reads         []zab.Read  // of the log, off the loop: each answered by Recalled
	Pieces        []zab.Piece // of a snapshot, in order, to be decoded and kept off the loop: answered by Taken
	State         V
	Published     bool  // State is set
	Grown         int64 // bytes of the entries that were applied, each counted with 64 more
	More          bool  // there is more to apply: step Continue when what else waits has had its turn
	SessionsEnded []SessionEnd
	News          []SessionNews // of the sessions that this member serves, in order; to be told before Replies are given
	Status        Status
	Changed       bool  // Status is set
	Failed        error // the machine has ended: it must not be stepped again
	generation    uint64
}

// SessionEnd tells that the end of a session was applied here.
type SessionEnd struct {
	Session uint64
	Zxid    zab.Zxid
}

// SessionNews tells what has become of a session that this member serves.
type SessionNews struct {
	What       SessionEvent
	Session    uint64
	Generation uint32
	Timeout    uint32        // when it begins: in milliseconds
	Ticket     uint64        // SessionAttached: of the request
	Since      time.Duration // SessionRenewed, SessionOpened: the Now of a Tick before it was asked for
}

// SessionEvent says what has become of a session.
type SessionEvent uint8

// What becomes of sessions. After SessionExpired and SessionMoved this member serves it no more.
const (
	SessionOpened   SessionEvent = iota // the member's own
	SessionAttached                     // a client's: opened, or resumed here
	SessionRenewed                      // a quorum has confirmed it
	SessionExpired
	SessionMoved
)

// Reset empties o and keeps its memory.
func (o *Output[V, R]) Reset() {
	clear(o.Writes)
	clear(o.Sends)
	clear(o.Replies)
	clear(o.Pieces)
	*o = Output[V, R]{
		Writes: o.Writes[:0], Sends: o.Sends[:0], Replies: o.Replies[:0], Reads: o.Reads[:0], Pieces: o.Pieces[:0], SessionsEnded: o.SessionsEnded[:0], News: o.News[:0],
		generation: o.generation + 1,
	}
}

// Name names a request for ever: (session, generation, sequence).
type Name struct {
	Session    uint64 // zxid of the transaction that created the session
	Generation uint32 // raised when the session is resumed elsewhere
	Sequence   uint64 // 1, 2, 3, ... within the generation
}

// Call is a request on its way to the leader. Low says that the answers of all sequences below it have been received.
type Call struct {
	Name    Name
	Low     uint64
	Payload []byte
}

// Outcome is what applying one transaction tells the member that asked for it.
type Outcome[R any] struct {
	Name   Name
	Zxid   zab.Zxid // of the transaction; set by Decided
	Result R
	Err    error // the verdict: a definite refusal
	// Opened: the transaction created Session for Owner's run.
	Opened  bool
	Owner   quorum.ID
	Run     zab.Incarnation
	Session uint64
	Timeout uint32 // of Session, in milliseconds; 0: it does not expire
	Closed  uint64 // the session that this transaction ended, such as that of Owner's former run; 0: none
	// Attached: the call has opened Session, or has moved it, for the member that called.
	Attached   bool
	Generation uint32
}

// StateMachine is what the core replicates. It is called from Step only. V is a handle on the whole state at one zxid, R a
// result of a request.
type StateMachine[V, R any] interface {
	// Prepare judges a call against the state as all outstanding transactions will leave it, and returns the transaction to
	// be proposed as z; ok is false when the call is decided or outstanding already, out of order, or of an unknown session.
	// A refusal is a transaction too. Wall is the leader's wall clock.
	Prepare(z zab.Zxid, wall int64, c Call) (txn []byte, ok bool)
	// Waits tells that a call cannot be judged yet: it is made on a session, or about one, whose opening is outstanding here, and applied elsewhere.
	Waits(c Call) bool
	// PrepareOpen returns the transaction that creates the session of owner's run and ends that of its former run; ok is
	// false when it is outstanding or exists.
	PrepareOpen(z zab.Zxid, wall int64, owner quorum.ID, run zab.Incarnation, timeout uint32) (txn []byte, ok bool)
	// Lead begins the timeouts of all sessions anew: this member leads an established epoch. It ends with Abandon. Between them Elapse tells of each tick.
	Lead(tick time.Duration)
	// Elapse tells that a tick has passed.
	Elapse()
	// Touch notes that the owner of a session is alive; false if that does not keep it.
	Touch(session uint64, generation uint32) bool
	// PrepareEnd returns the transaction that ends the next session whose time is over; ok is false when there is none to be ended now.
	PrepareEnd(z zab.Zxid, wall int64) (txn []byte, ok bool)
	// Session says what is known of a session, if it is there.
	Session(id uint64) (session.Session, bool)
	// Abandon forgets everything prepared and not applied.
	Abandon()
	// Apply applies a committed transaction.
	Apply(z zab.Zxid, txn []byte) (Outcome[R], error)
	// Advance tells that z was an entry without a transaction.
	Advance(z zab.Zxid)
	// View returns the applied state, in constant time.
	View() V
	// Digest identifies the applied state: tree, sessions, windows.
	Digest() uint64
	// Snapshot begins to encode the applied state, which stays as it is at this moment for it.
	Snapshot(chunk int) zab.SnapshotReader
	// Decode builds a state from the chunks of a snapshot. It touches nothing of the receiver and may run beside it.
	Decode(chunks [][]byte) (state any, err error)
	// Install replaces the applied state by a decoded one.
	Install(state any)
	// Own returns the own session of a member, of whichever run, if it exists.
	Own(owner quorum.ID) (session.Session, bool)
	// Decided returns the verdict on a call of this member's own whose transaction it has not applied itself, because it
	// installed a snapshot. What the call says itself need not be part of the state. It keeps nothing of c.Payload.
	Decided(c Call) (Outcome[R], bool)
}

// Birth is said between founders until the ensemble is born, and to anybody who does not know that it is.
type Birth struct {
	Ensemble zab.EnsembleID
	Counts   bool // has initialised itself
	Born     bool
	Blank    bool // a learner, or a member that must not take part: it joins, or has given up a state
	Promised bool // has ever promised an epoch
	Found    bool // from the founder that leads: initialise yourself with Ensemble and answer
}

// Forward carries requests to the leader, in order.
type Forward struct {
	Owner quorum.ID
	Open  bool // ask for the session of Owner's Run first
	Run   zab.Incarnation
	// Timeout is that of the session to be opened, in milliseconds.
	Timeout uint32
	Calls   []Call
}

// Renew tells the leader that the owners of sessions are alive.
type Renew struct {
	Batch   uint64 // grows
	Touches []Touch
}

// Touch is one sign of life.
type Touch struct {
	Session    uint64
	Generation uint32
}

// Renewed answers Renew: a quorum has confirmed the leader in a round that was begun after it came. The Nots are places in it of sessions that are not kept by it.
type Renewed struct {
	Batch uint64
	Nots  []uint32
}

// SyncAsk asks the leader for a confirmed position.
type SyncAsk struct{ ID uint64 }

// SyncAnswer answers SyncAsk.
type SyncAnswer struct {
	ID   uint64
	Zxid zab.Zxid
}

// Compared tells the leader what its EntryDigest about At was compared with.
type Compared struct {
	At     zab.Zxid
	Agrees bool
}

// Reinstall tells a learner that disagreed about At that a quorum does not.
type Reinstall struct{ At zab.Zxid }

// Status is what a member knows of itself.
type Status struct {
	Role      zab.Role
	Leader    quorum.ID
	Ready     bool // follows or leads an established epoch, has applied its initial history and, if it is a voter, counts, durably
	Reason    Reason
	Epoch     uint32
	Ensemble  zab.EnsembleID
	Founded   bool // the birth of the ensemble was completed in this run, and this member is one of its founders
	Logged    zab.Zxid
	Committed zab.Zxid
	Applied   zab.Zxid
	Session   uint64 // the node's own
	InFlight  int
	Peers     []Peer // in ascending order of ID, without this member
}

// Reason says why a member is not ready.
type Reason uint8

// The reasons.
const (
	None          Reason = iota
	NoQuorum             // looks for a leader, or the birth is not complete
	Synchronising        // has a leader and catches up with it
	Blank                // must be readmitted first
	Impaired             // its state differs from the leader's, or was given up
)

// Peer is what a member knows of another.
type Peer struct {
	ID     quorum.ID
	Linked bool
	State  election.State // as last heard
	Acked  zab.Zxid       // at the leader: acknowledged position
}
