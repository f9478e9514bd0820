//go:build mutants

package crashtest

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Mutants are seeded bugs, each with the check that has to find it and the name of the test that runs this check without them.
type Mutants []struct {
	Name, Note, By string
	Check          func() error
}

// Test demands that every check finds its mutant.
func (all Mutants) Test(t *testing.T) {
	defer mutant.Set("")
	caught := 0
	for _, m := range all {
		mutant.Set(m.Name)
		if err := m.Check(); err != nil {
			caught++
			t.Logf("%-24s (%s) caught by %s: %v", m.Name, m.Note, m.By, err)
		} else {
			t.Errorf("%-24s (%s) not caught by %s", m.Name, m.Note, m.By)
		}
	}
	t.Logf("mutants caught %d/%d", caught, len(all))
}
