// Package mutant is the switch of the seeded bugs that the simulator must find. A normal build carries no trace of them: On is then a constant false
// that the compiler removes together with what it guards. Only with the build tag mutants can one be set.
package mutant
