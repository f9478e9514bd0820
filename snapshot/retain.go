package snapshot

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Retain removes what is of no use any more: all snapshots but the newest Keep that fit the log, and parts that nobody receives. One beyond Upto is left
// alone, and so is the last that was received in this run, whose RESET may be on its way, a damaged one as long as it is among the newest, and one that is
// being read. At least one of those that are kept was read or written whole in this run.
//
// It returns the position from which on the log must keep its records, for the oldest that was kept to be of use, and for what was left alone not to be taken
// for more than it is: without its RESET a log cannot tell. If none fits, nothing is removed, and the error is that of Load.
func (s *Store) Retain(n Need) (pos uint64, err error) {
	if err := s.Err(); err != nil {
		return 0, err
	}
	keep, err := s.sound(n)
	if err != nil {
		return 0, err
	}
	if mutant.On("snapshot-purge-one-more") {
		keep = max(keep-1, 0)
	}
	s.mu.Lock()
	left := false
	var gone []*file
	s.files = slices.DeleteFunc(s.files, func(f *file) bool {
		switch {
		case f.info.Fault == nil && n.Unfit(&f.info) == "" && keep > 0:
			keep--
			pos = n.position(&f.info)
			return false
		case f.info.File == s.received && n.Unfit(&f.info) != "": // of no use to anybody without the RESET that names it
			return false
		case f.info.Zxid > n.Upto && !n.before(&f.info) || f.readers > 0 || f.info.Fault != nil && keep > 0:
			left = true
			return false
		}
		gone = append(gone, f)
		return true
	})
	var parts []string
	for name := range s.parts {
		if !s.inUse[name] {
			parts = append(parts, name)
			delete(s.parts, name)
		}
	}
	s.mu.Unlock()
	for _, f := range gone {
		if err := s.opt.FS.Remove(s.path(f.info.File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.insert(f) // somebody else holds it open: another time
			left = true
		}
	}
	slices.Sort(parts)
	for _, name := range parts {
		s.opt.FS.Remove(s.path(name)) // what stays is of no account
	}
	if len(gone)+len(parts) > 0 {
		if err := s.opt.FS.SyncDir(s.opt.Dir); err != nil {
			return 0, s.fail("sync "+s.opt.Dir, err)
		}
	}
	if left && n.Reset != nil && !mutant.On("snapshot-reset-let-go") {
		pos = min(pos, n.Reset.Pos)
	}
	return pos, nil
}

// sound makes sure that of those to be kept one is whole to its last byte, and returns how many to keep.
func (s *Store) sound(n Need) (keep int, err error) {
	for {
		first := ""
		keep = s.opt.Keep
		s.mu.Lock()
		for _, f := range s.files {
			if f.info.Fault != nil || n.Unfit(&f.info) != "" || keep == 0 {
				continue
			}
			if f.sound {
				s.mu.Unlock()
				return s.opt.Keep, nil
			}
			if first == "" {
				first = f.info.File
			}
			keep--
		}
		s.mu.Unlock()
		if first == "" {
			if _, _, err := s.Load(n, through); err != nil {
				return 0, err
			}
			continue // another goroutine has just installed one
		}
		// If it is damaged, that is noted, and the next one has its turn.
		var damage *DamageError
		if err := s.try(first, through); err != nil && err != errGone && !errors.As(err, &damage) {
			return 0, err
		}
	}
}

// through wants nothing of a snapshot but that it is read to its end.
func through(*Reader) error { return nil }
