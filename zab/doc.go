// Package zab is Zab, the atomic broadcast of ZooKeeper (Junqueira, Reed, Serafini: "Zab: High-performance broadcast for
// primary-backup systems", DSN 2011), as a pure state machine: discovery, synchronisation and broadcast for leader, follower
// and observer. Payloads are opaque bytes. A [Machine] has no goroutine, clock, lock or I/O.
//
// Whoever drives a Machine says who leads (an election is only a hint: all safety is here), hands it what arrives, and
// carries out its [Output]: records for the log, in order, and messages that may leave at once. The machine withholds what
// depends on a write until Persisted covers it:
//
//	message            durable at its sender before it leaves
//	FollowerInfo       everything that it has written
//	LeaderInfo(e)      promised epoch e
//	AckEpoch(e)        promised epoch e
//	Sync, NewLeader(e) joined epoch e, and the leader's history
//	Ack(NewLeader e)   the whole initial history (or the snapshot), then joined epoch e
//	Installed          the RESET of the snapshot
//	Ack(z)             the log up to z; the leader's own disk votes like any other
//
// docs/promises.md of this module has all messages, and what proves each row.
//
// A crash may lose any suffix of the writes that were not reported Persisted. What remains is always a state that the
// protocol knows: a promise without its answer (the epoch is not promised again), a history cut to the common prefix, a part
// of the initial history under the old joined epoch, a snapshot without what follows it. Joined epochs are written after the
// history they stand for, never before (ZOOKEEPER-4643), and nothing is applied that is not both committed and durable here.
//
// A leader whose host can read its log (Config.ReadsLog) asks for what a lagging learner lacks by Output.Reads; what is not to be had there comes as a snapshot.
// A learner hands the chunks of a snapshot out as Output.Pieces: the host decodes and keeps them, and sets the pace. Both are optional work beside the loop: no
// answer costs no safety.
//
// A member that may have forgotten what it promised or acknowledged is blank (Mark.Counts is false): it follows, and nothing
// of it is counted, until a quorum without it has committed its readmission and its own mark records that.
package zab
