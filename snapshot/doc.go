// Package snapshot keeps states in files: a state at one zxid as a sequence of chunks, checksummed, installed wholly or not at all, kept several
// deep, and sent to learners in pieces that resume.
//
// The contract. A snapshot exists when Store.Write, Writer.Commit or Receiver.Commit has returned nil: from then on no crash or power loss takes
// it away, and before that nothing of it is ever taken for a snapshot. What a Reader hands out was checked first; that it was the whole
// snapshot is known with its last chunk, for which the container's end must match in count, length and digest. A damaged, shortened, empty or
// foreign file is an error, never an empty state. Length and digest are those that zab.Snapshot and the log's RESET carry.
//
// Store.Load goes from the newest snapshot that fits the log to older ones, as far as the log covers the difference and never to one from
// before the last RESET. Store.Retain removes what is older than the newest few that fit, and tells what the log must keep.
//
// A state is given as a zab.SnapshotReader, which holds a View at exactly one zxid: writers of the tree never wait for it. Memory is bounded by a chunk and a
// buffer. A Reader is a zab.SnapshotReader itself, so a stored snapshot can be sent on.
//
// One Store at a time uses a directory; its owner holds a lock of its own. A Store may be used by several goroutines, a Writer, Receiver or Reader by one.
// The package has no goroutine, reads no clock and draws nothing at random. Write and NewReader do the same over a stream, for backups.
//
// docs/storage.md has the format, the states that a crash leaves behind each step, and the assumptions about the disk.
package snapshot
