package vfs

import (
	"errors"
	"os"
	"syscall"
)

// syncFile leaves out the times of the file, which saves a write of the inode for each batch; the length is included when it
// has changed.
func syncFile(f *os.File) error {
	return control(f, "fdatasync", syscall.Fdatasync)
}

// reserve allocates blocks, so that a full disk is met here and not in the middle of a batch. Where the file system cannot,
// nothing is lost but that.
func reserve(f *os.File, size int64) error {
	err := control(f, "fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// control calls do, again when a signal came between, which is no failure: nothing was done.
func control(f *os.File, op string, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if c.Control(func(fd uintptr) {
		for {
			if failed = do(int(fd)); failed != syscall.EINTR {
				return
			}
		}
	}) != nil {
		failed = os.ErrClosed // nothing else keeps Control from calling
	}
	if failed != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return nil
}
