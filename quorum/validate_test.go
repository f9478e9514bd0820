package quorum

import (
	"errors"
	"slices"
	"testing"
)

func TestValidate(t *testing.T) {
	type fault struct {
		index int
		err   error
	}
	for _, c := range []struct {
		name    string
		members []Member
		want    []fault
	}{
		{"one", []Member{{ID: 1}}, nil},
		{"groups, one voter without weight, an observer", []Member{{ID: 1, Group: 2, Weight: MaxWeight}, {ID: 2, Group: 2},
			{ID: 3, Observer: true}}, nil},
		{"nobody", nil, []fault{{-1, ErrNoVoter}}},
		{"observers only", []Member{{ID: 1, Observer: true}}, []fault{{-1, ErrNoVoter}}},
		{"id 0, twice", []Member{{}, {ID: 1}, {}}, []fault{{0, ErrZeroID}, {2, ErrZeroID}}},
		{"id 1 thrice", []Member{{ID: 1}, {ID: 1}, {ID: 1, Observer: true}}, []fault{{1, ErrDuplicateID}, {2, ErrDuplicateID}}},
		{"negative group", []Member{{ID: 1, Group: -1, Weight: 1}}, []fault{{0, ErrNegativeGroup}}},
		{"one voter in no group", []Member{{ID: 1, Group: 1, Weight: 1}, {ID: 2}}, []fault{{1, ErrMissingGroup}}},
		{"negative weight", []Member{{ID: 1, Group: 1, Weight: 1}, {ID: 2, Group: 1, Weight: -1}}, []fault{{1, ErrNegativeWeight}}},
		{"too much weight", []Member{{ID: 1, Group: 1, Weight: MaxWeight + 1}}, []fault{{0, ErrWeightTooLarge}}},
		{"weight without a group", []Member{{ID: 1, Weight: 1}, {ID: 2}}, []fault{{0, ErrWeightWithoutGroup}}},
		{"no weight", []Member{{ID: 1, Group: 1}, {ID: 2, Group: 2}}, []fault{{-1, ErrNoWeight}}},
		{"observer in a group", []Member{{ID: 1}, {ID: 2, Observer: true, Group: 1}}, []fault{{1, ErrObserverCounted}}},
		{"observer with a weight", []Member{{ID: 1}, {ID: 2, Observer: true, Weight: 1}}, []fault{{1, ErrObserverCounted}}},
		{"everything at once", []Member{{}, {ID: 1, Group: -1, Weight: -1}, {ID: 1, Weight: -2}, {ID: 2, Observer: true, Group: 1}},
			[]fault{{0, ErrZeroID}, {0, ErrMissingGroup}, {1, ErrNegativeGroup}, {1, ErrNegativeWeight}, {2, ErrDuplicateID},
				{2, ErrMissingGroup}, {2, ErrNegativeWeight}, {2, ErrWeightWithoutGroup}, {3, ErrObserverCounted}, {-1, ErrNoWeight}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Validate(c.members)
			v, err2 := New(c.members)
			if (err == nil) != (err2 == nil) || (err == nil) != (v != nil) || err != nil && err.Error() != err2.Error() {
				t.Fatalf("Validate says %v, New %v, %v", err, v, err2)
			}
			var got []fault
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, e := range joined.Unwrap() {
					var ce *ConfigError
					if !errors.As(e, &ce) {
						t.Fatalf("%v is a %T", e, e)
					}
					if ce.Index >= 0 && ce.ID != c.members[ce.Index].ID {
						t.Errorf("%v names member %d, which is not at index %d", ce, ce.ID, ce.Index)
					}
					got = append(got, fault{ce.Index, ce.Err})
				}
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for _, f := range c.want {
				if !errors.Is(err, f.err) {
					t.Errorf("not errors.Is %v", f.err)
				}
			}
		})
	}
}
