package quorum

import (
	"cmp"
	"slices"
)

// New returns the Verifier of a membership: majority if every Group is 0, hierarchical otherwise. A membership that
// Validate refuses gives no Verifier and Validate's error. New keeps no reference to members.
func New(members []Member) (Verifier, error) {
	if err := Validate(members); err != nil {
		return nil, err
	}
	voters := make([]Member, 0, len(members))
	for _, m := range members {
		if !m.Observer {
			voters = append(voters, m)
		}
	}
	slices.SortFunc(voters, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	// Validate let no mixture of grouped and ungrouped voters pass.
	if voters[0].Group != 0 {
		return newHierarchy(voters), nil
	}
	return newMajority(voters), nil
}

func has(sorted []ID, id ID) bool {
	_, found := slices.BinarySearch(sorted, id)
	return found
}
