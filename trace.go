package ensemble

import "time"

// Trace holds hooks for what a node does, for measuring and debugging. Any of them may be nil. All are called on the node's own goroutine, in
// order: they must not block, must not call methods that wait, and cost every caller what they take.
type Trace struct {
	// RoleChanged: the role, the leader or the epoch has changed.
	RoleChanged func(RoleChange)
	// PeerChanged: a link to a peer came up or went down.
	PeerChanged func(PeerChange)
	// Synced: this node can serve from now on.
	Synced func(SyncedInfo)
	// Proposed: transactions were written to this node's log.
	Proposed func(LogInfo)
	// Persisted: they are durable, as far as they can be without a directory.
	Persisted func(LogInfo)
	// Snapshotted: a snapshot of the tree is durable.
	Snapshotted func(SnapshotInfo)
	// Acknowledged: this node has told its leader that its log is durable up to a zxid.
	Acknowledged func(AckInfo)
	// Committed: this node has learnt that transactions up to a zxid are committed.
	Committed func(CommitInfo)
	// Applied: the tree was brought forward.
	Applied func(AppliedInfo)
	// Damaged: the data directory was found damaged by Open, which set it aside. It comes before anything else.
	Damaged func(DamageInfo)
	// SessionEnded: the end of a session was applied here. What a snapshot skips is not told.
	SessionEnded func(SessionEndInfo)
	// Stalled: one turn of the node's goroutine took longer than a tick. The host is short of CPU, or a hook is slow.
	Stalled func(StallInfo)
}

// RoleChange tells about a change of role, leader or epoch.
type RoleChange struct {
	Old, New Role
	Leader   ID // 0: none
	Epoch    uint32
}

// PeerChange tells about a link.
type PeerChange struct {
	Peer      ID
	Reachable bool
	Err       error // why the peer is refused, if it is: another ensemble, name, id or version
}

// SyncedInfo tells where a node begins to serve.
type SyncedInfo struct {
	Leader ID
	Epoch  uint32
	Zxid   Zxid
}

// LogInfo tells about transactions of the log.
type LogInfo struct {
	First, Last Zxid
	Entries     int
	Bytes       int
}

// SnapshotInfo tells about a snapshot in the data directory.
type SnapshotInfo struct {
	Zxid  Zxid
	Bytes int64 // of its file
	Took  time.Duration
}

// DamageInfo tells what is wrong with a data directory that was set aside.
type DamageInfo struct {
	Where, Why string
	Evidence   string // the directory that holds it now
}

// AckInfo tells about an acknowledgement.
type AckInfo struct {
	Leader ID
	Zxid   Zxid
}

// CommitInfo tells about the committed position.
type CommitInfo struct{ Zxid Zxid }

// SessionEndInfo tells which session has ended, and in which transaction.
type SessionEndInfo struct {
	Session SessionID
	Zxid    Zxid
}

// AppliedInfo tells about the tree.
type AppliedInfo struct {
	Zxid   Zxid
	Znodes int
}

// StallInfo tells how long a turn took.
type StallInfo struct{ Took time.Duration }
