package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// ErrUsed refuses to make a log where there is one.
var ErrUsed = errors.New("wal: the directory holds a log")

// lockName is the file that is locked.
const lockName = "lock"

// Lock makes a directory, durable with all above it, and takes its lock.
func Lock(fsys vfs.FS, dir string) (io.Closer, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, &FailedError{"make " + dir, err}
	}
	lock, err := fsys.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	return lock, nil
}

// Create makes a new log, which begins with the mark m, in a directory that holds none; otherwise it is ErrUsed and nothing was touched. A
// crash leaves no log, or a whole one with this mark and no records. With Options.Member 0 it is nobody's, and becomes that of the first member who opens it.
func Create(fsys vfs.FS, o Options, m zab.Mark) (*Log, error) {
	o.nobody = o.Member == 0
	if err := o.complete(); err != nil {
		return nil, errors.Join(err, o.unlock())
	}
	if o.Lock == nil {
		var err error
		if o.Lock, err = Lock(fsys, o.Dir); err != nil {
			return nil, err
		}
	}
	im := &image{fs: fsys, dir: o.Dir, newest: o.version}
	names, err := fsys.List(o.Dir)
	if err != nil {
		err = &FailedError{"list " + o.Dir, err}
	} else if im.sort(names); !im.fresh() || im.marked || len(im.aside) > 0 {
		err = ErrUsed
	}
	if err != nil {
		return nil, errors.Join(err, o.unlock())
	}
	l := &Log{fs: fsys, opt: o, lock: o.Lock}
	l.adopt(im)
	m.Member = o.Member
	l.slot.mark = m
	if err := l.ready(im); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// Read is what Open would find, and changes nothing. It takes no lock: of a log in use it may see a batch in the making.
func Read(fsys vfs.FS, dir string) (Recovery, error) {
	im := &image{fs: fsys, dir: dir, newest: Version}
	if err := im.scan(nil); err != nil {
		return Recovery{}, err
	}
	return im.recovery(), nil
}

// Clear removes the log from a directory whose lock the caller holds.
func Clear(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &FailedError{"list " + dir, err}
	}
	for _, name := range names {
		base := strings.TrimSuffix(name, tempSuffix)
		if _, _, ok := parseSegmentName(base); !ok && !slices.Contains(slotNames[:], base) {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return &FailedError{"remove " + name, err}
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return &FailedError{"sync " + dir, err}
	}
	return nil
}
