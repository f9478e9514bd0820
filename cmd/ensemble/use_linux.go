package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// lookUse asks the system who holds a lock. To try to take it instead would, for that moment, keep a member from starting.
func lookUse(lock string) usage {
	info, err := os.Stat(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return usage{state: unused}
	}
	if err != nil {
		return usage{state: unknown}
	}
	locks, err := os.ReadFile("/proc/locks")
	st, ok := info.Sys().(*syscall.Stat_t)
	if err != nil || !ok {
		return usage{state: unknown}
	}
	dev := uint64(st.Dev) // narrower on some systems
	device := fmt.Sprintf("%02x:%02x", dev>>8&0xfff|dev>>32&^0xfff, dev&0xff|dev>>12&^0xff)
	for _, h := range holders(string(locks)) {
		if h.inode != strconv.FormatUint(st.Ino, 10) {
			continue
		}
		pid, _ := strconv.Atoi(h.pid)
		if h.device == device || hasOpen(pid, info) {
			return usage{inUse, max(pid, 0)}
		}
	}
	return usage{state: unused}
}

// hasOpen looks at the open files of a process: some file systems have another device number there than here.
func hasOpen(pid int, file os.FileInfo) bool {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}
