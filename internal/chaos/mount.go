package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// newSmallDisk mounts one, and makes dir a link to a directory on it.
func newSmallDisk(dir string) (*smallDisk, error) {
	at := dir + ".mount"
	if err := os.Mkdir(at, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mount("chaos", at, "tmpfs", 0, fmt.Sprintf("size=%d", smallDiskBytes)); err != nil {
		return nil, fmt.Errorf("cannot mount a tmpfs (it takes root): %w", err)
	}
	d := &smallDisk{filepath.Join(at, "data")}
	if err := os.Symlink(d.dir, dir); err != nil {
		return nil, err
	}
	return d, os.Mkdir(d.dir, 0o700)
}

func (d *smallDisk) unmount() error { return syscall.Unmount(filepath.Dir(d.dir), 0) }
