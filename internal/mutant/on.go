//go:build mutants

package mutant

// Enabled tells whether this build carries the mutants.
const Enabled = true

var set string

// Set sets the one mutant that is on from now; "" is none. No simulation may be running.
func Set(name string) { set = name }

// On reports whether the named mutant is set.
func On(name string) bool { return set == name && name != "" }
