// Package vfs is the few file operations that storage uses, on the operating system (OS) or on a Memory disk that can lose,
// tear and damage what it was given.
//
// The contract, which one test holds both to: writes are seen by later reads at once, and are durable when a Sync of their
// File has returned nil. A name is durable when a SyncDir of its directory has returned nil, whatever was synced of the file.
// Until then a crash of the process loses nothing and a power loss may lose any part. A file that is open is neither renamed
// nor removed: not every system can. Errors are those of io/fs, tested with errors.Is; ErrLocked is a lock held by somebody
// else.
//
// A FS may be used by several goroutines; a File by one writer and any number of readers.
package vfs
