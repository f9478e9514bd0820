package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// MakeDir makes a directory and its name durable. Those above it may be the work of a start that did not get this far, so all are synced; one that may not be
// read was not made by us. Neither was what is on a file system that cannot sync a directory, such as a read-only image in which another is mounted: on one that
// can be written the directory itself will fail as it does.
func MakeDir(fsys FS, dir string) error {
	there := dir // the lowest that is
	for there != filepath.Dir(there) {
		if _, err := fsys.List(there); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		there = filepath.Dir(there)
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	made := there != dir // something, in the directory at hand
	for d := filepath.Dir(dir); ; d = filepath.Dir(d) {
		if err := fsys.SyncDir(d); err != nil && !errors.Is(err, fs.ErrPermission) && (made || !unsynced(err)) {
			return err
		}
		if d == filepath.Dir(d) {
			return nil
		}
		made = made && d != there
	}
}

// unsynced reports whether an error says that a directory cannot be synced at all.
func unsynced(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}
