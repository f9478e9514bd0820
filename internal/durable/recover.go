package durable

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// Found is what a directory held, beside what the machine begins with.
type Found struct {
	core.Recovered
	Places Places // of entries, as far as they are known
}

// ErrOrphans tells that there are snapshots, and that what says whose they are is gone: whoever took the log away took promises with it.
var ErrOrphans = errors.New("there are snapshots")

// Orphans is the error for so many snapshots beside what the log holds; nil if they may be its own.
func Orphans(rec *wal.Recovery, snapshots int) error {
	switch {
	case snapshots == 0:
		return nil
	case rec.Fresh:
		return fmt.Errorf("%w, and the log is gone", ErrOrphans)
	case rec.Mark.Ensemble == (zab.EnsembleID{}):
		return fmt.Errorf("%w, and the mark knows of no ensemble", ErrOrphans)
	}
	return nil
}

// Recover reads the newest snapshot that the log, just opened, goes on from. load is given it, and may be given an older one when that turns out to be damaged:
// what it has built of the one before is then of no use, and of the last one, too, unless Found has a Snapshot. With no load Found has the chunks. unused is told of
// each that is not used, and why. Errors are those of snapshot and of load, and ErrOrphans; the log is the caller's to close then. It may be nil, and be
// set in the Store later. Who only reads has none, and o.ReadOnly.
func Recover(log *wal.Log, rec *wal.Recovery, o snapshot.Options, load func(*snapshot.Reader) error, unused func(error)) (*Store, Found, error) {
	f := Found{Recovered: core.Recovered{Mark: rec.Mark, Entries: rec.Entries, Pos: rec.Pos}}
	o.Ensemble = rec.Mark.Ensemble
	states, err := snapshot.Open(o)
	if err != nil {
		return nil, f, err
	}
	if err := Orphans(rec, len(states.List())); err != nil {
		return nil, f, err
	}
	s := &Store{Log: log, States: states, need: snapshot.Need{From: rec.Base}}
	if r := rec.Reset; r != nil {
		s.need.Reset = (*snapshot.Reset)(r)
		f.Places.add(r.Zxid, r.Pos)
	}
	var chunks [][]byte
	if load == nil {
		load = func(r *snapshot.Reader) (err error) {
			chunks, err = all(r)
			return err
		}
	}
	info, snap, err := s.load(rec, load, unused)
	switch {
	case err != nil:
		return nil, f, err
	case snap != nil:
		f.Snapshot, snap.Chunks = snap, chunks
		s.newest.Store(uint64(snap.Zxid))
		f.Places = nil
		pos := info.Pos
		if pos == 0 && rec.Reset != nil { // it was received, and only the RESET that names it makes it ours
			pos = rec.Reset.Pos
		}
		f.Places.add(snap.Zxid, pos)
		i := sort.Search(len(f.Entries), func(i int) bool { return f.Entries[i].Zxid > snap.Zxid })
		f.Entries = f.Entries[i:]
	}
	if n := len(f.Entries); n > 0 {
		first, last := f.Entries[0].Zxid, f.Entries[n-1].Zxid
		for _, p := range rec.Places {
			if first <= p.Zxid && p.Zxid < last {
				f.Places.add(p.Zxid, p.Pos)
			}
		}
		f.Places.add(last, rec.Pos)
	}
	return s, f, nil
}

// all returns the chunks that are to come.
func all(r *snapshot.Reader) (chunks [][]byte, err error) {
	for {
		c, err := r.Chunk()
		if err == io.EOF {
			return chunks, nil
		}
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, c)
	}
}

// load has the newest snapshot loaded that is a point of the log's history, and describes it: nil if the log has all of it.
func (s *Store) load(rec *wal.Recovery, load func(*snapshot.Reader) error, unused func(error)) (snapshot.Info, *zab.Snapshot, error) {
	need := s.need
	need.Upto = rec.Base
	if n := len(rec.Entries); n > 0 {
		need.Upto = rec.Entries[n-1].Zxid
	}
	// Of two snapshots of one zxid either will do; of a zxid that is not in the log, none.
	ours := func(z zab.Zxid) bool {
		_, ok := slices.BinarySearchFunc(rec.Entries, z, func(e zab.Entry, z zab.Zxid) int { return cmp.Compare(e.Zxid, z) })
		return ok || z == rec.Base || mutant.On("snapshot-received-unasked")
	}
	var faults []error
	list := s.States.List()
	for n, i := range list {
		if n > 0 && i.Zxid == list[n-1].Zxid || !ours(i.Zxid) {
			continue
		}
		one := need
		one.From, one.Upto = max(need.From, i.Zxid), min(need.Upto, i.Zxid)
		if mutant.On("snapshot-received-unasked") {
			one.From, one.Upto = i.Zxid, i.Zxid
		}
		if one.From != one.Upto {
			continue
		}
		info, why, err := s.States.Load(one, load)
		for _, f := range why {
			unused(f)
		}
		faults = append(faults, why...)
		if _, lost := errors.AsType[*snapshot.LostError](err); lost || errors.Is(err, snapshot.ErrNone) {
			continue
		}
		if err != nil {
			return info, nil, err
		}
		return info, info.Snapshot(), nil
	}
	if need.Reset == nil && need.From == 0 {
		return snapshot.Info{}, nil, nil
	}
	return snapshot.Info{}, nil, &snapshot.LostError{Need: need, Faults: faults}
}
