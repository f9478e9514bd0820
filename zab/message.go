package zab

import "github.com/ensemble-go/ensemble/quorum"

// Session numbers one attempt of a learner to follow. The learner draws it; it never repeats between two members, and is on
// every message of the attempt.
type Session uint64

// Message is what the machines of two members say to each other. The set of its types is closed. A message is immutable
// once it has been handed out. All travel on the one ordered stream of a pair, but Ping, Pong (Control) and Chunk (Bulk).
type Message interface{ zabMessage() }

// FollowerInfo begins an attempt to follow (CEPOCH of DSN'11).
type FollowerInfo struct {
	Session     Session
	Promised    uint32
	Counts      bool
	Incarnation Incarnation // the same for the whole session
}

// LeaderInfo asks for the promise of Epoch (NEWEPOCH); to a running learner it begins a renewal of the epoch in place.
type LeaderInfo struct {
	Session Session
	Epoch   uint32
}

// AckEpoch answers LeaderInfo (ACK-E). Promise is false when the epoch had been promised before, or by a blank member: such
// an answer opens synchronisation and is not counted.
type AckEpoch struct {
	Session Session
	Epoch   uint32
	Promise bool
	Counts  bool
	Joined  uint32
	Last    Zxid
	Spans   []Span
	Spoilt  bool // nothing but a snapshot will do
}

// Refuse tells that the sender has promised an epoch above the one asked for, or that the receiver of a FollowerInfo does
// not lead (Promised is 0 then).
type Refuse struct {
	Session  Session
	Promised uint32
}

// Sync opens the synchronisation: the learner keeps its history up to Keep, or fetches a snapshot.
type Sync struct {
	Session  Session
	Epoch    uint32
	Keep     Zxid
	Snapshot bool
	Common   Zxid // longest common prefix of both histories, as the leader sees it
	ID       SnapshotID
	Zxid     Zxid // of the snapshot
	Spans    []Span
	Members  []Readmitted
}

// Fetch asks for the chunks of the snapshot up to index Upto, exclusively. At tells what the learner has taken over: with the first Fetch, where it goes on.
type Fetch struct {
	Session Session
	At      Position
	Upto    uint32
}

// Chunk is one piece of the snapshot. Length and Digest are set on the last.
type Chunk struct {
	Session Session
	Index   uint32
	Data    []byte
	Last    bool
	Length  uint64
	Digest  uint64
}

// Installed tells that the snapshot is complete, its RESET durable and its state in place: entries may follow.
type Installed struct{ Session Session }

// Propose carries entries and the position committed so far. Entries follow one another by Prev.
type Propose struct {
	Session Session
	Epoch   uint32
	Commit  Zxid
	Entries []Entry
}

// NewLeader ends the initial history, which reaches Last (NEWLEADER).
type NewLeader struct {
	Session  Session
	Epoch    uint32
	Last     Zxid
	Snapshot Zxid // the one of this session, which must be installed, durably; 0: none
}

// Ack is cumulative: the sender's log is durable up to Zxid. With Joined it acknowledges NewLeader too, and from then on
// every ack says so.
type Ack struct {
	Session Session
	Epoch   uint32
	Zxid    Zxid
	Joined  bool
	Counts  bool
}

// UpToDate tells that the epoch is established; Commit is the latest committed position.
type UpToDate struct {
	Session Session
	Epoch   uint32
	Commit  Zxid
}

// Commit tells the position committed so far when no proposal carries it.
type Commit struct {
	Session Session
	Epoch   uint32
	Commit  Zxid
}

// Ping is a heartbeat and a round of confirmation: Round grows.
type Ping struct {
	Session Session
	Epoch   uint32
	Round   uint64
}

// Pong answers Ping. Confirms says that the sender counts and that Epoch is both its promised and its joined epoch.
type Pong struct {
	Session  Session
	Epoch    uint32
	Round    uint64
	Confirms bool
}

// Handover tells a learner to follow To at once, or to stand if it is To.
type Handover struct {
	Session Session
	Epoch   uint32
	To      quorum.ID
}

func (*FollowerInfo) zabMessage() {}
func (*LeaderInfo) zabMessage()   {}
func (*AckEpoch) zabMessage()     {}
func (*Refuse) zabMessage()       {}
func (*Sync) zabMessage()         {}
func (*Fetch) zabMessage()        {}
func (*Chunk) zabMessage()        {}
func (*Installed) zabMessage()    {}
func (*Propose) zabMessage()      {}
func (*NewLeader) zabMessage()    {}
func (*Ack) zabMessage()          {}
func (*UpToDate) zabMessage()     {}
func (*Commit) zabMessage()       {}
func (*Ping) zabMessage()         {}
func (*Pong) zabMessage()         {}
func (*Handover) zabMessage()     {}
