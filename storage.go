package ensemble

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
)

// snapshotsDir is where in the data directory the snapshots are. The log has the directory itself.
const snapshotsDir = durable.SnapshotsDir

// storage is an open data directory.
type storage struct {
	dir string
	*durable.Store
	state  *core.Znodes // of the snapshot that was found, if one was
	damage *DamageInfo  // why what was found was set aside, if it was
}

// randomID draws what must not repeat.
func randomID() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// openStorage opens cfg.Dir and says what it held. Its membership replaces that of cfg. All errors are *DirError.
func openStorage(ctx context.Context, cfg *Config) (*storage, durable.Found, error) {
	d := disk.Of(ctx)
	so := snapshot.Options{Dir: filepath.Join(cfg.Dir, snapshotsDir), FS: d.FS, Random: randomID, Keep: cfg.SnapshotsKept}
	lock, err := wal.Lock(d.FS, cfg.Dir)
	if err != nil {
		return nil, durable.Found{}, dirError(cfg.Dir, err)
	}
	names, err := d.FS.List(cfg.Dir)
	if err != nil {
		return nil, durable.Found{}, errors.Join(dirError(cfg.Dir, err), lock.Close())
	}
	if slices.Contains(names, unfinished) {
		return nil, durable.Found{}, errors.Join(&DirError{cfg.Dir, ErrDirUnfinished}, lock.Close())
	}
	missing, err := heldMembers(d.FS, cfg, names)
	if err != nil {
		return nil, durable.Found{}, errors.Join(err, lock.Close())
	}
	s := &storage{dir: cfg.Dir}
	var f durable.Found
	log, rec, err := wal.Open(d.FS, wal.Options{
		Dir: cfg.Dir, Name: cfg.Name, Member: cfg.ID, Lock: lock, Random: randomID, SegmentSize: d.SegmentSize,
		Repair: readmittable(cfg), Aside: []string{snapshotsDir},
		Judge: func(rec *wal.Recovery) (err error) {
			f, err = s.judge(cfg, so, rec)
			return err
		},
	})
	switch {
	case err != nil:
		return nil, durable.Found{}, recoverError(cfg.Dir, err)
	case log == nil:
		return nil, durable.Found{}, refused(cfg, &rec)
	case rec.Evidence != "":
		if f, err = s.afresh(cfg, so, &rec); err != nil {
			return nil, durable.Found{}, errors.Join(recoverError(cfg.Dir, err), log.Close())
		}
	case rec.Verdict.Kind == wal.TornTail:
		cfg.Logger.Warn("ensemble: the last batch was being written when the member stopped; what is left of it was cut", "member", cfg.ID, "verdict", rec.Verdict.String())
	}
	s.Log = log
	if missing {
		if err := durable.WriteMembers(d.FS, cfg.Dir, cfg.Members); err != nil {
			return nil, durable.Found{}, errors.Join(dirError(cfg.Dir, err), log.Close())
		}
	}
	if rec.Aside >= wal.MostEvidence {
		cfg.Logger.Warn("ensemble: what earlier damage has left fills all of its places: if the directory is damaged once more, it is not repaired", "member", cfg.ID, "dir", cfg.Dir, "directories", rec.Aside)
	}
	cfg.Logger.Info("ensemble: data directory opened", "member", cfg.ID, "dir", cfg.Dir, "verdict", rec.Verdict.String(),
		"snapshot", s.Newest(), "entries", len(f.Entries), "evidence", rec.Aside)
	return s, f, nil
}

// listDir returns the names in a data directory, and how many snapshots it has. It refuses, before the log is touched, one in which a Restore was
// interrupted, and one with snapshots of a version that is not read.
func listDir(fsys vfs.FS, dir string, so snapshot.Options) (names []string, snapshots int, err error) {
	if names, err = fsys.List(dir); err != nil {
		return nil, 0, dirError(dir, err)
	}
	if slices.Contains(names, unfinished) {
		return nil, 0, &DirError{dir, ErrDirUnfinished}
	}
	kept, _, err := snapshot.Inspect(so)
	if err != nil {
		return nil, 0, dirError(dir, err)
	}
	for _, i := range kept {
		if _, version := errors.AsType[*snapshot.VersionError](i.Fault); version {
			return nil, 0, dirError(dir, i.Fault)
		}
	}
	return names, len(kept), nil
}

// hasLog reports whether files with these names may be those of a log, or of the repair of one.
func hasLog(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return name == "mark.0" || name == "mark.1" || strings.HasSuffix(name, ".log") || name == "repair" || strings.HasPrefix(name, "damaged-")
	})
}

// recoverError says in public terms why the log and the snapshots of a directory do not make a state.
func recoverError(dir string, err error) error {
	switch {
	case errors.Is(err, durable.ErrOrphans):
		return impaired(dir, snapshotsDir, err.Error())
	case errors.Is(err, errUndecodable):
		return impaired(dir, snapshotsDir, "the newest: "+err.Error())
	}
	return dirError(dir, err)
}
