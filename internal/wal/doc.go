// Package wal keeps what a member must not forget: one log of records by position, and the mark beside it.
//
// The contract. Open locks a directory, judges what is in it and returns what is durable: the Mark, the history after the last
// RESET, the position of the last record, and a Verdict. Append makes records durable in the order given, and a mark is a
// barrier on both sides; when it returns nil, a crash or power loss takes none of them away. A crash during Append leaves a
// prefix of its records. Damage is never taken for the end of the log, with the one exception of the last batch before an
// unclean stop, and never returned as data: a directory that shows any is Impaired, left as it is, and not opened.
//
// The first error of a write or sync ends the Log: everything afterwards returns a *FailedError, nothing is written or synced
// again, and what the failed call was to make durable may or may not be there at the next start.
//
// One goroutine calls Append, Acked, Retain and Close; a batch costs one write and one sync, a mark two of each. Entries reads
// back history for members that lag behind, from any goroutine, beside all that. The package has no goroutine of its own, knows nothing
// of the protocol and looks into no entry.
//
// docs/storage.md has the assumptions about the disk, the formats, the states that a crash leaves behind each step, and the
// rules of the verdict.
package wal
