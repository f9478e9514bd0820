package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// MakeDir makes a directory and its name durable. Those above it may be the work of a start that did not get this far, so all are synced; one that may not be
// read was not made by us.
func MakeDir(fsys FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for d := filepath.Dir(dir); ; d = filepath.Dir(d) {
		if err := fsys.SyncDir(d); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}
