package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Options describe a directory of snapshots. Dir is required, and, by those who write, Random.
type Options struct {
	Dir      string         // created if it is not there; files of other names in it are left alone
	FS       vfs.FS         // nil: that of the operating system
	Ensemble zab.EnsembleID // refuse snapshots of any other; zero: the first that is seen

	// Random draws the ids of files and of snapshots, which must never repeat.
	Random func() uint64

	ReadOnly bool // Open makes, removes and syncs nothing, so what is listed need not be durable; the Store is only to be read

	Keep int // how many snapshots Retain keeps at least; 0: 3

	version uint16 // of the format that is written; 0: this package's. Tests stand in for the next one.
	flush   int    // bytes between two syncs of a file that is being written; 0: flushEvery
	buffer  int    // bytes of one write to a file; 0: bufferSize
}

func (o *Options) complete() error {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Keep == 0 {
		o.Keep = 3
	}
	if o.version == 0 {
		o.version = Version
	}
	if o.flush == 0 {
		o.flush = flushEvery
	}
	if o.buffer == 0 {
		o.buffer = bufferSize
	}
	if o.Dir == "" || o.Keep < 0 {
		return errors.New("snapshot: Dir is required, and Keep is not negative")
	}
	return nil
}

// Store is a directory of snapshots.
type Store struct {
	opt Options

	mu       sync.Mutex // guards what follows; never held during I/O
	files    []*file    // newest first
	parts    map[string]bool
	inUse    map[string]bool // parts that a Receiver writes to
	received string          // the last that was received in this run: its RESET may be on its way
	ensemble zab.EnsembleID
	failed   error
}

// file is an installed snapshot.
type file struct {
	info    Info
	readers int
	sound   bool // written or read whole in this run
}

// Open makes the directory ready: what was being written is removed, what is there is durable from here on. A snapshot of another ensemble, or
// of a version that is not read, refuses the directory, and nothing is touched (*IdentityError, *VersionError). A damaged one is listed with its Fault and left where it is.
func Open(o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Random == nil && !o.ReadOnly {
		return nil, errors.New("snapshot: Random is required")
	}
	infos, leftover, err := Inspect(o)
	if err != nil {
		return nil, err
	}
	s := &Store{opt: o, ensemble: o.Ensemble, parts: map[string]bool{}, inUse: map[string]bool{}}
	for _, i := range infos {
		var version *VersionError
		var identity *IdentityError
		if errors.As(i.Fault, &version) || errors.As(i.Fault, &identity) {
			return nil, i.Fault
		}
		if i.Fault == nil {
			if err := s.adopt(&i.Meta, i.File); err != nil {
				return nil, err
			}
		}
		s.files = append(s.files, &file{info: i})
	}
	if o.ReadOnly {
		return s, nil
	}
	if err := makeDir(o.FS, o.Dir); err != nil {
		return nil, &FailedError{"make " + o.Dir, err}
	}
	for _, name := range leftover {
		if _, part := parseName(name, partSuffix); part {
			s.parts[name] = true
			continue
		}
		if err := o.FS.Remove(filepath.Join(o.Dir, name)); err != nil {
			return nil, &FailedError{"remove " + name, err}
		}
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return nil, &FailedError{"sync " + o.Dir, err}
	}
	return s, nil
}

// makeDir makes the directory durable, unless it is in use already.
func makeDir(fsys vfs.FS, dir string) error {
	if names, err := fsys.List(dir); err == nil && len(names) > 0 {
		return nil
	}
	return vfs.MakeDir(fsys, dir)
}

// adopt checks that m is of this ensemble. Called with the lock held, or by the only owner.
func (s *Store) adopt(m *Meta, name string) error {
	if s.ensemble == (zab.EnsembleID{}) {
		s.ensemble = m.Ensemble
	}
	if s.ensemble != m.Ensemble {
		return &IdentityError{name, s.ensemble, m.Ensemble}
	}
	return nil
}

// List returns what is installed, newest first. Spans and Members are only to be looked at.
func (s *Store) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := make([]Info, len(s.files))
	for i, f := range s.files {
		infos[i] = f.info
	}
	return infos
}

// Err returns what ended the Store: an error of a rename or of a sync of the directory, after which it cannot be told what is durable. Everything that
// writes returns it from then on. Other errors end only what they befell.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *Store) fail(op string, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = &FailedError{op, err}
	}
	return s.failed
}

func (s *Store) path(name string) string { return filepath.Join(s.opt.Dir, name) }

// Open opens one of those that are listed, by its name. It stays as long as the Reader is open.
func (s *Store) Open(name string) (*Reader, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.files, func(f *file) bool { return f.info.File == name })
	if i < 0 {
		s.mu.Unlock()
		return nil, &FailedError{"open " + name, fs.ErrNotExist}
	}
	f := s.files[i]
	f.readers++
	s.mu.Unlock()
	r, err := s.opt.open(name)
	if err != nil {
		s.released(f, err, false)
		return nil, err
	}
	shut := r.release
	r.release = func() {
		shut()
		s.released(f, r.Err(), r.err == io.EOF && !r.skipped)
	}
	return r, nil
}

// released takes note of what a Reader has seen.
func (s *Store) released(f *file, err error, sound bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.readers--
	f.sound = f.sound || sound
	if f.info.Fault == nil && err != nil && err != ErrPosition {
		f.info.Fault, f.sound = err, false
	}
}
