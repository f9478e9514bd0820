package ensemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// BackupDir is Backup of a member that does not run, from its data directory, which it locks and does not change. It is the way out when a majority of the
// disks is lost: Restore makes a new ensemble of it.
//
// The backup holds everything that the member has logged, also the end of the log of which it does not know whether it was committed. A write that
// was acknowledged may be nowhere else; so one whose outcome was ErrUncertain may be in it, too. Of several survivors, the backup with the greatest zxid is the one to restore.
//
// An error of the directory is a *DirError: ErrDirInUse while the member runs, ErrImpaired if the directory is damaged, ErrDirEmpty if nothing was ever
// agreed on there. Other errors are those of w and of ctx. What was written before an error is of no use, and Restore refuses it.
func BackupDir(ctx context.Context, dir string, w io.Writer) (Zxid, error) {
	z, err := backupDir(ctx, disk.Of(ctx), dir, w)
	if err != nil {
		return 0, fmt.Errorf("ensemble: backup: %w", err)
	}
	return z, nil
}

func backupDir(ctx context.Context, d disk.Disk, dir string, w io.Writer) (z Zxid, err error) {
	so := snapshot.Options{Dir: filepath.Join(dir, snapshotsDir), FS: d.FS, ReadOnly: true}
	names, kept, err := listDir(d.FS, dir, so)
	if err != nil {
		return 0, err
	}
	if !hasLog(names) { // nothing is made there, not even a lock
		if err := durable.Orphans(&wal.Recovery{Fresh: true}, kept); err != nil {
			return 0, recoverError(dir, err)
		}
		return 0, &DirError{dir, ErrDirEmpty}
	}
	lock, err := wal.Lock(d.FS, dir)
	if err != nil {
		return 0, dirError(dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	f, sm, err := readStorage(d, dir, so)
	if err != nil {
		return 0, err
	}
	if n := len(f.Entries); n > 0 && mutant.On("backupdir-without-tail") {
		f.Entries = f.Entries[:n-1]
	}
	end := f.End()
	if end.Zxid == 0 {
		return 0, &DirError{dir, ErrDirEmpty}
	}
	err = replay(ctx, sm, f.Entries)
	if errors.Is(err, errReplay) {
		return 0, impaired(dir, "its history", err.Error())
	}
	if err != nil {
		return 0, err
	}
	r := sm.Snapshot(chunkBytes)
	defer r.Close()
	return writeBackup(ctx, w, f.Mark.Ensemble, end, r)
}

// readStorage reads what openStorage would find, with the state of the snapshot or an empty one, and changes nothing.
func readStorage(d disk.Disk, dir string, so snapshot.Options) (durable.Found, *core.Znodes, error) {
	none := durable.Found{}
	if _, _, err := listDir(d.FS, dir, so); err != nil { // again, now that nobody else is there
		return none, nil, err
	}
	rec, err := wal.Read(d.FS, dir)
	switch {
	case err != nil:
		return none, nil, dirError(dir, err)
	case rec.Verdict.Kind == wal.Impaired:
		return none, nil, impaired(dir, rec.Verdict.Where, rec.Verdict.Why)
	case rec.Mark.Spoilt:
		return none, nil, impaired(dir, "the mark", "the state was given up, since it differed from that of others or was damaged")
	}
	var state *core.Znodes
	load := func(r *snapshot.Reader) (err error) {
		state, err = loadState(r, mostData)
		return err
	}
	_, f, err := durable.Recover(nil, &rec, so, load, func(error) {})
	if err != nil {
		return none, nil, recoverError(dir, err)
	}
	if f.Snapshot == nil {
		state = core.NewZnodes(mostData)
	}
	return f, state, nil
}

var errReplay = errors.New("it cannot be applied")

// replay applies the rest of a history to a state.
func replay(ctx context.Context, sm *core.Znodes, entries []zab.Entry) error {
	for i := range entries {
		e := &entries[i]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e.Kind != zab.EntryData {
			sm.Advance(e.Zxid)
			continue
		}
		if _, err := sm.Apply(e.Zxid, e.Data); err != nil {
			return fmt.Errorf("%w: %v: %w", errReplay, e.Zxid, err)
		}
	}
	return nil
}
