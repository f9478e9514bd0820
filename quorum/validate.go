package quorum

import (
	"errors"
	"fmt"
)

// MaxWeight is the greatest weight a member may have. Only proportions matter, and below it no sum can overflow.
const MaxWeight = 1 << 20

// What can be wrong with a membership. Test for them with errors.Is.
var (
	ErrZeroID             = errors.New("id is 0")
	ErrDuplicateID        = errors.New("id is taken by an earlier member")
	ErrNoVoter            = errors.New("no member is a voter")
	ErrNegativeGroup      = errors.New("group is negative")
	ErrMissingGroup       = errors.New("voter has no group, while others have one")
	ErrNegativeWeight     = errors.New("weight is negative")
	ErrWeightTooLarge     = errors.New("weight is over the maximum")
	ErrWeightWithoutGroup = errors.New("weight without a group")
	ErrNoWeight           = errors.New("every weight is 0")
	ErrObserverCounted    = errors.New("observer has a group or a weight")
)

// ConfigError is one fault of a membership.
type ConfigError struct {
	Index int   // which member, in the order given; -1 if the fault is of the whole
	ID    ID    // the id of that member
	Err   error // one of the errors above
}

// Error names the member, if it is about one, and what is wrong with it.
func (e *ConfigError) Error() string {
	switch {
	case e.Index < 0:
		return fmt.Sprintf("quorum: %v", e.Err)
	case e.ID == 0:
		return fmt.Sprintf("quorum: member at index %d: %v", e.Index, e.Err)
	}
	return fmt.Sprintf("quorum: member %d: %v", e.ID, e.Err)
}

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// Validate returns nil if New accepts members. Otherwise it returns every fault, each a *ConfigError, joined by
// errors.Join in the order of the members, faults of the whole last.
func Validate(members []Member) error {
	var faults []error
	voters, grouped, weighty := 0, false, false
	seen := make(map[ID]bool, len(members))
	for _, m := range members {
		if !m.Observer {
			voters++
			grouped = grouped || m.Group != 0
			weighty = weighty || m.Weight > 0
		}
	}
	for i, m := range members {
		check := func(fault bool, err error) {
			if fault {
				faults = append(faults, &ConfigError{i, m.ID, err})
			}
		}
		check(m.ID == 0, ErrZeroID)
		check(m.ID != 0 && seen[m.ID], ErrDuplicateID)
		seen[m.ID] = true
		if m.Observer {
			check(m.Group != 0 || m.Weight != 0, ErrObserverCounted)
			continue
		}
		check(m.Group < 0, ErrNegativeGroup)
		check(grouped && m.Group == 0, ErrMissingGroup)
		check(m.Weight < 0, ErrNegativeWeight)
		check(m.Weight > MaxWeight, ErrWeightTooLarge)
		check(m.Weight != 0 && m.Group == 0, ErrWeightWithoutGroup)
	}
	if voters == 0 {
		faults = append(faults, &ConfigError{-1, 0, ErrNoVoter})
	}
	if grouped && !weighty {
		faults = append(faults, &ConfigError{-1, 0, ErrNoWeight})
	}
	return errors.Join(faults...)
}
