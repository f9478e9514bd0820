package datatree

import (
	"strings"
	"unicode/utf8"
)

// MaxPath bounds the length of a path in bytes. ZooKeeper has no limit but that of a packet; a name is kept in memory for the life of its
// znode and sent with every event, so we have one.
const MaxPath = 64 << 10

// sequenceDigits is what a sequential create appends to its path.
const sequenceDigits = 10

// CheckPath returns ErrBadPath for a path that cannot name a znode. The rule is ZooKeeper's: it begins with "/" and does not end with one
// (except "/" itself), no empty component, none that is "." or "..", no control characters, nothing from the private or surrogate areas,
// nothing from U+FFF0 on, and valid UTF-8.
func CheckPath(path string) error { return checkPath(path, false) }

// checkPath with sequential set checks what the path will be once digits are appended, so that "/q/" is fine.
func checkPath(path string, sequential bool) error {
	longest := MaxPath
	if sequential {
		longest -= sequenceDigits
	}
	if len(path) == 0 || path[0] != '/' || len(path) > longest {
		return ErrBadPath
	}
	if len(path) == 1 {
		return nil
	}
	start := 1 // of the component
	for i := 1; i < len(path); {
		c := path[i]
		switch {
		case c == '/':
			if badComponent(path[start:i]) {
				return ErrBadPath
			}
			i++
			start = i
		case c < 0x20 || c == 0x7f:
			return ErrBadPath
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRuneInString(path[i:])
			if r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 { // RuneError, of invalid UTF-8, is above 0xfff0
				return ErrBadPath
			}
			i += n
		}
	}
	if !sequential && badComponent(path[start:]) {
		return ErrBadPath
	}
	return nil
}

func badComponent(s string) bool { return s == "" || s == "." || s == ".." }

// parentLen returns the length of path's parent, 1 for a child of the root. The path has a "/".
func parentLen(path string) int {
	return max(strings.LastIndexByte(path, '/'), 1)
}

// nameAt returns where the last component of path begins.
func nameAt(path string) int { return strings.LastIndexByte(path, '/') + 1 }

// The znodes that are there from the beginning, in the order in which they are made. They cannot be deleted.
const (
	rootPath   = "/"
	systemPath = "/zookeeper"
	quotaPath  = "/zookeeper/quota"
	configPath = "/zookeeper/config"
)

func reserved(path string) bool {
	return path == rootPath || path == systemPath || path == quotaPath || path == configPath
}
