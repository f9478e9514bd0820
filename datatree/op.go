package datatree

import (
	"cmp"
	"strconv"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// Op is an operation that changes the tree or asks about it: CreateOp, SetOp, DeleteOp or CheckOp.
type Op interface {
	isOp()
}

// CreateOp makes a znode. Its parent must exist.
type CreateOp struct {
	Path    string
	Data    []byte // nil and empty are kept apart
	Mode    Mode
	TTL     time.Duration // unsupported
	Parents bool          // unsupported
}

// SetOp replaces the data of a znode.
type SetOp struct {
	Path    string
	Data    []byte
	Version Version
}

// DeleteOp removes a znode that has no children.
type DeleteOp struct {
	Path      string
	Version   Version
	Recursive bool // unsupported
}

// CheckOp fails unless the znode exists, has the version, and, if Czxid is not 0, was created by that transaction.
type CheckOp struct {
	Path    string
	Version Version
	Czxid   zab.Zxid
}

func (CreateOp) isOp() {}
func (SetOp) isOp()    {}
func (DeleteOp) isOp() {}
func (CheckOp) isOp()  {}

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
	}
	return "", ""
}

// Version is an expected version, or the version of a znode. The zero value is AnyVersion.
type Version struct{ plus1 int32 }

// AnyVersion matches every version.
var AnyVersion = Version{}

// VersionOf returns the version n; -1 is AnyVersion.
func VersionOf(n int32) Version { return Version{n + 1} }

// Int returns the version as ZooKeeper writes it, -1 for AnyVersion.
func (v Version) Int() int32 { return v.plus1 - 1 }

// String returns the number, or "any".
func (v Version) String() string {
	if v == AnyVersion {
		return "any"
	}
	return strconv.Itoa(int(v.Int()))
}

// admits reports whether an operation that expects v may work on a znode of version n.
func (v Version) admits(n int32) bool { return v == AnyVersion || v.Int() == n }

// nextVersion skips -1, which would match everything (ZooKeeper does so from 3.10 on).
func nextVersion(n int32) int32 {
	if n == -2 {
		return 0
	}
	return n + 1
}

// Mode says what kind of znode to create, or what kind it is. Flags are combined with |.
type Mode uint8

// The modes.
const (
	Persistent Mode = 0
	Ephemeral  Mode = 1 // lives as long as its session; unsupported
	Sequential Mode = 2 // gets the parent's next number appended to its name; not kept in Stat
	Container  Mode = 4 // goes when its last child has gone; unsupported
)

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
	mode    Mode
	ttl     time.Duration
	version Version
	czxid   zab.Zxid
	flag    bool // Parents, Recursive
}

func plain(op Op) (o operation) {
	if op == nil {
		return o
	}
	o.op, o.path = NameOf(op)
	switch op := op.(type) {
	case CreateOp:
		o.kind, o.data, o.mode, o.ttl, o.flag = kindCreate, op.Data, op.Mode, op.TTL, op.Parents
	case SetOp:
		o.kind, o.data, o.version = kindSet, op.Data, op.Version
	case DeleteOp:
		o.kind, o.version, o.flag = kindDelete, op.Version, op.Recursive
	case CheckOp:
		o.kind, o.version, o.czxid = kindCheck, op.Version, op.Czxid
	}
	return o
}

// check refuses what is wrong with an operation whatever the tree looks like.
func (o *operation) check(maxData int) error {
	switch {
	case o.kind == 0, o.mode&^allModes != 0, o.ttl < 0, o.mode&Ephemeral != 0 && o.mode&Container != 0:
		return ErrBadArguments
	case o.mode&(Ephemeral|Container) != 0, o.ttl != 0, o.flag:
		return ErrUnsupported
	case len(o.data) > maxData:
		return ErrTooLarge
	}
	return checkPath(o.path, o.mode&Sequential != 0)
}

// opError wraps err; op is "" when it is about the request as a whole.
func opError(op, path string, index int, multi bool, err error) *OpError {
	if !multi {
		index = -1
	}
	return &OpError{Op: cmp.Or(op, "multi"), Path: path, Index: index, Err: err}
}
