package vfs

import (
	"errors"
	"io"
	"syscall"
)

// FS is a file system. Names are paths of the operating system.
type FS interface {
	// Create makes a file that must not be there yet, for reading and writing.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenWrite opens a file that is there for reading and writing.
	OpenWrite(name string) (File, error)
	// Rename gives a file, or a directory with all that is in it, another name, which must be free; in another directory of the same file system, too. It
	// happens wholly or not at all, and is durable when both directories are synced.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// MkdirAll makes a directory, with those above it. One that is there is no error.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, which it creates. It is held until Close, or until the process ends in any way;
	// held by somebody else, in this process or another, it is ErrLocked at once.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Write appends at the end of the file.
	io.Writer
	io.Closer
	// Size returns the length of the file.
	Size() (int64, error)
	// Truncate makes the file this long. What is new reads as zeros.
	Truncate(size int64) error
	// Preallocate makes the file at least this long, and has the space reserved if the system can. What is new reads as zeros.
	Preallocate(size int64) error
	// Sync makes content and length durable. After an error nothing is known, and it must not be tried again.
	Sync() error
}

// OfMedium reports whether an error of reading may tell of damage to what is stored. Any other, such as a refused permission or too many
// open files, says nothing of that.
func OfMedium(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// ErrLocked tells that somebody else holds the lock.
var ErrLocked = errors.New("vfs: locked")
