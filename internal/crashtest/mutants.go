//go:build mutants

package crashtest

import (
	"regexp"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Mutants are seeded bugs, each with the check that has to find it, the name of the test that runs this check without them, and a regular expression for the error that is
// meant: another one has not found it.
type Mutants []struct {
	Name, Note, By string
	Check          func() error
	Says           string
}

// Test demands that every check finds its mutant.
func (all Mutants) Test(t *testing.T) {
	defer mutant.Set("")
	caught := 0
	for _, m := range all {
		mutant.Set(m.Name)
		switch err := m.Check(); {
		case err == nil:
			t.Errorf("%-24s (%s) not caught by %s", m.Name, m.Note, m.By)
		case m.Says == "" || !regexp.MustCompile(m.Says).MatchString(err.Error()):
			t.Errorf("%-24s (%s) not caught by %s, which does not say %q: %v", m.Name, m.Note, m.By, m.Says, err)
		default:
			caught++
			t.Logf("%-24s (%s) caught by %s: %v", m.Name, m.Note, m.By, err)
		}
	}
	t.Logf("mutants caught %d/%d", caught, len(all))
}
