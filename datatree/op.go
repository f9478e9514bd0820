package datatree

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// Op is an operation that changes the tree or asks about it: CreateOp, SetOp, DeleteOp, CheckOp or SetACLOp, and for those that run the tree ReapOp and
// CloseSessionOp. It is the value: a pointer to one is refused with ErrBadArguments.
type Op interface {
	isOp()
}

// CreateOp makes a znode. Its parent must exist, unless Parents is set.
type CreateOp struct {
	Path string
	Data []byte // nil and empty are kept apart
	Mode Mode
	// TTL, in whole milliseconds up to MaxTTL, lets a persistent znode go once it has no children and was not set for so long; 0 is for ever.
	TTL     time.Duration
	ACL     []ACL // nil lets everybody do everything; an empty list is refused
	Parents bool  // makes the parents that are missing, MaxParents at most, in the same transaction: containers with the same ACL
}

// SetOp replaces the data of a znode.
type SetOp struct {
	Path    string
	Data    []byte
	Version Version
}

// DeleteOp removes a znode that has no children, or with all below it if Recursive is set: MaxRecursive znodes at most.
type DeleteOp struct {
	Path      string
	Version   Version // of the znode at Path
	Recursive bool
}

// CheckOp fails unless the znode exists, has the version, and, if Czxid is not 0, was created by that transaction.
type CheckOp struct {
	Path    string
	Version Version
	Czxid   zab.Zxid
}

// SetACLOp replaces the ACL of a znode. Version is that of the ACL, Stat.Aversion.
type SetACLOp struct {
	Path    string
	ACL     []ACL
	Version Version
}

// ReapOp removes a container or a znode with a TTL, if it is still the one that Czxid made (0: any), has no children and is still due: see Tree.Due. With a Version
// a znode with a TTL is due as long as that is its version, whatever the time: see Tree.Reapable. Only the host itself may.
type ReapOp struct {
	Path    string
	Czxid   zab.Zxid
	Version Version
}

// CloseSessionOp removes all ephemeral znodes of a session. Only the host itself may.
type CloseSessionOp struct{ Session uint64 }

// The bounds of what one operation changes besides the znode at its path.
const (
	MaxParents   = 128
	MaxRecursive = 10000
	// MaxEphemerals is how many ephemerals a session may have, since they go in one transaction when it ends. What is proposed and not applied yet
	// is not counted, so a burst may take it somewhat higher.
	MaxEphemerals = 10000
)

func (CreateOp) isOp()       {}
func (SetOp) isOp()          {}
func (DeleteOp) isOp()       {}
func (CheckOp) isOp()        {}
func (SetACLOp) isOp()       {}
func (ReapOp) isOp()         {}
func (CloseSessionOp) isOp() {}

// NameOf returns what an OpError says of op: its name in lower case, and its path; nothing for nil.
func NameOf(op Op) (name, path string) {
	switch o := op.(type) { // and no method, so that an Op need not move to the heap
	case CreateOp:
		return "create", o.Path
	case SetOp:
		return "set", o.Path
	case DeleteOp:
		return "delete", o.Path
	case CheckOp:
		return "check", o.Path
	case SetACLOp:
		return "setACL", o.Path
	case ReapOp:
		return "reap", o.Path
	case CloseSessionOp:
		return "closeSession", ""
	}
	return "", ""
}

// Version is an expected version, or the version of a znode. The zero value is AnyVersion.
type Version struct{ plus1 int32 }

// AnyVersion matches every version.
var AnyVersion = Version{}

// NoVersion matches no version: no znode ever has it. It stands in a Stat whose versions are not known any more.
var NoVersion = VersionOf(-2)

// VersionOf returns the version n; -1 is AnyVersion.
func VersionOf(n int32) Version { return Version{n + 1} }

// Int returns the version as ZooKeeper writes it, -1 for AnyVersion.
func (v Version) Int() int32 { return v.plus1 - 1 }

// String returns the number, "any" or "none".
func (v Version) String() string {
	switch v {
	case AnyVersion:
		return "any"
	case NoVersion:
		return "none"
	}
	return strconv.Itoa(int(v.Int()))
}

// admits reports whether an operation that expects v may work on a znode of version n.
func (v Version) admits(n int32) bool { return v == AnyVersion || v.Int() == n }

// nextVersion skips -1, which would match everything (ZooKeeper does so from 3.10 on), and -2, NoVersion.
func nextVersion(n int32) int32 {
	if n == -3 {
		return 0
	}
	return n + 1
}

// Mode says what kind of znode to create, or what kind it is. Flags are combined with |.
type Mode uint8

// The modes.
const (
	Persistent Mode = 0
	Ephemeral  Mode = 1 // lives as long as its session, and has no children
	Sequential Mode = 2 // gets the parent's next number appended to its name, ten digits with zeros in front, up to 2147483647; not kept in Stat
	Container  Mode = 4 // goes some time after its last child has gone
)

// MaxTTL bounds the time to live of a znode, as ZooKeeper does: some 34 years.
const MaxTTL = (1<<40 - 1) * time.Millisecond

const allModes = Ephemeral | Sequential | Container

// String returns the flags joined with "|".
func (m Mode) String() string {
	if m == Persistent {
		return "Persistent"
	}
	s := ""
	for _, f := range [...]struct {
		m    Mode
		name string
	}{{Ephemeral, "Ephemeral"}, {Sequential, "Sequential"}, {Container, "Container"}} {
		if m&f.m != 0 {
			s += "|" + f.name
			m &^= f.m
		}
	}
	if m != 0 {
		s += "|Mode(" + strconv.Itoa(int(m)) + ")"
	}
	return s[1:]
}

// operation is an Op of any kind as the writer judges it.
type operation struct {
	kind    int    // 0 for an Op that is none of ours
	op      string // the name of its kind
	path    string
	data    []byte
	acl     []ACL
	mode    Mode
	ttl     time.Duration
	version Version
	czxid   zab.Zxid
	session uint64
	flag    bool // Parents, Recursive
}

func plain(op Op) (o operation) {
	if op == nil {
		return o
	}
	o.op, o.path = NameOf(op)
	switch op := op.(type) {
	case CreateOp:
		o.kind, o.data, o.mode, o.ttl, o.acl, o.flag = kindCreate, op.Data, op.Mode, op.TTL, op.ACL, op.Parents
	case SetOp:
		o.kind, o.data, o.version = kindSet, op.Data, op.Version
	case DeleteOp:
		o.kind, o.version, o.flag = kindDelete, op.Version, op.Recursive
	case CheckOp:
		o.kind, o.version, o.czxid = kindCheck, op.Version, op.Czxid
	case SetACLOp:
		o.kind, o.acl, o.version = kindSetACL, op.ACL, op.Version
	case ReapOp:
		o.kind, o.czxid, o.version = kindReap, op.Czxid, op.Version
	case CloseSessionOp:
		o.kind, o.session = kindClose, op.Session
	}
	return o
}

// check refuses what is wrong with an operation whatever the tree looks like.
func (o *operation) check(maxData int) error {
	if err := o.sane(maxData); err != nil || o.kind == kindClose {
		return err
	}
	return checkPath(o.path, o.mode&Sequential != 0)
}

// sane is check without the path, of which each kind of operation has its own idea.
func (o *operation) sane(maxData int) error {
	switch {
	case o.kind == 0, o.mode&^allModes != 0, o.mode&Ephemeral != 0 && o.mode&Container != 0, o.kind == kindClose && o.session == 0:
		return ErrBadArguments
	case o.ttl != 0 && (o.ttl < 0 || o.ttl > MaxTTL || o.ttl%time.Millisecond != 0 || o.mode&(Ephemeral|Container) != 0):
		return ErrBadArguments
	case len(o.data) > maxData, ACLSize(o.acl) > MaxACL:
		return ErrTooLarge
	}
	return nil
}

// misfit is the error of an Op that is none of ours. Most likely it is a pointer to one, which the compiler takes.
func misfit(op Op, index int, multi bool) *OpError {
	name, path := "op", ""
	switch p := op.(type) {
	case *CreateOp:
		name, path = meant(p)
	case *SetOp:
		name, path = meant(p)
	case *DeleteOp:
		name, path = meant(p)
	case *CheckOp:
		name, path = meant(p)
	case *SetACLOp:
		name, path = meant(p)
	}
	why := "op is nil"
	if t := reflect.TypeOf(op); t != nil && t.Kind() == reflect.Pointer {
		why = "op of type " + t.String() + ": pass the value"
	} else if t != nil {
		why = "op of unknown type " + t.String()
	}
	return opError(name, path, index, multi, fmt.Errorf("%w: %s", ErrBadArguments, why))
}

// meant is NameOf for a pointer, which may be nil.
func meant[T Op](p *T) (name, path string) {
	if p == nil {
		p = new(T)
	}
	return NameOf(*p)
}

// opError wraps err; op is "" when it is about the request as a whole.
func opError(op, path string, index int, multi bool, err error) *OpError {
	if !multi {
		index = -1
	}
	return &OpError{Op: cmp.Or(op, "multi"), Path: path, Index: index, Err: err}
}
