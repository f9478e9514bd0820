package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

func TestLookUse(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	l, err := vfs.OS().Lock(lock)
	must(t, err)
	held := lookUse(lock)
	must(t, l.Close())
	free := lookUse(lock)
	t.Log(held, free)
	if _, err := os.Stat("/proc/locks"); err == nil && (held != usage{inUse, os.Getpid()} || free.state != unused) {
		t.Errorf("held: %v, free: %v", held, free)
	}
}
