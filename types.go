package ensemble

import (
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// ID names a member: 1 or more.
type ID = quorum.ID

// Member is one entry of a membership.
type Member = quorum.Member

// Zxid names a transaction: the epoch of its leader and a counter within it. A Zxid fits a signed 64-bit integer, and later is greater.
type Zxid = zab.Zxid

// ParseZxid parses what Zxid.String returns.
func ParseZxid(s string) (Zxid, error) { return zab.ParseZxid(s) }

// SessionID names a session: the zxid of the transaction that created it. Zero is none. Stat.EphemeralOwner is the same number in a plain uint64: a znode is the
// ephemeral of s if SessionID(stat.EphemeralOwner) == s.ID().
type SessionID uint64

// What is read.
type (
	// Znode is a znode at one state of the tree. Its Data belongs to the tree and is read-only.
	Znode = datatree.Znode
	// Stat is what the tree knows of a znode besides its data. Its EphemeralOwner is a SessionID.
	Stat = datatree.Stat
	// View is the whole tree at one zxid, whatever ACLs say: whoever has one reads as the host does. As long as it is held it keeps in memory what has changed since.
	View = datatree.View
)

// Version is an expected version, or the version of a znode. The zero value is AnyVersion.
type Version = datatree.Version

// AnyVersion matches every version.
var AnyVersion = datatree.AnyVersion

// NoVersion matches no version: it stands in a Stat whose versions are not known any more. See Result.
var NoVersion = datatree.NoVersion

// VersionOf returns the version n; -1 is AnyVersion.
func VersionOf(n int32) Version { return datatree.VersionOf(n) }

// Mode says what kind of znode to create, or what kind it is. Flags are combined with |.
type Mode = datatree.Mode

// ACL lets those that match an id under a scheme do something to a znode. A Node's own calls are never asked for permission. A znode for which none was given has
// datatree.OpenACL, by which everybody may do everything; the most that one can have is datatree.MaxACL, 64 KiB.
//
// The schemes are "world", with the one id "anyone"; "digest", whose ids datatree.DigestID makes of "user:password", which is what AddAuth is given; and "auth", which stands
// for the identities of the session that creates the znode or sets its ACL. "ip", with an address or a network, is accepted in an ACL as in ZooKeeper, but lets nobody
// in: no Session has an address, and AddAuth under it gains nothing. There is no super user, and none can be configured.
type ACL = datatree.ACL

// Perm says what may be done to a znode. Permissions are combined with |.
type Perm = datatree.Perm

// The permissions. Create and delete are asked of the parent.
const (
	PermRead   = datatree.PermRead
	PermWrite  = datatree.PermWrite
	PermCreate = datatree.PermCreate
	PermDelete = datatree.PermDelete
	PermAdmin  = datatree.PermAdmin
	PermAll    = datatree.PermAll
)

// The modes. An Ephemeral goes with the session that it is created on, which for the calls of a Node is its own. A Sequential gets the next number of its parent appended to
// its path, ten digits with zeros in front: "/job-" becomes "/job-0000000007". The number is that of the children that were ever made below the parent, of all names and modes; the last
// is 2147483647, then it is ErrSequenceExhausted. A Container goes some ticks after its last child.
const (
	Persistent = datatree.Persistent
	Ephemeral  = datatree.Ephemeral
	Sequential = datatree.Sequential
	Container  = datatree.Container
)

// What is written.
type (
	// Op is one of CreateOp, SetOp, SetACLOp, DeleteOp and CheckOp.
	Op = datatree.Op
	// CreateOp makes a znode. A bad ACL is ErrInvalidACL, too many missing parents are ErrTooLarge. A TTL is at most datatree.MaxTTL, some 34 years. With Parents, those that are missing are made with it, as containers. The leader removes containers that had children and have none, and
	// znodes with a TTL that were not set for so long and have no children: some ticks later, by a clock that does not depend on the time of day, and with their
	// whole TTL anew when the leader changes.
	CreateOp = datatree.CreateOp
	// SetACLOp replaces the ACL of a znode, if that has the version. It gives ErrNoNode, ErrBadVersion, ErrInvalidACL and ErrTooLarge.
	SetACLOp = datatree.SetACLOp
	// SetOp replaces the data of a znode.
	SetOp = datatree.SetOp
	// DeleteOp removes a znode that has no children or, if it is Recursive, with all below it: 10 000 znodes at most, or it is ErrTooLarge.
	DeleteOp = datatree.DeleteOp
	// CheckOp fails unless the znode exists (ErrNoNode), has the version and, if Czxid is not 0, was created by that transaction (ErrBadVersion).
	CheckOp = datatree.CheckOp
	// Result is the outcome of an op: the path as made, the Stat after the op (zero for delete and check) and the transaction.
	//
	// When this member was cut off, learns of the outcome from a snapshot and others have written the znode since, the Stat is what is still known: for a
	// create all but times, DataLength and counters of children, for a set Mzxid; versions that are not known are NoVersion, and a write that
	// expects one fails with ErrBadVersion. After a SetACLOp they always are then.
	Result = datatree.Result
)
