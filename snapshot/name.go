package snapshot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/zab"
)

const (
	suffix     = ".snap"
	tempSuffix = ".snap.tmp"  // being written
	partSuffix = ".snap.part" // being received; chunks in it can be used again
)

// stem is a file's name without its suffix. The id is random, so that no file is ever taken for one that had its place before.
func stem(z zab.Zxid, id uint64) string { return fmt.Sprintf("%016x-%016x", uint64(z), id) }

// parseName reports whether name is one of ours with this suffix.
func parseName(name, suffix string) (zab.Zxid, bool) {
	s, ok := strings.CutSuffix(name, suffix)
	if !ok || len(s) != 33 || s[16] != '-' || strings.ToLower(s) != s {
		return 0, false
	}
	z, err1 := strconv.ParseUint(s[:16], 16, 64)
	_, err2 := strconv.ParseUint(s[17:], 16, 64)
	return zab.Zxid(z), err1 == nil && err2 == nil
}
