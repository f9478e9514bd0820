//go:build mutants

package sim

import (
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// A step that would go on for ever ends its member, and so the run fails with its seed.
func TestEndlessStep(t *testing.T) {
	defer mutant.Set("")
	mutant.Set("never-settled")
	if o := Run(1, Options{}); o.Err == nil || invariant(o.Err) != "inv/END" || !strings.Contains(o.Err.Error(), "does not come to an end") {
		t.Errorf("the run ends with %v", o.Err)
	}
}
