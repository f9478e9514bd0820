package wal

import (
	"errors"
	"fmt"
)

// ErrGone tells that a history reaches back further than the log does.
var ErrGone = errors.New("wal: that history is not in the log any more")

// ErrClosed tells that the log was closed.
var ErrClosed = errors.New("wal: closed")

// FailedError ends a Log: the first error of an operation that changes the disk. Whether it took effect is not known.
type FailedError struct {
	Op  string
	Err error
}

// Error implements error.
func (e *FailedError) Error() string { return "wal: failed for good: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the error of the disk.
func (e *FailedError) Unwrap() error { return e.Err }

// IdentityError refuses a directory that belongs to somebody else. Nothing in it was touched.
type IdentityError struct {
	What       string // "member", "name" or "ensemble"
	Want, Have string
}

// Error implements error.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("wal: the directory is that of another %s: %s, not %s", e.What, e.Have, e.Want)
}

// VersionError refuses a directory of a version that this code does not read. Nothing in it was touched.
type VersionError struct {
	File    string
	Version uint16 // of the file
	Newest  uint16 // that can be read, with the one before it
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("wal: %s has format version %d; this program reads %d and the one before", e.File, e.Version, e.Newest)
}

// SequenceError refuses records that do not follow what is in the log: a mistake of the caller. Nothing was written.
type SequenceError struct {
	Index int // of the first that does not
	Why   string
}

// Error implements error.
func (e *SequenceError) Error() string { return fmt.Sprintf("wal: record %d: %s", e.Index, e.Why) }

// DamageError tells that what was read back is not what was written.
type DamageError struct {
	File   string
	Offset int64
	Why    string
}

// Error implements error.
func (e *DamageError) Error() string {
	return fmt.Sprintf("wal: %s at %d: %s", e.File, e.Offset, e.Why)
}
