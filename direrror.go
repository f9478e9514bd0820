package ensemble

import (
	"errors"
	"fmt"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
)

// What can be wrong with a data directory, besides ErrImpaired: a *DirError is one of these, too.
var (
	// ErrDirInUse says that another Node, of this process or another, has the directory.
	ErrDirInUse = errors.New("it is in use")
	// ErrDirForeign says that it belongs to another member, or to an ensemble of another name. Nothing in it was touched.
	ErrDirForeign = errors.New("it belongs to somebody else")
	// ErrDirVersion says that it was written by a version of this library whose format this one does not read. Nothing in it was touched.
	ErrDirVersion = errors.New("its format is not one that this version reads")
	// ErrDirUsed says that a directory that was to be begun holds something already. Nothing in it was touched.
	ErrDirUsed = errors.New("it holds data already")
	// ErrDirEmpty says that a directory to be backed up holds no state.
	ErrDirEmpty = errors.New("it holds no state")
	// ErrDirUnfinished says that a Restore of it was interrupted, and is to be repeated.
	ErrDirUnfinished = errors.New("a restore of it was interrupted: repeat it")
	// ErrDirFailed says that reading or writing it failed. For a node that runs it is the end: a failed write or sync is never tried again.
	ErrDirFailed = errors.New("the disk failed")
)

// DirError tells why a data directory was not opened, begun or backed up, or what ended a node that used it. It is (by errors.Is) one of ErrDirInUse,
// ErrDirForeign, ErrDirVersion, ErrDirUsed, ErrDirEmpty, ErrDirUnfinished, ErrImpaired and ErrDirFailed, and the error of the operating system if there was any.
//
// With ErrImpaired, something that was in the directory is damaged or gone, and it could not be repaired: it may have held what others rely on, so the
// member must not vote with what is left. In an ensemble of three voters or more Open does not fail so: it sets the directory aside, within itself and to the last byte, and
// the member is brought up to date by the others and readmitted, as long as a quorum of them is sound; Status says Impaired meanwhile, the Logger why, and
// Trace.Damaged both. Where that cannot be, which the error says, nothing was changed: with one voter or two, when the files could not be read for
// another reason than damage, and when there is evidence of three repairs already.
type DirError struct {
	Dir string
	Err error
}

// Error implements error.
func (e *DirError) Error() string { return "data directory " + e.Dir + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *DirError) Unwrap() error { return e.Err }

// dirError says in public terms what befell a directory.
func dirError(dir string, err error) error {
	if _, said := errors.AsType[*DirError](err); said {
		return err
	}
	what := ErrDirFailed
	_, foreign := errors.AsType[*wal.IdentityError](err)
	_, mixed := errors.AsType[*snapshot.IdentityError](err)
	_, version := errors.AsType[*wal.VersionError](err)
	_, newer := errors.AsType[*snapshot.VersionError](err)
	_, lost := errors.AsType[*snapshot.LostError](err)
	_, damage := errors.AsType[*snapshot.DamageError](err)
	switch {
	case errors.Is(err, wal.ErrUsed):
		what = ErrDirUsed
	case errors.Is(err, vfs.ErrLocked):
		what = ErrDirInUse
	case foreign, mixed:
		what = ErrDirForeign
	case version, newer:
		what = ErrDirVersion
	case lost, damage:
		what = ErrImpaired
	}
	return &DirError{dir, fmt.Errorf("%w: %w", what, err)}
}

// impaired is the error for a directory whose content cannot be relied on.
func impaired(dir, where, why string) error {
	return &DirError{dir, fmt.Errorf("%w: %s: %s", ErrImpaired, where, why)}
}
