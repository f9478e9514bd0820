package script

import (
	"fmt"
	"strings"
	"testing"
)

// Story collects what follows from the directives of a case.
type Story struct {
	testing.TB
	// Quiet has nothing told. The directives quiet and loud set it.
	Quiet bool
	told  []string
}

// Tell adds a line.
func (s *Story) Tell(format string, args ...any) {
	if !s.Quiet {
		s.told = append(s.told, fmt.Sprintf(format, args...))
	}
}

// Play has each directive done by its verb and the words behind it, and returns all that was told: the directives too, but for quiet, loud
// and those whose verb is one of silent.
func (s *Story) Play(directives [][]string, silent string, do func(verb string, f []string)) string {
	for _, f := range directives {
		switch {
		case f[0] == "quiet" || f[0] == "loud":
			s.Quiet = f[0] == "quiet"
		case !strings.Contains(" "+silent+" ", " "+f[0]+" "):
			s.Tell("%s", strings.Join(f, " "))
		}
		do(f[0], f[1:])
	}
	return strings.Join(s.told, "\n")
}
