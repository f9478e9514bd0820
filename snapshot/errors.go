package snapshot

import (
	"errors"
	"fmt"

	"github.com/ensemble-go/ensemble/zab"
)

// ErrNone tells that no snapshot can be used and none is needed: the log begins at the beginning of the history.
var ErrNone = errors.New("snapshot: none, and the log has the whole history")

// ErrOrder refuses a chunk that does not follow what is there. Nothing was written.
var ErrOrder = errors.New("snapshot: chunk out of order")

// ErrPosition tells that a snapshot has no such Position: whoever has come that far was reading another one.
var ErrPosition = errors.New("snapshot: the position is not in this snapshot")

// ErrClosed tells that a Writer, Receiver or Reader is at its end.
var ErrClosed = errors.New("snapshot: closed")

var errRandom = errors.New("snapshot: Random gives the same numbers again")

// FailedError is an error of the disk. Nothing was installed, or, where it came after the rename, it is not known whether that is durable.
type FailedError struct {
	Op  string
	Err error
}

// Error implements error.
func (e *FailedError) Error() string { return "snapshot: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the error of the disk.
func (e *FailedError) Unwrap() error { return e.Err }

// DamageError tells that a container is not what was written.
type DamageError struct {
	File   string // "" for a stream
	Offset int64
	Why    string
	Err    error // of reading, if that is why
}

// Error implements error.
func (e *DamageError) Error() string {
	s := fmt.Sprintf("snapshot: %s at %d: %s", e.File, e.Offset, e.Why)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error of reading.
func (e *DamageError) Unwrap() error { return e.Err }

// VersionError refuses a container of a version that this code does not read. Nothing was touched.
type VersionError struct {
	File    string
	Version uint16 // of the container
	Newest  uint16 // that can be read, with the one before it
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("snapshot: %s has format version %d; this program reads %d and the one before", e.File, e.Version, e.Newest)
}

// IdentityError refuses a snapshot of another ensemble. Nothing was touched.
type IdentityError struct {
	File       string
	Want, Have zab.EnsembleID
}

// Error implements error.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("snapshot: %s is of ensemble %x, not %x", e.File, e.Have, e.Want)
}

// UnfitError tells why a whole snapshot is not used.
type UnfitError struct {
	File string
	Why  string
}

// Error implements error.
func (e *UnfitError) Error() string { return "snapshot: " + e.File + ": " + e.Why }

// LostError tells that the log needs a snapshot and there is none that can be used.
type LostError struct {
	Need   Need
	Faults []error // of those that are there
}

// Error implements error.
func (e *LostError) Error() string {
	s := fmt.Sprintf("snapshot: lost: the log needs one from %v to %v", e.Need.From, e.Need.Upto)
	if r := e.Need.Reset; r != nil {
		s += fmt.Sprintf(", that of the RESET at position %d to %v or one made after it", r.Pos, r.Zxid)
	}
	return s + fmt.Sprintf("; %d files cannot be used", len(e.Faults))
}

// Unwrap returns Faults.
func (e *LostError) Unwrap() []error { return e.Faults }
