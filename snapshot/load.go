package snapshot

import (
	"errors"
	"io"
	"slices"
)

// Load gives load a Reader of the newest snapshot that fits the log; if that turns out to be damaged, of the next older one, and so on: load then begins
// anew, whatever it has built so far. It returns what was loaded, all of it checked, and why newer ones were not, each time one of *DamageError and
// *UnfitError.
//
// If there is none, the error is ErrNone if the log has the whole history anyway, and *LostError if not. An error of load while
// nothing is wrong with the file is returned as it is. Load closes the Reader.
func (s *Store) Load(n Need, load func(*Reader) error) (Info, []error, error) {
	var faults []error
	for _, i := range s.List() {
		if i.Fault != nil {
			faults = append(faults, i.Fault)
			continue
		}
		if why := n.unfit(&i); why != "" {
			faults = append(faults, &UnfitError{i.File, why})
			continue
		}
		damage, err := s.try(i.File, load)
		if err != nil {
			return Info{}, faults, err
		}
		if damage == nil {
			return i, faults, nil
		}
		faults = append(faults, damage)
	}
	if n.Reset == nil && n.From == 0 {
		return Info{}, faults, ErrNone
	}
	return Info{}, faults, &LostError{n, slices.Clone(faults)}
}

// try tells apart what is wrong with the file and what is wrong with load.
func (s *Store) try(name string, load func(*Reader) error) (damage, err error) {
	r, err := s.Open(name)
	if err != nil {
		return err, nil
	}
	defer r.Close()
	err = load(r)
	if d := r.Err(); d != nil && !errors.Is(d, ErrClosed) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	for { // what load did not want to see is checked too
		if _, err := r.Chunk(); err == io.EOF {
			return nil, nil
		} else if err != nil {
			return err, nil
		}
	}
}
