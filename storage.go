package ensemble

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// snapshotsDir is where in the data directory the snapshots are. The log has the directory itself.
const snapshotsDir = "snapshots"

// storage is an open data directory.
type storage struct {
	dir    string
	log    *wal.Log
	states *snapshot.Store
	newest atomic.Uint64 // zxid of the newest snapshot that fits

	mu    sync.Mutex         // guards what follows; never held during I/O
	whole *snapshot.Receiver // a received snapshot whose RESET is yet to come
	need  snapshot.Need      // what a snapshot must be to be of use; Upto is only set in copies
}

// found is what a directory held, beside what the machine begins with.
type found struct {
	core.Recovered
	places places      // of entries, as far as they are known
	grown  int64       // bytes of log since the snapshot
	damage *DamageInfo // why it was set aside, if it was
}

// randomID draws what must not repeat.
func randomID() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// openStorage opens cfg.Dir and says what it held. All errors are *DirError.
func openStorage(ctx context.Context, cfg *Config) (*storage, found, error) {
	d := disk.Of(ctx)
	so := snapshot.Options{Dir: filepath.Join(cfg.Dir, snapshotsDir), FS: d.FS, Random: randomID, Keep: cfg.SnapshotsKept}
	lock, err := wal.Lock(d.FS, cfg.Dir)
	if err != nil {
		return nil, found{}, dirError(cfg.Dir, err)
	}
	names, err := d.FS.List(cfg.Dir)
	if err != nil {
		return nil, found{}, errors.Join(dirError(cfg.Dir, err), lock.Close())
	}
	if slices.Contains(names, unfinished) {
		return nil, found{}, errors.Join(&DirError{cfg.Dir, ErrDirUnfinished}, lock.Close())
	}
	s := &storage{dir: cfg.Dir}
	var f found
	log, rec, err := wal.Open(d.FS, wal.Options{
		Dir: cfg.Dir, Name: cfg.Name, Member: cfg.ID, Lock: lock, Random: randomID, SegmentSize: d.SegmentSize,
		Repair: readmittable(cfg), Aside: []string{snapshotsDir},
		Judge: func(rec *wal.Recovery) (err error) {
			f, err = s.judge(cfg, so, rec)
			return err
		},
	})
	s.log = log
	switch {
	case err != nil:
		return nil, found{}, dirError(cfg.Dir, err)
	case log == nil:
		return nil, found{}, refused(cfg, &rec)
	case rec.Evidence != "":
		if f, err = s.afresh(cfg, so, &rec); err != nil {
			return nil, found{}, errors.Join(dirError(cfg.Dir, err), log.Close())
		}
	case rec.Verdict.Kind == wal.TornTail:
		cfg.Logger.Warn("ensemble: the last batch was being written when the member stopped; what is left of it was cut", "member", cfg.ID, "verdict", rec.Verdict.String())
	}
	if rec.Aside >= wal.MostEvidence {
		cfg.Logger.Warn("ensemble: what earlier damage has left fills all of its places: if the directory is damaged once more, it is not repaired", "member", cfg.ID, "dir", cfg.Dir, "directories", rec.Aside)
	}
	cfg.Logger.Info("ensemble: data directory opened", "member", cfg.ID, "dir", cfg.Dir, "verdict", rec.Verdict.String(),
		"snapshot", Zxid(s.newest.Load()), "entries", len(f.Entries), "evidence", rec.Aside)
	return s, f, nil
}

// listDir returns the names in a data directory. It refuses, before the log is touched, one in which a Restore was interrupted, one with snapshots of a
// version that is not read, and one that has snapshots and no log: whoever took the log away took promises with it.
func listDir(fsys vfs.FS, dir string, so snapshot.Options) ([]string, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, dirError(dir, err)
	}
	if slices.Contains(names, unfinished) {
		return nil, &DirError{dir, ErrDirUnfinished}
	}
	kept, _, err := snapshot.Inspect(so)
	if err != nil {
		return nil, dirError(dir, err)
	}
	for _, i := range kept {
		if _, version := errors.AsType[*snapshot.VersionError](i.Fault); version {
			return nil, dirError(dir, i.Fault)
		}
	}
	if len(kept) > 0 && !hasLog(names) {
		return nil, impaired(dir, snapshotsDir, "there are snapshots, and the log is gone")
	}
	return names, nil
}

// hasLog reports whether files with these names may be those of a log, or of the repair of one.
func hasLog(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return name == "mark.0" || name == "mark.1" || strings.HasSuffix(name, ".log") || name == "repair" || strings.HasPrefix(name, "damaged-")
	})
}

// recover reads the newest snapshot that the log goes on from.
func (s *storage) recover(cfg *Config, so snapshot.Options, rec *wal.Recovery) (found, error) {
	f := found{Recovered: core.Recovered{Mark: rec.Mark, Entries: rec.Entries, Pos: rec.Pos}}
	so.Ensemble = rec.Mark.Ensemble
	states, err := snapshot.Open(so)
	if err != nil {
		return f, err
	}
	s.states = states
	if len(states.List()) > 0 && rec.Mark.Ensemble == (zab.EnsembleID{}) {
		return f, impaired(s.dir, snapshotsDir, "there are snapshots, and the mark knows of no ensemble")
	}
	s.need = snapshot.Need{From: rec.Base}
	if r := rec.Reset; r != nil {
		s.need.Reset = (*snapshot.Reset)(r)
		f.places.add(r.Zxid, r.Pos)
	}
	info, snap, err := s.load(cfg, rec)
	switch {
	case err != nil:
		return f, err
	case snap != nil:
		f.Snapshot = snap
		s.newest.Store(uint64(snap.Zxid))
		f.places = nil
		pos := info.Pos
		if pos == 0 && rec.Reset != nil { // it was received, and only the RESET that names it makes it ours
			pos = rec.Reset.Pos
		}
		f.places.add(snap.Zxid, pos)
		i := sort.Search(len(f.Entries), func(i int) bool { return f.Entries[i].Zxid > snap.Zxid })
		f.Entries = f.Entries[i:]
	}
	for i := range f.Entries {
		f.grown += recordBytes(len(f.Entries[i].Data))
	}
	if n := len(f.Entries); n > 0 {
		f.places.add(f.Entries[n-1].Zxid, rec.Pos)
	}
	return f, nil
}

// load returns the newest snapshot that is a point of the log's history, or nil if the log has all of it.
func (s *storage) load(cfg *Config, rec *wal.Recovery) (snapshot.Info, *zab.Snapshot, error) {
	need := s.need
	need.Upto = rec.Base
	if n := len(rec.Entries); n > 0 {
		need.Upto = rec.Entries[n-1].Zxid
	}
	// Of two snapshots of one zxid either will do; of a zxid that is not in the log, none.
	ours := func(z Zxid) bool {
		_, ok := slices.BinarySearchFunc(rec.Entries, z, func(e zab.Entry, z Zxid) int { return cmp.Compare(e.Zxid, z) })
		return ok || z == rec.Base
	}
	var unused []error
	list := s.states.List()
	for n, i := range list {
		if n > 0 && i.Zxid == list[n-1].Zxid || !ours(i.Zxid) {
			continue
		}
		one := need
		one.From, one.Upto = max(need.From, i.Zxid), min(need.Upto, i.Zxid)
		if one.From != one.Upto {
			continue
		}
		var chunks [][]byte
		info, faults, err := s.states.Load(one, func(r *snapshot.Reader) error {
			chunks = nil
			for {
				c, err := r.Chunk()
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				chunks = append(chunks, c)
			}
		})
		for _, f := range faults {
			cfg.Logger.Warn("ensemble: a snapshot is not used", "member", cfg.ID, "err", f)
		}
		unused = append(unused, faults...)
		if _, lost := errors.AsType[*snapshot.LostError](err); lost || errors.Is(err, snapshot.ErrNone) {
			continue
		}
		if err != nil {
			return info, nil, err
		}
		snap := info.Snapshot()
		snap.Chunks = chunks
		return info, snap, nil
	}
	if need.Reset == nil && need.From == 0 {
		return snapshot.Info{}, nil, nil
	}
	return snapshot.Info{}, nil, &snapshot.LostError{Need: need, Faults: unused}
}

// recordBytes is what a record counts towards Config.SnapshotBytes.
func recordBytes(data int) int64 { return int64(data) + 64 }

// hold keeps a snapshot that has come until the log names it; what was held before is given up.
func (s *storage) hold(r *snapshot.Receiver) {
	s.mu.Lock()
	r, s.whole = s.whole, r
	s.mu.Unlock()
	if r != nil {
		r.Abort()
	}
}

// install makes the received snapshot durable, before the RESET that names it.
func (s *storage) install(snap *zab.Snapshot) error {
	s.mu.Lock()
	r := s.whole
	s.whole = nil
	s.mu.Unlock()
	if r == nil {
		return errors.New("a RESET names a snapshot that was not received")
	}
	_, err := r.Commit(snap.Length, snap.Digest)
	return err
}

// close lets go of everything, the log last.
func (s *storage) close() error {
	s.mu.Lock()
	r := s.whole
	s.whole = nil
	s.mu.Unlock()
	var err error
	if r != nil {
		err = r.Close()
	}
	return errors.Join(err, s.log.Close())
}

// began notes that the history begins anew with r, durably.
func (s *storage) began(r *zab.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest.Store(uint64(r.Snapshot.Zxid))
	s.need = snapshot.Need{From: r.Snapshot.Zxid, Reset: &snapshot.Reset{Pos: r.Pos, Zxid: r.Snapshot.Zxid, Length: r.Snapshot.Length, Digest: r.Snapshot.Digest}}
}

// kept notes that a snapshot is durable. The history may have begun anew while it was written.
func (s *storage) kept(i *snapshot.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.need.Reset; r == nil || i.Pos >= r.Pos {
		s.newest.Store(uint64(i.Zxid))
	}
}

// retain removes the snapshots that are not needed any more, and returns the position from which on the log is. upto is the newest of them.
func (s *storage) retain(upto Zxid) (pos uint64, err error) {
	s.mu.Lock()
	need := s.need
	s.mu.Unlock()
	need.Upto = max(upto, need.From)
	return s.states.Retain(need)
}
