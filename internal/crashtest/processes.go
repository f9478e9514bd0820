//go:build mutants

package crashtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// mutantOf names, to a process of the tests, the mistake that it makes.
const mutantOf = "ENSEMBLE_TEST_MUTANT"

func init() { mutant.Set(os.Getenv(mutantOf)) }

// Processes are seeded bugs, each with the test of the same program that has to find it, which runs in a process of its own: it passes without the bug, and fails with it.
type Processes []struct{ Name, Note, By string }

// Test demands that every test finds its mutant.
func (all Processes) Test(t *testing.T) {
	passes := map[string]bool{}
	caught := 0
	for _, m := range all {
		run := func(name, verdict string) (out string, ok bool) {
			c := exec.Command(os.Args[0], "-test.run", "^"+m.By+"$", "-test.v", "-test.timeout", "2m")
			c.Env = append(os.Environ(), mutantOf+"="+name)
			b, err := c.CombinedOutput()
			return string(b), strings.Contains(string(b), "--- "+verdict+": "+m.By) && (err == nil) == (verdict == "PASS")
		}
		if !passes[m.By] {
			out, ok := run("", "PASS")
			if !ok {
				t.Fatalf("%s fails without a mistake\n%s", m.By, out)
			}
			passes[m.By] = true
		}
		if out, ok := run(m.Name, "FAIL"); ok {
			caught++
			t.Logf("%-24s (%s) caught by %s: %s", m.Name, m.Note, m.By, strings.SplitN(out, "\n", 4)[1])
		} else {
			t.Errorf("%-24s (%s) not caught by %s\n%s", m.Name, m.Note, m.By, out)
		}
	}
	t.Logf("mutants caught %d/%d", caught, len(all))
}
