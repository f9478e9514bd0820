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
func (s *Store) Load(n Need, load func(*Reader) error) (i Info, faults []error, err error) {
	for {
		i, faults, err = s.load(n, load)
		if err != errGone {
			return i, faults, err
		}
	}
}

// errGone tells that a snapshot was removed since it was listed. Newer ones have come then.
var errGone = errors.New("snapshot: removed")

func (s *Store) load(n Need, load func(*Reader) error) (Info, []error, error) {
	var faults []error
	for _, i := range s.List() {
		if i.Fault != nil {
			faults = append(faults, i.Fault)
			continue
		}
		if why := n.Unfit(&i); why != "" {
			faults = append(faults, &UnfitError{i.File, why})
			continue
		}
		err := s.try(i.File, load)
		var damage *DamageError
		if !errors.As(err, &damage) || damage.File != i.File {
			return i, faults, err
		}
		faults = append(faults, err)
	}
	if n.Reset == nil && n.From == 0 {
		return Info{}, faults, ErrNone
	}
	return Info{}, faults, &LostError{n, slices.Clone(faults)}
}

// try has one loaded. What is wrong with the file is a *DamageError, whatever load says then.
func (s *Store) try(name string, load func(*Reader) error) error {
	r, err := s.Open(name)
	var failed *FailedError
	if errors.As(err, &failed) {
		return errGone
	}
	if err != nil {
		return err
	}
	defer r.Close()
	err = load(r)
	var damage *DamageError
	if errors.As(r.Err(), &damage) {
		return damage
	}
	if err != nil {
		return err
	}
	for { // what load did not want to see is checked too
		if _, err := r.Chunk(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
