package ensemble

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// Bootstrap begins the data directory of a founder with an empty history, before its first Open: the birth of the ensemble is then complete, so that a mere quorum of
// founders that were bootstrapped can begin. Without it, all founders have to be there once. Each founder calls it on its own Dir, which must be empty or
// absent, with the same Name and Members; addresses may differ. Transport is not used. A founder that is not bootstrapped comes later, as a blank member.
//
// It is done once in the life of a member, and never for one whose directory was lost: to bootstrap that again can lose acknowledged writes. See the table in
// the README.
//
// Every fault of cfg is reported, as *ConfigErrors joined by errors.Join. A directory that holds something already is refused by a *DirError that is
// ErrDirUsed. After a crash the directory is as it was, or begun.
func Bootstrap(ctx context.Context, cfg Config) error {
	faults := cfg.faults(true)
	if cfg.Dir == "" {
		faults = append(faults, &ConfigError{"Dir", errNoDir})
	}
	if cfg.Join {
		faults = append(faults, &ConfigError{"Join", errJoins})
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("ensemble: bootstrap: %w", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ensemble: bootstrap: %w", ctx.Err())
	}
	mark := zab.Mark{Ensemble: derivedID("bootstrap", cfg.Name, cfg.Members, nil), Born: true}
	for _, m := range cfg.Members {
		mark.Counts = mark.Counts || m.ID == cfg.ID && !m.Observer
	}
	random(mark.Incarnation[:])
	if err := begin(disk.Of(ctx), &cfg, mark); err != nil {
		return fmt.Errorf("ensemble: bootstrap: %w", err)
	}
	return nil
}

var (
	errNoDir = errors.New("is required")
	errJoins = errors.New("is for members that are no founders")
)

// begin makes the log of a directory that holds nothing.
func begin(d disk.Disk, cfg *Config, mark zab.Mark) error {
	dir := cfg.Dir
	lock, err := wal.Lock(d.FS, dir)
	if err != nil {
		return dirError(dir, err)
	}
	if err := judgeVacant(d.FS, dir); err != nil {
		return errors.Join(err, lock.Close())
	}
	if err := durable.WriteMembers(d.FS, dir, cfg.Members); err != nil {
		return errors.Join(dirError(dir, err), lock.Close())
	}
	first := mark
	if mutant.On("bootstrap-in-two-steps") {
		first = zab.Mark{}
	}
	log, err := wal.Create(d.FS, wal.Options{Dir: dir, Name: cfg.Name, Member: cfg.ID, Lock: lock, Random: randomID, SegmentSize: d.SegmentSize}, first)
	if err == nil && first != mark {
		err = log.Append([]zab.Record{{Kind: zab.RecordMark, Mark: mark}})
	}
	if err == nil {
		err = log.Close()
	}
	if err != nil {
		return dirError(dir, err)
	}
	return nil
}

// judgeVacant refuses a directory that holds anything of a member's. What a crash left of a file in the making is nothing.
func judgeVacant(fsys vfs.FS, dir string) error {
	so := snapshot.Options{Dir: filepath.Join(dir, snapshotsDir), FS: fsys}
	names, kept, err := listDir(fsys, dir, so)
	if err != nil {
		return err
	}
	_, leftover, err := snapshot.Inspect(so)
	if err != nil {
		return dirError(dir, err)
	}
	received := func(name string) bool { return !strings.HasSuffix(name, ".tmp") }
	if hasLog(names) || kept > 0 || slices.ContainsFunc(leftover, received) {
		return &DirError{dir, ErrDirUsed}
	}
	return nil
}
