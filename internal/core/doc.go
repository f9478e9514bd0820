// Package core joins election, zab and a state machine into one member of an ensemble: a value that takes inputs and tells
// what to do about them. It has no goroutine, clock, lock or I/O; the shell (package ensemble) and the simulator
// (internal/sim) drive the same code.
//
// A [Machine] takes one [Input] per Step and appends to an [Output]. Whoever drives it steps as many inputs as are waiting
// into one Output and then carries that out: Writes go to the log in order, Sends leave at once and in any order relative to
// Writes, since a message that depends on a write is withheld by the machine until Persisted covers it. State is published,
// then Replies are given. Every ticket is answered exactly once.
//
//	birth.go     how an ensemble begins: nobody votes before all founders know of it
//	machine.go   the join of election and zab
//	roles.go     when to look for a leader, and what follows from finding one
//	transfer.go  leadership that is handed over
//	status.go    what a member knows of itself
//	outbox.go    the requests of this member, on their way to whoever leads
//	inbox.go     the requests of others, at the leader
//	syncs.go     positions confirmed by a quorum
//	state.go     the state machine of znodes and sessions
package core
