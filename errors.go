package ensemble

import (
	"errors"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
)

// What can be wrong with an operation on the tree. An *OpError says with which, and where.
var (
	// ErrNoNode says that there is no such znode; to a create, that there is no parent.
	ErrNoNode = datatree.ErrNoNode
	// ErrNodeExists says that there is one already where a create is to make it.
	ErrNodeExists = datatree.ErrNodeExists
	// ErrBadVersion says that the znode has not the version that was expected; to a CheckOp, or not its Czxid.
	ErrBadVersion = datatree.ErrBadVersion
	// ErrNotEmpty says that a znode which is to be deleted has children, and the delete is not Recursive.
	ErrNotEmpty = datatree.ErrNotEmpty
	// ErrNoChildrenForEphemerals says that the parent of a create is ephemeral.
	ErrNoChildrenForEphemerals = datatree.ErrNoChildrenForEphemerals
	// ErrBadPath says that no znode can have the path: see datatree.CheckPath. One above datatree.MaxPath, 64 KiB, is among these.
	ErrBadPath = datatree.ErrBadPath
	// ErrBadArguments says that modes, a TTL, a WatchMode or a timeout make no sense, or that a znode is to be deleted which always is there, such as "/".
	ErrBadArguments = datatree.ErrBadArguments
	// ErrTooLarge is given to data above Config.MaxData, to a request above what that says of one, to an ACL above datatree.MaxACL (64 KiB), to a recursive
	// delete of more than datatree.MaxRecursive znodes (10 000), to a create with more than datatree.MaxParents missing parents (128), and to an AddAuth that
	// would give a session more than 256 identities.
	ErrTooLarge = datatree.ErrTooLarge
	// ErrNoAuth says that no ACL lets the session do that, or that AddAuth was refused. A Node's own calls are given it only for what nobody may: to change
	// /zookeeper/config.
	ErrNoAuth = datatree.ErrNoAuth
	// ErrUnsupported is for what an op may ask for and this version does not do; it also is ErrBadArguments. Nothing a Node or a Session is asked for is refused by
	// it now. It is not errors.ErrUnsupported, which Node.Snapshot gives.
	ErrUnsupported = datatree.ErrUnsupported
	// ErrSequenceExhausted says that 2^31 children were made below the parent of a sequential create, so that there is no next number.
	ErrSequenceExhausted = datatree.ErrSequenceExhausted
	// ErrInvalidACL is given to an ACL that is empty, has a scheme that is not known or an id that is none under its scheme, or says "auth" for somebody without
	// identities, such as a Node.
	ErrInvalidACL = datatree.ErrInvalidACL
	// ErrQuotaExceeded says that the write would go over a hard limit below /zookeeper/quota, that a session has datatree.MaxEphemerals ephemerals (10 000), or that the
	// ensemble has as many sessions as it may, 2^18 with those of the members.
	ErrQuotaExceeded = datatree.ErrQuotaExceeded
)

// What can be wrong with a call.
var (
	// ErrUncertain is joined to the error of a write that was handed to the ensemble and whose fate this node has not seen: it may
	// have taken effect, may do so yet, or never.
	ErrUncertain = core.ErrUncertain
	// ErrOverloaded says that Config.MaxInFlight calls wait already, or writes of 256 MiB; to a Watch, that so many others are about to begin. Nothing
	// happened, and it may be tried again.
	ErrOverloaded = core.ErrOverloaded
	// ErrNoQuorum is joined to the error of a context that ended before the call could be handed to the ensemble, or before the first readiness: nothing happened. It
	// is also the cause with which a Session's Context ends when no renewal was confirmed in time, and what calls on that session are given then.
	ErrNoQuorum = errors.New("no quorum")
	// ErrClosed says that the node has ended.
	ErrClosed = errors.New("node is closed")
	// ErrSessionExpired says that the session has ended, that there is none of that id, or that its password is wrong.
	ErrSessionExpired = core.ErrExpired
	// ErrSessionMoved says that the session was resumed elsewhere, or at this node once more.
	ErrSessionMoved = core.ErrMoved
	// ErrSuperseded ends a node when another run of the same member has begun to write: two processes have been started under one id. It is joined with
	// ErrSessionExpired, since that is how this one learns of it. The later one goes on.
	ErrSuperseded = errors.New("another run of this member has taken its place")
	// ErrImpaired is given to reads of a member whose state is known to be wrong, or was damaged on its disk, until it has the ensemble's again. Only View
	// still shows it. Open gives it, in a *DirError, where nobody could bring that about.
	ErrImpaired = errors.New("member is impaired")
)

// What ends a Watcher, or does not let it begin.
var (
	ErrWatchOverflow = datatree.ErrWatchOverflow // more than Config.WatchBuffer events were not taken
	ErrWatchGap      = datatree.ErrWatchGap      // what happened is not known here any more: the state came as a whole, or Config.WatchHistory is used up
)

// What belongs to changes of membership, which are not there yet. Nothing returns these now.
var (
	// ErrReconfigInProgress is for a change that is asked for before the one under way is decided.
	ErrReconfigInProgress = errors.New("a change of membership is under way")
	// ErrNewConfigNoQuorum is for a change to members of which too few are there and up to date.
	ErrNewConfigNoQuorum = errors.New("the new membership has no quorum")
	// ErrRemoved is for the node of a member that a change has removed.
	ErrRemoved = errors.New("member was removed from the ensemble")
)

// ErrBadBackup says that what was to be restored is not a whole backup: it is cut, damaged, or something else.
var ErrBadBackup = errors.New("not a whole backup")

// OpError says which operation failed, and where: its Index is the op's place in a Multi, -1 outside one.
type OpError = datatree.OpError

// ErrNotLeading is given by Transfer on a member that does not lead, or when there is nobody to hand over to.
var ErrNotLeading = core.ErrNotLeading
