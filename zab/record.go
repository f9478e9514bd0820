package zab

import "github.com/ensemble-go/ensemble/quorum"

// WriteID names a write handed to the log: 1, 2, 3, ... It never repeats in a run.
type WriteID uint64

// Incarnation is drawn when a member's memory begins and compared for equality only. Zero is none.
type Incarnation [16]byte

// EnsembleID is drawn at the birth of an ensemble. Zero is none yet.
type EnsembleID [16]byte

// EntryKind tells what an entry is for.
type EntryKind uint8

// The kinds of entries. Zab looks into none but Readmit.
const (
	EntryData    EntryKind = 1 // a transaction of the state machine
	EntryReadmit EntryKind = 2 // Member counts again, as Incarnation: see the package documentation
	EntryDigest  EntryKind = 3 // what the proposer's state was after an earlier entry: for the host to compare
)

// Entry is one transaction of the replicated history.
type Entry struct {
	Zxid Zxid
	Prev Zxid // zxid of the entry before it, 0 for the first of all
	Kind EntryKind
	Data []byte // opaque; read-only once proposed

	Member      quorum.ID   // EntryReadmit only
	Incarnation Incarnation // EntryReadmit only
}

// Mark is what a member must not forget beside its log.
type Mark struct {
	Ensemble    EnsembleID
	Member      quorum.ID
	Incarnation Incarnation
	Counts      bool   // false: blank; neither votes, promises, confirms nor counts
	Born        bool   // the birth of the ensemble is known to be complete
	Spoilt      bool   // the state is wrong: only a snapshot brings this member back; it does not count meanwhile
	Promised    uint32 // greatest epoch promised (accepted epoch)
	Joined      uint32 // greatest epoch joined (current epoch)
}

// RecordKind tells what a record of the log is.
type RecordKind uint8

// The kinds of records.
const (
	RecordEntry RecordKind = 1 // Entry is appended
	RecordTrunc RecordKind = 2 // everything after Zxid is dead
	RecordReset RecordKind = 3 // the history begins anew with Snapshot; nothing older is ever used again
	RecordMark  RecordKind = 4 // the mark is replaced; a barrier on both sides
)

// Record is one write of the log or, for RecordMark, of the mark beside it. Records are carried out in order.
type Record struct {
	ID       WriteID
	Kind     RecordKind
	Pos      uint64 // position in the log: 1, 2, 3, ... without the marks; it never steps back
	Entry    Entry
	Zxid     Zxid
	Snapshot *Snapshot
	Mark     Mark
}

// Span says that a history holds entries of Epoch, the last of them with counter Last.
type Span struct{ Epoch, Last uint32 }

// Snapshot is a state of the state machine, complete and checked, or one that is on its way.
type Snapshot struct {
	ID      SnapshotID // of its chunks, as their sender says
	Zxid    Zxid
	Spans   []Span   // of the whole history up to Zxid
	Length  uint64   // bytes of all chunks
	Digest  uint64   // CRC-64 (ECMA) of all chunks
	Chunks  [][]byte // in Recovered; otherwise the host's, which may keep there what it receives
	Members []Readmitted
}

// Readmitted is the incarnation of a member that was readmitted last, as the history up to a snapshot tells it.
type Readmitted struct {
	Member      quorum.ID
	Incarnation Incarnation
}
