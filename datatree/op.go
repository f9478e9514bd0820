package datatree

import (
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

// check refuses what is wrong with an operation whatever the tree looks like.
func check(op Op, maxData int) error {
	switch o := op.(type) {
	case CreateOp:
		switch {
		case o.Mode&^allModes != 0 || o.TTL < 0 || o.Mode&Ephemeral != 0 && o.Mode&Container != 0:
			return ErrBadArguments
		case o.Mode&(Ephemeral|Container) != 0 || o.TTL != 0 || o.Parents:
			return ErrUnsupported
		case len(o.Data) > maxData:
			return ErrTooLarge
		}
		return checkPath(o.Path, o.Mode&Sequential != 0)
	case SetOp:
		if len(o.Data) > maxData {
			return ErrTooLarge
		}
		return checkPath(o.Path, false)
	case DeleteOp:
		if o.Recursive {
			return ErrUnsupported
		}
		return checkPath(o.Path, false)
	case CheckOp:
		return checkPath(o.Path, false)
	}
	return ErrBadArguments
}

// opError wraps err; op may be nil.
func opError(op Op, index int, multi bool, err error) *OpError {
	e := &OpError{Op: "multi", Index: -1, Err: err}
	if op != nil {
		e.Op, e.Path = NameOf(op)
	}
	if multi {
		e.Index = index
	}
	return e
}
