package snapshot

import (
	"bufio"
	"errors"
	"io/fs"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

const (
	bufferSize = 256 << 10
	flushEvery = 256 << 10 // little, since a log on the same disk waits for as much
)

// output is a file on its way to become a snapshot.
type output struct {
	encoder
	s       *Store
	meta    Meta
	stem    string
	temp    string
	f       vfs.File
	buf     *bufio.Writer
	off     int64
	pending int // bytes written since the last sync
	err     error

	received bool
}

// create begins a file under a temporary name.
func (s *Store) create(m Meta, tempSuffix string) (*output, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	err := s.failed
	if err == nil {
		err = s.adopt(&m, "")
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for range 8 {
		o := &output{s: s, meta: m, stem: stem(m.Zxid, s.opt.Random())}
		o.temp = o.stem + tempSuffix
		if s.holds(o.stem + suffix) {
			continue
		}
		o.f, err = s.opt.FS.Create(s.path(o.temp))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, &FailedError{"create " + o.temp, err}
		}
		o.buf = bufio.NewWriterSize((*appender)(o), s.opt.buffer)
		o.w = o.buf
		return o, o.keep(o.begin(&m, s.opt.version))
	}
	return nil, errRandom
}

func (s *Store) holds(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.files, func(f *file) bool { return f.info.File == name })
}

// appender writes at the end of the file, and syncs now and then.
type appender output

func (a *appender) Write(b []byte) (int, error) {
	n, err := a.f.WriteAt(b, a.off)
	a.off += int64(n)
	a.pending += n
	if err != nil {
		return n, &FailedError{"write " + a.temp, err}
	}
	if a.pending >= a.s.opt.flush {
		a.pending = 0
		return n, (*output)(a).sync()
	}
	return n, nil
}

// sync is the only place where a file is synced.
func (o *output) sync() error {
	err := o.f.Sync()
	if err != nil && mutant.On("snapshot-sync-retried") {
		err = o.f.Sync()
	}
	if err != nil {
		return &FailedError{"sync " + o.temp, err}
	}
	return nil
}

// keep makes an error of the disk the end of this file: it is neither synced again nor used.
func (o *output) keep(err error) error {
	var failed *FailedError
	if o.err == nil && errors.As(err, &failed) {
		o.err = err
		o.discard()
	}
	return err
}

// discard removes the file. If that fails, it is of no account, and the next start removes it.
func (o *output) discard() {
	if o.f != nil {
		o.f.Close()
		o.f = nil
		o.s.opt.FS.Remove(o.s.path(o.temp))
	}
	if o.err == nil {
		o.err = ErrClosed
	}
}

func (o *output) addChunk(chunk []byte) error {
	if o.err != nil {
		return o.err
	}
	return o.keep(o.add(chunk))
}

// install makes the file a snapshot: it is one if this returns nil.
func (o *output) install() (Info, error) {
	if o.err != nil {
		return Info{}, o.err
	}
	if err := o.s.Err(); err != nil {
		o.discard()
		return Info{}, err
	}
	if err := o.finish(); err != nil {
		o.discard()
		return Info{}, err
	}
	o.err = ErrClosed
	name, fsys := o.stem+suffix, o.s.opt.FS
	if err := fsys.Rename(o.s.path(o.temp), o.s.path(name)); err != nil {
		return Info{}, o.s.fail("rename "+o.temp, err)
	}
	if !mutant.On("snapshot-no-dirsync") {
		if err := fsys.SyncDir(o.s.opt.Dir); err != nil {
			return Info{}, o.s.fail("sync "+o.s.opt.Dir, err)
		}
	}
	i := o.info(o.meta)
	i.File = name
	if o.received {
		o.s.mu.Lock()
		o.s.received = name
		o.s.mu.Unlock()
	}
	o.s.insert(&file{info: i, sound: true})
	return i, nil
}

func (s *Store) insert(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, f)
	slices.SortFunc(s.files, func(a, b *file) int { return newestFirst(a.info, b.info) })
}

// finish makes all of the file durable but its name.
func (o *output) finish() error {
	if err := o.end(); err != nil {
		return err
	}
	if err := o.buf.Flush(); err != nil {
		return err
	}
	if !mutant.On("snapshot-no-sync") {
		if err := o.sync(); err != nil {
			return err
		}
	}
	f := o.f
	o.f = nil
	if err := f.Close(); err != nil {
		o.s.opt.FS.Remove(o.s.path(o.temp))
		return &FailedError{"close " + o.temp, err}
	}
	return nil
}
