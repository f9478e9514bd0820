package durable

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// SnapshotsDir is where in a data directory the snapshots are. The log has the directory itself.
const SnapshotsDir = "snapshots"

// Store is the log and the snapshots of a data directory. One goroutine calls Append and uses the Log, another writes snapshots.
type Store struct {
	Log    *wal.Log
	States *snapshot.Store

	newest   atomic.Uint64  // zxid of the newest snapshot that fits
	ensemble zab.EnsembleID // as of the mark that was written last

	mu   sync.Mutex    // guards what follows; never held during I/O
	need snapshot.Need // what a snapshot must be to be of use; Upto is only set in copies
}

// Newest is the zxid of the newest snapshot that is of use, or 0.
func (s *Store) Newest() zab.Zxid { return zab.Zxid(s.newest.Load()) }

// appendBytes is the least size that ends a batch: what waits behind it should not wait for long.
const appendBytes = 4 << 20

// Append makes records durable, in order and in batches, tells after each how far it has come, and lets go of what is before the position retain. After an
// error the Store is at its end.
func (s *Store) Append(records []zab.Record, retain uint64, told func(zab.WriteID)) error {
	for rest := records; len(rest) > 0; {
		r := &rest[0]
		late := mutant.On("reset-before-snapshot")
		if r.Kind == zab.RecordReset && !late {
			if err := s.install(r.Snapshot); err != nil {
				return err
			}
		}
		n := s.share(rest)
		batch := rest[:n]
		if mutant.On("old-role-dropped") && batch[n-1].Kind == zab.RecordMark {
			batch = batch[n-1:]
		}
		if err := s.Log.Append(batch); err != nil {
			return err
		}
		if r.Kind == zab.RecordReset {
			s.began(r)
			if late {
				if err := s.install(r.Snapshot); err != nil {
					return err
				}
			}
		}
		told(rest[n-1].ID)
		if r.Kind == zab.RecordReset {
			pos, err := s.Retain(r.Snapshot.Zxid)
			if err != nil {
				return err
			}
			retain = max(retain, pos)
		}
		rest = rest[n:]
	}
	if retain > 0 {
		if err := s.Log.Retain(retain); err != nil {
			return err
		}
	}
	return s.Log.Acked(s.Log.Pos())
}

// share is how many records make the next batch. A RESET is the first of its own, since its snapshot must be there before it.
func (s *Store) share(rest []zab.Record) int {
	size := 0
	for n := range rest {
		r := &rest[n]
		switch {
		case n > 0 && (r.Kind == zab.RecordReset || size >= appendBytes):
			return n
		case r.Kind == zab.RecordMark:
			s.ensemble = r.Mark.Ensemble
		}
		size += len(r.Entry.Data)
	}
	return len(rest)
}

// install makes a received snapshot durable, before the RESET that names it.
func (s *Store) install(snap *zab.Snapshot) error {
	w, err := s.States.Create(snapshot.Meta{Ensemble: s.ensemble, Zxid: snap.Zxid, Spans: snap.Spans, Members: snap.Members})
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, c := range snap.Chunks {
		if err := w.Add(c); err != nil {
			return err
		}
	}
	info, err := w.Commit()
	if err == nil && (info.Length != snap.Length || info.Digest != snap.Digest) {
		err = errors.New("a received snapshot is not what its sender said")
	}
	return err
}

// began notes that the history begins anew with r, durably.
func (s *Store) began(r *zab.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest.Store(uint64(r.Snapshot.Zxid))
	s.need = snapshot.Need{From: r.Snapshot.Zxid, Reset: &snapshot.Reset{Pos: r.Pos, Zxid: r.Snapshot.Zxid, Length: r.Snapshot.Length, Digest: r.Snapshot.Digest}}
}

// Kept notes that a snapshot is durable. The history may have begun anew while it was written.
func (s *Store) Kept(i *snapshot.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.need.Reset; r == nil || i.Pos >= r.Pos {
		s.newest.Store(uint64(i.Zxid))
	}
}

// Retain removes the snapshots that are not needed any more, and returns the position from which on the log is. upto is the newest of them.
func (s *Store) Retain(upto zab.Zxid) (pos uint64, err error) {
	s.mu.Lock()
	need := s.need
	s.mu.Unlock()
	need.Upto = max(upto, need.From)
	return s.States.Retain(need)
}
