package snapshot

import (
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Retain removes what is of no use any more: all snapshots but the newest Keep that fit the log, and parts that nobody receives. One beyond Upto is left
// alone, and so is a damaged one as long as it is among the newest, and one that is being read, until the next call. At least one of those that
// are kept was read or written whole in this run. The oldest of them is returned: the log must not lose what follows it. If none fits, nothing is removed, and
// the error is that of Load.
func (s *Store) Retain(n Need) (oldest Info, err error) {
	if err := s.Err(); err != nil {
		return Info{}, err
	}
	keep, err := s.sound(n)
	if err != nil {
		return Info{}, err
	}
	if mutant.On("snapshot-purge-one-more") {
		keep = max(keep-1, 0)
	}
	s.mu.Lock()
	var gone []string
	s.files = slices.DeleteFunc(s.files, func(f *file) bool {
		switch {
		case f.info.Zxid > n.Upto || f.readers > 0 || f.info.Fault != nil && keep > 0:
			return false
		case f.info.Fault == nil && n.unfit(&f.info) == "" && keep > 0:
			keep--
			oldest = f.info
			return false
		}
		gone = append(gone, f.info.File)
		return true
	})
	for name := range s.parts {
		if !s.inUse[name] {
			gone = append(gone, name)
			delete(s.parts, name)
		}
	}
	s.mu.Unlock()
	slices.Sort(gone)
	for _, name := range gone {
		s.opt.FS.Remove(s.path(name)) // one that somebody else holds open stays: the next start lists it, and it is removed later
	}
	if len(gone) > 0 {
		if err := s.opt.FS.SyncDir(s.opt.Dir); err != nil {
			return oldest, s.fail("sync "+s.opt.Dir, err)
		}
	}
	return oldest, nil
}

// sound makes sure that of those to be kept one is whole to its last byte, and returns how many to keep.
func (s *Store) sound(n Need) (keep int, err error) {
	for {
		first := ""
		keep = s.opt.Keep
		s.mu.Lock()
		for _, f := range s.files {
			if f.info.Fault != nil || n.unfit(&f.info) != "" || keep == 0 {
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
