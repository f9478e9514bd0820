package datatree

import (
	"errors"
	"fmt"
	"strconv"
)

// What can be wrong with an operation. An *OpError says where.
var (
	ErrNoNode                  = errors.New("no such znode")
	ErrNodeExists              = errors.New("znode exists")
	ErrBadVersion              = errors.New("version does not match")
	ErrNotEmpty                = errors.New("znode has children")
	ErrNoChildrenForEphemerals = errors.New("an ephemeral znode cannot have children")
	ErrBadPath                 = errors.New("malformed path")
	ErrBadArguments            = errors.New("bad arguments")
	ErrTooLarge                = errors.New("too large")
	ErrNoAuth                  = errors.New("not authorised")
	ErrInvalidACL              = errors.New("invalid ACL")
	ErrQuotaExceeded           = errors.New("quota exceeded")
	ErrUnsupported             = fmt.Errorf("%w: not supported yet", ErrBadArguments) // what this version of the package does not do
	ErrSequenceExhausted       = errors.New("sequence numbers of the parent are used up")
)

// ErrCorrupt is given for bytes that no Tree made: a torn request, transaction or chunk.
var ErrCorrupt = errors.New("datatree: malformed bytes")

// ErrOutOfOrder is given for a zxid that is not greater than the ones before it.
var ErrOutOfOrder = errors.New("datatree: zxid out of order")

// OpError says which operation failed, and where.
type OpError struct {
	Op    string // create, set, delete, check, setACL, reap, closeSession, multi; op for what is none of these
	Path  string
	Index int // of the operation in its multi; -1 outside one
	Err   error
}

// Error names the operation, its path and its place in a multi, if it has them, and what is wrong.
func (e *OpError) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + strconv.Quote(e.Path)
	}
	if e.Index >= 0 {
		s = "multi[" + strconv.Itoa(e.Index) + "]: " + s
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *OpError) Unwrap() error { return e.Err }

// Code is the name of a sentinel on the wire. Codes are never reused.
type Code uint8

// codes is indexed by Code: the order is part of the format, append only.
var codes = [...]error{
	1:  ErrNoNode,
	2:  ErrNodeExists,
	3:  ErrBadVersion,
	4:  ErrNotEmpty,
	5:  ErrNoChildrenForEphemerals,
	6:  ErrBadPath,
	7:  ErrBadArguments,
	8:  ErrTooLarge,
	9:  ErrNoAuth,
	10: ErrUnsupported,
	11: ErrSequenceExhausted,
	12: ErrInvalidACL,
	13: ErrQuotaExceeded,
}

// CodeUnknown stands for an error that has no code of its own.
const CodeUnknown Code = 255

var errUnknown = errors.New("unknown error code")

// CodeOf returns the code of the sentinel in err's chain: 0 for nil, CodeUnknown when there is none.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	// From the end, because what refines a sentinel (ErrUnsupported) was added after it.
	for c := len(codes) - 1; c > 0; c-- {
		if errors.Is(err, codes[c]) {
			return Code(c)
		}
	}
	return CodeUnknown
}

// Err returns the sentinel that c names: nil for 0, and an error that is none of the sentinels for a code this version does not know.
func (c Code) Err() error {
	switch {
	case c == 0:
		return nil
	case int(c) < len(codes):
		return codes[c]
	}
	return errUnknown
}
