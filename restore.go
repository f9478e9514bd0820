package ensemble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// RestoreOptions tell what becomes of a backup.
type RestoreOptions struct {
	// Name of the ensemble, that of each member's Config. At most 255 bytes.
	Name string
	// Members of the restored ensemble, those of each member's Config. They need not be those of the old one. Addresses may differ.
	Members []Member
	// Epoch in which the restored ensemble begins. It must be above that of every write that was ever acknowledged, lest fencing tokens go back. 0: 65536 above that of the backup.
	Epoch uint32
}

const (
	epochsAhead = 1 << 16                    // more elections than there can have been since a backup
	lastEpoch   = zab.MaxEpoch - epochsAhead // some are left for what comes after
)

// unfinished is the file that is in a data directory while Restore works there.
const unfinished = "restore.unfinished"

// Restore prepares the data directory of a member from a backup, before its first Open; dir must be empty or absent. It is run for every
// member of the new ensemble, with the same backup and the same options. A quorum of them can then begin; a member with an empty directory comes
// later, as a blank one. A restored directory becomes that of the first member who opens it.
//
// The ensemble is a new one: its identity follows from the backup and the options, and members of the old one are refused. Its history goes on from that of the backup,
// in a later epoch. All sessions are kept.
//
// As with Bootstrap, it is done once for each member, and never for one that has run since: that one is opened with an empty directory. Restoring it again can lose
// acknowledged writes.
//
// The backup is checked to its end before anything counts. Faults of the options are *ConfigErrors, joined by errors.Join; what is wrong with the backup is
// ErrBadBackup, and nothing of it is then in the directory; what is wrong with the directory is a *DirError, such as ErrDirUsed. After a crash or an error of
// the disk it is as it was, restored, or ErrDirUnfinished to everybody but Restore, which is then repeated. Of r nothing behind the backup is read.
func Restore(ctx context.Context, dir string, r io.Reader, o RestoreOptions) error {
	if err := restore(ctx, disk.Of(ctx), dir, r, &o); err != nil {
		return fmt.Errorf("ensemble: restore: %w", err)
	}
	return nil
}

func restore(ctx context.Context, d disk.Disk, dir string, r io.Reader, o *RestoreOptions) error {
	if err := o.check(dir); err != nil {
		return err
	}
	in, err := snapshot.NewReader(r)
	if err != nil {
		return badBackup(err)
	}
	meta := in.Meta()
	if meta.ID == (snapshot.ID{}) || meta.Zxid == 0 {
		return badBackup(errors.New("it does not say which"))
	}
	epoch, err := o.epoch(meta.Zxid)
	if err != nil {
		return err
	}
	meta = o.begin(&meta, epoch)
	lock, err := wal.Lock(d.FS, dir)
	if err != nil {
		return dirError(dir, err)
	}
	a := arrival{disk: d, dir: dir, so: snapshot.Options{Dir: filepath.Join(dir, snapshotsDir), FS: d.FS, Random: randomID}}
	w, err := a.receive(ctx, in, meta)
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	defer w.Abort()
	mark := zab.Mark{Ensemble: meta.Ensemble, Born: true, Counts: true, Promised: epoch - 1, Joined: epoch - 1}
	random(mark.Incarnation[:])
	if mutant.On("restore-epoch-kept") {
		mark.Promised, mark.Joined = meta.Zxid.Epoch(), meta.Zxid.Epoch()
	}
	return a.install(w, lock, o, mark)
}

func badBackup(err error) error { return fmt.Errorf("%w: %w", ErrBadBackup, err) }

// check returns every fault, joined.
func (o *RestoreOptions) check(dir string) error {
	var faults []error
	if dir == "" {
		faults = append(faults, &ConfigError{"Dir", errNoDir})
	}
	if len(o.Name) > maxName {
		faults = append(faults, &ConfigError{"Name", fmt.Errorf("is longer than %d bytes", maxName)})
	}
	for _, err := range split(quorum.Validate(o.Members)) {
		faults = append(faults, &ConfigError{"Members", err})
	}
	if o.Epoch > lastEpoch {
		faults = append(faults, &ConfigError{"Epoch", fmt.Errorf("%d is above %d", o.Epoch, lastEpoch)})
	}
	return errors.Join(faults...)
}

// epoch returns the one in which the restored ensemble begins.
func (o *RestoreOptions) epoch(z Zxid) (uint32, error) {
	e := uint64(o.Epoch)
	if e == 0 {
		e = uint64(z.Epoch()) + epochsAhead
	}
	switch {
	case e <= uint64(z.Epoch()):
		return 0, &ConfigError{"Epoch", fmt.Errorf("%d is not above that of the backup, %d", e, z.Epoch())}
	case e > lastEpoch:
		return 0, &ConfigError{"Epoch", fmt.Errorf("must be given: the backup is of epoch %d", z.Epoch())}
	}
	return uint32(e), nil
}

// begin describes the snapshot with which the new history begins. Nobody was ever readmitted to it. A backup has a name of its own, so its chunks need not be seen
// to tell it from any other.
func (o *RestoreOptions) begin(backup *snapshot.Meta, epoch uint32) snapshot.Meta {
	le := binary.LittleEndian
	about := append(backup.Ensemble[:], backup.ID[:]...)
	about = le.AppendUint32(le.AppendUint64(about, uint64(backup.Zxid)), epoch)
	for _, s := range backup.Spans {
		about = le.AppendUint32(le.AppendUint32(about, s.Epoch), s.Last)
	}
	m := *backup
	m.Pos, m.Members = 0, nil
	if !mutant.On("restore-identity-kept") {
		m.Ensemble = derivedID("restore", o.Name, o.Members, about)
	}
	return m
}

// arrival is a directory that is being restored. Its lock is held.
type arrival struct {
	disk disk.Disk
	dir  string
	so   snapshot.Options
}

// receive writes the snapshot, checked to its end, under a name that is none yet. It refuses a directory that holds anything but what another Restore left.
func (a *arrival) receive(ctx context.Context, in *snapshot.Reader, meta snapshot.Meta) (*snapshot.Writer, error) {
	err := judgeVacant(a.disk.FS, a.dir)
	if errors.Is(err, ErrDirUnfinished) {
		if err = errors.Join(wal.Clear(a.disk.FS, a.dir), snapshot.Clear(a.so)); err != nil {
			err = dirError(a.dir, err)
		}
	}
	if err != nil {
		return nil, err
	}
	a.so.Ensemble = meta.Ensemble
	states, err := snapshot.Open(a.so)
	if err != nil {
		return nil, dirError(a.dir, err)
	}
	w, err := states.Create(meta)
	if err != nil {
		return nil, dirError(a.dir, err)
	}
	if err = copyBackup(ctx, in, w); err != nil {
		w.Abort()
		if _, failed := errors.AsType[*snapshot.FailedError](err); failed {
			err = dirError(a.dir, err)
		}
		return nil, err
	}
	return w, nil
}

// copyBackup copies all chunks, and makes sure that they are a state at the zxid that they are said to be of.
func copyBackup(ctx context.Context, in *snapshot.Reader, w *snapshot.Writer) error {
	l := core.NewLoader(mostData)
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c, err := in.Chunk()
		if err == io.EOF || err != nil && mutant.On("restore-unchecked") {
			break
		}
		if err != nil {
			return badBackup(err)
		}
		if err := w.Add(c); err != nil {
			return err
		}
		if err := l.Add(c); err != nil {
			return badBackup(err)
		}
	}
	state, err := l.Finish()
	if mutant.On("restore-unchecked") {
		return nil
	}
	if err == nil && state.Tree().Zxid() != in.Zxid() {
		err = errors.New("its state is of another zxid")
	}
	if err != nil {
		return badBackup(err)
	}
	return nil
}

// install makes the directory what it is to be, and gives the lock away.
func (a *arrival) install(w *snapshot.Writer, lock io.Closer, o *RestoreOptions, mark zab.Mark) error {
	err := a.announce()
	if err == nil {
		err = durable.WriteMembers(a.disk.FS, a.dir, o.Members)
	}
	if err != nil {
		return errors.Join(dirError(a.dir, err), lock.Close())
	}
	if mutant.On("restore-unannounced") {
		a.finish()
	}
	info, err := w.Commit()
	if err != nil {
		return errors.Join(dirError(a.dir, err), lock.Close())
	}
	log, err := wal.Create(a.disk.FS, wal.Options{Dir: a.dir, Name: o.Name, Lock: lock, Random: randomID, SegmentSize: a.disk.SegmentSize}, mark)
	if err != nil {
		return dirError(a.dir, err)
	}
	if mutant.On("restore-finished-early") {
		a.finish()
	}
	err = log.Append([]zab.Record{{Kind: zab.RecordReset, Pos: 1, Zxid: info.Zxid, Snapshot: info.Snapshot()}})
	if err == nil && !mutant.On("restore-unannounced") && !mutant.On("restore-finished-early") {
		err = a.finish()
	}
	if err = errors.Join(err, log.Close()); err != nil {
		return dirError(a.dir, err)
	}
	return nil
}

// announce tells everybody who may come that the directory is not to be used, before anything gets its name there.
func (a *arrival) announce() error {
	f, err := a.disk.FS.Create(filepath.Join(a.dir, unfinished))
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) { // an interrupted one has said so already
		return err
	}
	return a.disk.FS.SyncDir(a.dir)
}

// finish takes that back, when everything is durable.
func (a *arrival) finish() error {
	if err := a.disk.FS.Remove(filepath.Join(a.dir, unfinished)); err != nil {
		return err
	}
	return a.disk.FS.SyncDir(a.dir)
}
