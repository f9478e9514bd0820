package ensemble

import (
	"errors"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
)

// What can be wrong with an operation on the tree.
var (
	ErrNoNode                  = datatree.ErrNoNode
	ErrNodeExists              = datatree.ErrNodeExists
	ErrBadVersion              = datatree.ErrBadVersion
	ErrNotEmpty                = datatree.ErrNotEmpty
	ErrNoChildrenForEphemerals = datatree.ErrNoChildrenForEphemerals
	ErrBadPath                 = datatree.ErrBadPath
	ErrBadArguments            = datatree.ErrBadArguments
	ErrTooLarge                = datatree.ErrTooLarge // data over Config.MaxData, a request over what one transaction may carry or change, or too many identities
	ErrNoAuth                  = datatree.ErrNoAuth
	ErrUnsupported             = datatree.ErrUnsupported // also is ErrBadArguments: a feature that is not there yet
	ErrSequenceExhausted       = datatree.ErrSequenceExhausted
	ErrInvalidACL              = datatree.ErrInvalidACL
	ErrQuotaExceeded           = datatree.ErrQuotaExceeded // a hard limit below /zookeeper/quota
)

// What can be wrong with a call.
var (
	// ErrUncertain is joined to the error of a write that was handed to the ensemble and whose fate this node has not seen: it may
	// have taken effect, may do so yet, or never.
	ErrUncertain = core.ErrUncertain
	// ErrOverloaded says that Config.MaxInFlight calls wait already, or 256 MiB of writes. Nothing happened.
	ErrOverloaded = core.ErrOverloaded
	// ErrNoQuorum says that the call could not be handed to the ensemble.
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

// What belongs to features that are not there yet.
var (
	ErrReconfigInProgress = errors.New("a change of membership is under way")
	ErrNewConfigNoQuorum  = errors.New("the new membership has no quorum")
	ErrRemoved            = errors.New("member was removed from the ensemble")
)

// ErrBadBackup says that what was to be restored is not a whole backup: it is cut, damaged, or something else.
var ErrBadBackup = errors.New("not a whole backup")

// OpError says which operation failed, and where: its Index is the op's place in a Multi, -1 outside one.
type OpError = datatree.OpError

// ErrNotLeading is given by Transfer on a member that does not lead, or when there is nobody to hand over to.
var ErrNotLeading = core.ErrNotLeading
