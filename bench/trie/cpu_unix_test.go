//go:build unix

package trie

import "syscall"

// cpuTime returns the nanoseconds that the process has worked, its garbage collector too. On a busy machine they say more than the clock.
func cpuTime() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
