//go:build !mutants

package mutant

// Enabled tells whether this build carries the mutants.
const Enabled = false

// On reports whether the named mutant is set.
func On(string) bool { return false }
