package crashtest

import "testing"

// Scenarios are stories of disks that fail, each of which returns what went wrong.
type Scenarios []struct {
	Name string
	Run  func() error
}

// Test runs each story as a subtest.
func (all Scenarios) Test(t *testing.T) {
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if err := s.Run(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Find returns the story of a name.
func (all Scenarios) Find(t *testing.T, name string) func() error {
	for _, s := range all {
		if s.Name == name {
			return s.Run
		}
	}
	t.Fatalf("no scenario %s", name)
	return nil
}

// Programs runs a program for each seed, with crashes that it counts.
func Programs(t *testing.T, seeds int, run func(seed uint64) (crashes int, err error)) {
	crashes := 0
	for seed := range uint64(seeds) {
		n, err := run(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		crashes += n
	}
	t.Logf("%d programs, %d crashes", seeds, crashes)
}

// Seeds makes one check of one for each seed.
func Seeds[T any](n uint64, f func(seed uint64) (T, error)) func() error {
	return func() error {
		for seed := range n {
			if _, err := f(seed); err != nil {
				return err
			}
		}
		return nil
	}
}
