// Package ensemble embeds a replicated tree of znodes, as Apache ZooKeeper has one, in a Go program: leader election, atomic broadcast (Zab)
// and the tree live inside the process, and there is no server to run.
//
// Each member of an ensemble opens a [Node]. Writes may be given to any of them: they are agreed upon by a quorum and take effect exactly once, in
// one order, even if the leader is lost meanwhile. Reads are local, and wait for nobody once the member has been ready; [Node.Sync] and [Node.Await] make them fresh.
//
//	net := transport.NewMemory()
//	members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
//	n, err := ensemble.Open(ctx, ensemble.Config{ID: 1, Members: members, Transport: net.Peer(1)})
//	...
//	path, err := n.Create(ctx, "/job-", []byte("hello"), ensemble.Sequential)
//
// # Watches
//
// [Node.Watch] gives a [Watcher] of a znode, of its children, or of a znode and all below it. The tree where it begins is its View; what happens afterwards comes from Next, Batch or All, each change
// with the znode before and after, in the order of the transactions and none left out. A watcher is not told of a state that was never there: a Multi is one change of each znode. It lasts
// through elections. What cannot be told is never left out in silence: a watcher that is too slow ends with [ErrWatchOverflow], and one whose member was given the whole tree by another, after it had been away for long, with [ErrWatchGap]. Then, or
// on another member, [Node.WatchFrom] goes on after the last transaction that was seen, as long as the member remembers ([Config].WatchHistory); otherwise read anew.
//
// # Znodes that go by themselves
//
// The leader removes containers ([Container], and parents made by [CreateOp].Parents) that had children and have none, and znodes with a TTL that have no children and were not set for that long: within
// a few ticks, at most some thousands a second. A create below a container may find that it has just gone: [CreateOp].Parents makes it anew.
//
// # Errors
//
// What went wrong is told by sentinels, to be tested with errors.Is, and where by an [*OpError]. An error that also is [ErrUncertain] leaves open
// whether the write takes effect; any other error of a write is definite: nothing happened.
//
// # Blank members
//
// A member that may have forgotten what it acknowledged, such as one in memory after a restart, or one whose disk was lost, is blank. It serves nothing and counts
// in no quorum until a leader that has a quorum without it has brought it up to date and readmitted it; this happens by itself, and [Status].Reason says so meanwhile.
// Two of three members in memory that restart at once leave the ensemble without a quorum, for what the third alone remembers may not be all. It begins
// anew, with an empty tree, when all members have been stopped at the same time: as long as one runs that knows of the ensemble, whoever joins it is
// blank. Ensembles of two voters cannot readmit: with two members in memory, the restart of one stops the ensemble until both are stopped.
//
// The README has a table of what to do, with [Config].Join and [Bootstrap], at a first start, a restart, the loss of a disk, and on a new machine.
//
// # Data directories
//
// With [Config].Dir a member is durable: what it has acknowledged is synced to its log first, and an intact directory makes an ordinary member of it
// again, whatever ended it. The tree is written to a snapshot now and then, and the log before the oldest that is kept goes. A failed write or sync is
// final: the node ends, and [Node.Err] is a [*DirError]. One that is in use, or somebody else's, is refused
// by [Open].
//
// A damaged directory is repaired by itself from three voters on: what is in it is set aside in a directory damaged-* within it, to the last byte, and the member is blank. Until it
// has the state of the others, [Status].Reason is Impaired and reads are given [ErrImpaired]; then it is readmitted. If so many are damaged that
// no quorum of the others is intact, the ensemble stops, and says so. With one voter or two, [Open] refuses. What was set aside is for an operator to look
// into and to remove: after three repairs there is no fourth until that is done.
//
// [Node.Backup] writes the state of the ensemble to a stream, [BackupDir]
// that of a member which does not run, and [Restore] makes a new ensemble of it: the way out when a majority of the disks is lost.
//
// # Limits
//
// Beside those of [Config] there are these, which cannot be set:
//
//   - 4 MiB of data in one request, a Multi too, and so in one znode: [Config].MaxData is no larger; 64 KiB for a path, and for an ACL
//   - 10 000 znodes in a recursive delete, 128 missing parents in a create
//   - 2^18 sessions, with those of the members; 10 000 ephemerals and 256 identities to each
//   - 6 ticks for the timeout of a session, at least, whatever [Config].MinSessionTimeout says; 24 days at most
//   - 256 MiB of writes that wait at a node
//
// Above them a call is given [ErrTooLarge], [ErrBadPath], [ErrQuotaExceeded] or [ErrOverloaded]. Nothing bounds how many Watchers are open, which may each have
// [Config].WatchBuffer events, how many Views are held, and how many callers wait in [Node.Await], [Node.Snapshot] and [Node.Backup]: these are the host's own.
//
// # What is not there yet
//
// Changes of membership, for which there are errors already that nothing returns, and recipes: a package of locks and of campaigns among candidates.
package ensemble
