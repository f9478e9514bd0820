package snapshot

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Clear removes all snapshots of a directory, and what none is made of yet. Only Dir and FS of the Options count. No Store may be open.
func Clear(o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	names, err := o.FS.List(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &FailedError{"list " + o.Dir, err}
	}
	for _, name := range names {
		ours := false
		for _, s := range [...]string{suffix, tempSuffix, partSuffix} {
			_, is := parseName(name, s)
			ours = ours || is
		}
		if !ours {
			continue
		}
		if err := o.FS.Remove(filepath.Join(o.Dir, name)); err != nil {
			return &FailedError{"remove " + name, err}
		}
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return &FailedError{"sync " + o.Dir, err}
	}
	return nil
}
