// Package sim runs whole ensembles of the pure core in one goroutine and in virtual time, breaks everything around them, and checks after every
// step that what must hold does.
//
// One seed is one World: a configuration (how many members, whether quorums are majorities or, in one of six, of groups and weights, which limits, which faults and how often), a list of faults, a stream of requests. All
// randomness comes from the seed, split into one generator per concern, so that a fault removed from the list does not shift the other draws. What
// happens next is the least of a heap of events ordered by time and sequence number. The same seed therefore gives the same trace, event by event; a
// hash of it is compared.
//
// What is real: election, Zab, their join in internal/core, the tree of znodes and the sessions, for each member one Machine; and between them, in every
// seed, internal/wire and internal/link (peers.go), as the shell has them. What is modelled:
//
//   - The network (network.go): it carries frames as well as it can. They are lost, repeated, overtaken, held up by a cut in one direction or both, and
//     some arrive when the link or the run that sent them is long gone. A connection that breaks may be told to one end, to both, or to none.
//   - The disk (drive.go), in two seeds of three: internal/durable, and so internal/wal and snapshot, as they are, on a disk in memory of internal/vfs, with
//     small segments. What a flush is about is written when its time is over; the process or the power may end at any operation of a writer, in the middle of
//     a write, and of the starts after it; a loss of power leaves any part of what was not synced. A disk may fail at any operation, or at the next sync only,
//     be full, or stall. Members keep snapshots of their own now and then (keeping.go), of a state that is written while they go on, and their logs let go of
//     what these hold.
//   - Damage at rest (damage.go): flipped bits, zeroed and stale sectors, files that cannot be read, lost snapshots and segments. A start finds it, or it is of no
//     account: what is lost must be noticed, but for the blind spot of docs/storage.md, and is never returned as data. The member then begins anew, as
//     its log would have it begin. Where the blind spot is hit, the disk is given back as it was: nothing is promised of that one and others that are down.
//   - The store (store.go): what the disk must hold. Records become durable in order and some time after they were handed over, and then Persisted is
//     told. A crash keeps any prefix of what was not yet told: which, says the log when it starts (recovery.go), or in the seeds without one, since it
//     takes more than half as much CPU again, a draw. A wipe keeps nothing and begins a new incarnation; that, and damage, is done only while the voters that
//     have not durably recorded that they count, this one included, leave a quorum of others: but for one seed of twenty, in which the ensemble may
//     have to halt, and must never be wrong (beyond.go).
//   - What is done beside the loop (offloop.go): older history is read from the log, which may be said to be gone or have a gap; the pieces of a snapshot are taken.
//   - The shell (member.go): drains a queue of inputs into one Output and carries it out. A crash comes between two outputs or in the middle of one.
//
// The requests (workload.go) are about few paths, so that they conflict: creates, sets, deletes and checks, with and without versions, sequential
// creates, multis of which many fail, and a pair of znodes that is only ever written together; in some seeds containers, TTLs and what reaps them, missing
// parents and whole subtrees, ACLs with callers who have identities (identity.go), and quotas. What
// requests must be answered, and what a reader must see, says a second tree (reference.go, tree.go, past.go) that judges every committed request anew and keeps all states there ever were. It shares
// no code with the first; a transaction tells it only which call it decides, at what time.
//
// In most seeds some clients watch (watchers.go): connected to one member at a time, with watches of all types in its tree, which they leave anew elsewhere. A
// third account, taken from the history, says what each must be told, and when: C8. C11, numbers that are never given twice, and the rest of C13 are in
// kinds.go. Recorded traces of ZooKeeper are replayed on three members by golden_test.go.
//
// In most seeds clients have sessions of their own (sessions_clients.go): they write on them several calls at a time, and create ephemerals; they go to other members
// and come back, are silent for a while or for good, write on without renewing anything, come with a wrong password, and close. The second tree knows from the
// log who has which session, from when to when, and with what generation (reference_sessions.go): C9, and of C1, C3 and C4 what concerns sessions. C10, that
// silence alone ends a session, not before its timeout and not long after it, that nobody believes to hold what somebody else holds, and that of two
// generations of a session only the later is confirmed, is judged by what clients were told and did (sessions_judge.go). A session that comes to a member sees nothing
// older than before: C7.
//
// Time passes differently at each member (drift); the wall clock jumps, by up to a year. A paused member receives everything at once when it goes on.
//
// A run has phases: warm up, chaos, heal and demand progress, convergence, power loss of all and restart, and the same demands again. Progress is a leader, a quorum
// that follows it, and at each member that is ready a write answered with success. In half of the seeds only a quorum of those that count is healed at first, while the
// others stay down, cut off, silent, or with a disk that takes nothing (healing.go). Once everybody is well, a session that its member renews must last
// (sessions_keep.go). The invariants
// have the ids of their catalogue and fail as inv/Z5 and so on (records.go, steps.go, commits.go, messages.go, audit.go, clients.go; R1 to R3, what waits, files
// and memory, in resources.go). Z10, Z11 and DUR are judged by the stores at every step, and now and then by the disks themselves: these are copied at any
// operation, lose their power, and are started (image.go). Beyond the catalogue: DUR, what a loss of power now would leave; Z20,
// who counts does so by right, and Z22, a leader joins on the promises of none that is fresher (counting.go); Z21, no voter is shut out, and E1, who is
// elected was heard (hearing.go); E2, who votes for itself or asks to be led has on its disk all that it has written, and Z23, what is said of a birth
// is (messages.go); DISK, what a start finds is what was told to be durable and a prefix of the rest, or said to be damaged (recovery.go), and what a log reads back is that (offloop.go);
// PIECE, the pieces of a snapshot come in order; Z8 and Z16 hold for all that leaders send to learners, too (offloop.go); LIVE,
// progress. Faults come by the clock (nemesis.go) or wait for a moment of the protocol (ambush.go). Counters tell what was reached (cover.go, reach.go): a run that was
// too tame fails as well.
package sim
