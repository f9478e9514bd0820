package main

import "strings"

// What can be known of the use of a directory.
const (
	inUse   = "yes"
	unused  = "no"
	unknown = "unknown"
)

// usage says whether somebody holds the lock of a directory.
type usage struct {
	state string
	pid   int // of who holds it; 0: not known
}

// holder is a process with a lock, as /proc/locks tells.
type holder struct {
	pid    string
	device string // major and minor number, hexadecimal
	inode  string
}

// holders reads the locks of the kind that a member takes. Those who only wait for one are not among them.
func holders(locks string) []holder {
	var all []holder
	for line := range strings.Lines(locks) {
		// 1: FLOCK  ADVISORY  WRITE 1234 fe:00:131 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		if i := strings.LastIndexByte(f[5], ':'); i > 0 {
			all = append(all, holder{f[4], f[5][:i], f[5][i+1:]})
		}
	}
	return all
}
