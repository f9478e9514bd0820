// Package datatree is ZooKeeper's tree of znodes as a replicated state machine: requests become transactions (Tree.Prepare), transactions
// become state (Tree.Apply), and state is read at one zxid (View).
//
//	leader                                      every member
//	Prepare(z, at, ops) -> txn bytes   ...log... Apply(z, at, txn)   View, Get
//
// # Contract
//
// A Tree has one writer: Prepare, Apply, Advance and Abandon are called by one goroutine at a time. Any number of goroutines may call Get,
// View, Zxid and Digest beside it, and use Views; they take no lock and wait for nobody. The package starts no goroutine, reads no clock and
// draws no random number: equal transactions give equal trees, and Digest says so.
//
// Prepare judges a request against the state that all outstanding transactions (prepared and not yet applied) will leave behind. A
// transaction sets state; it is never judged again. A transaction, a multi too, takes effect all at once: no reader ever sees a part of it.
//
// Who asks is a Caller: its session owns the ephemeral znodes it makes, its identities are what ACLs are about. The host itself is asked nothing. Containers,
// znodes with a TTL and the ephemerals of an ended session do not go by themselves: whoever leads has ReapOp (see Tree.Due) and CloseSessionOp agreed on.
//
// Watches belong to the writer too, and are no part of the state.
//
// A View is the whole tree at one zxid. It costs constant time to take and keeps in memory what has changed since, until Release or until
// the garbage collector finds it unreachable.
//
// Data handed out belongs to the tree and is read-only. Who keeps it, or a path, keeps at most the one version of its znode in memory, and for as long
// as the znode exists the names of the tree; copy what is to outlive a Tree. Data handed in is copied before it becomes state.
//
// # Differences from ZooKeeper
//
// AppendOps checks every path before anything else, as ZooKeeper's own client does; Prepare answers like its server. Times are never
// judged. A sequence counter that has run out is an error (ErrSequenceExhausted) and never wraps. A failed write needs no zxid of its own.
// /zookeeper/config is there, and nobody but a super user may write it or make children below it, and nobody may set its ACL: the membership is not kept as
// text in the tree. Quotas are always enforced. A request whose Caller has no session cannot make ephemeral znodes (ErrUnsupported).
package datatree
