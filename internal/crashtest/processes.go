//go:build mutants

package crashtest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// mutantOf names, to a process of the tests, the mistake that it makes.
const mutantOf = "ENSEMBLE_TEST_MUTANT"

func init() { mutant.Set(os.Getenv(mutantOf)) }

// Processes are seeded bugs, each with the test or subtest of the same program that has to find it, which runs in a process of its own: it passes without the bug, and with
// it fails by the assertion that is meant, which Says, a regular expression, tells from all others.
type Processes []struct{ Name, Note, By, Says string }

// Test demands that every test finds its mutant.
func (all Processes) Test(t *testing.T) {
	passes := map[string]bool{}
	caught := 0
	for _, m := range all {
		if !passes[m.By] {
			if out, err := one(m.By, ""); err != nil || !strings.Contains(out, "--- PASS: "+m.By+" (") {
				t.Fatalf("%s fails without a mistake: %v\n%s", m.By, err, out)
			}
			passes[m.By] = true
		}
		out, err := one(m.By, m.Name)
		said, why := found(out, m.By, m.Says)
		if err != nil && why == nil {
			caught++
			t.Logf("%-24s (%s) caught by %s: %s", m.Name, m.Note, m.By, said)
		} else {
			t.Errorf("%-24s (%s) not caught by %s: %v\n%s", m.Name, m.Note, m.By, why, out)
		}
	}
	t.Logf("mutants caught %d/%d", caught, len(all))
}

// one runs one test or subtest, with that mistake.
func one(test, name string) (out string, err error) {
	var pattern []string
	for _, part := range strings.Split(test, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	c := exec.Command(os.Args[0], "-test.run", strings.Join(pattern, "/"), "-test.v", "-test.timeout", "2m")
	c.Env = append(os.Environ(), mutantOf+"="+name)
	b, err := c.CombinedOutput()
	return string(b), err
}
