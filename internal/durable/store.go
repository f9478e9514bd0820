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

// Store is the log and the snapshots of a data directory. One goroutine calls Append; beside it others may write snapshots and Retain, Hold what is received, and
// Recall.
type Store struct {
	Log    *wal.Log
	States *snapshot.Store

	newest atomic.Uint64 // zxid of the newest snapshot that fits
	stop   atomic.Bool

	mu    sync.Mutex         // guards what follows; never held during I/O
	whole *snapshot.Receiver // a received snapshot whose RESET is yet to come
	need  snapshot.Need      // what a snapshot must be to be of use; Upto is only set in copies
}

// Newest is the zxid of the newest snapshot that is of use, or 0.
func (s *Store) Newest() zab.Zxid { return zab.Zxid(s.newest.Load()) }

// appendBytes is the least size that ends a batch: what waits behind it should not wait for long.
const appendBytes = 4 << 20

// Stop ends an Append after the batch that it is at, without an error. What it has not told is dropped. Any goroutine may call it.
func (s *Store) Stop() { s.stop.Store(true) }

// Append makes records durable, in order and in batches, tells after each how far it has come, and lets go of what is before the position retain. After an
// error, or Stop, the Store is at its end.
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
		if rest = rest[n:]; s.stop.Load() {
			return nil
		}
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
		if n > 0 && (r.Kind == zab.RecordReset || size >= appendBytes) {
			return n
		}
		size += len(r.Entry.Data)
	}
	return len(rest)
}

// Hold keeps a snapshot that has come until the log names it; what was held before is given up.
func (s *Store) Hold(r *snapshot.Receiver) {
	if r = s.swap(r); r != nil {
		r.Abort()
	}
}

func (s *Store) swap(r *snapshot.Receiver) *snapshot.Receiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, s.whole = s.whole, r
	return r
}

// install makes the received snapshot durable, before the RESET that names it.
func (s *Store) install(snap *zab.Snapshot) error {
	r := s.swap(nil)
	if r == nil {
		return errors.New("a RESET names a snapshot that was not received")
	}
	_, err := r.Commit(snap.Length, snap.Digest)
	return err
}

// Close lets go of everything, the log last.
func (s *Store) Close() error {
	var err error
	if r := s.swap(nil); r != nil {
		err = r.Close()
	}
	return errors.Join(err, s.Log.Close())
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
