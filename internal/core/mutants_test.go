//go:build mutants

package core

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

// Each mutant is a mistake that a member could make, and is found by the test that is named beside it, in a process of its own.
func TestMutants(t *testing.T) {
	caught, all := 0, 0
	for _, m := range []struct{ name, note, by string }{
		{"sync-old-round", "Sync is answered by a round that was over", "TestR2RoundUnderWay"},
		{"sync-joins-round", "Sync is answered by a round that was under way", "TestR2RoundUnderWay"},
		{"unsent-not-answered", "who has not handed a call to this leader does not know it in a commit", "TestR4CommitOfUnseenRequest"},
		{"session-told-by-clock", "ids are made of the wall clock", "TestH9SessionIDsAreUnique"},
	} {
		for _, name := range []string{"", m.name} {
			c := exec.Command(os.Args[0], "-test.run", "^"+m.by+"$", "-test.v", "-test.timeout", "2m")
			c.Env = append(os.Environ(), mutantOf+"="+name)
			out, err := c.CombinedOutput()
			verdict := "--- PASS: "
			if name != "" {
				all++
				verdict = "--- FAIL: "
			}
			switch found := strings.Contains(string(out), verdict+m.by); {
			case !found || (err == nil) != (name == ""):
				t.Errorf("%-24s (%s), set to %q: no %s%s: %v\n%s", m.name, m.note, name, verdict, m.by, err, out)
			case name != "":
				caught++
				t.Logf("%-24s (%s) caught by %s: %s", m.name, m.note, m.by, strings.SplitN(string(out), "\n", 4)[1])
			}
		}
	}
	t.Logf("mutants caught %d/%d", caught, all)
}
