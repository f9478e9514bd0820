//go:build ext4 && linux

// Package ext4 gives tests real file systems that lose their power: an ext4 in a file, mounted as a loop device, which is shut down by ioctl and mounted
// again. It needs root, loop devices and mkfs.ext4, and so a build tag.
package ext4

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// Flag tells what a shutdown does with the journal.
type Flag uint32

// The journal is written out first, or not.
const (
	LogFlush   Flag = 1
	NoLogFlush Flag = 2
)

// shutdown is EXT4_IOC_SHUTDOWN.
const shutdown = 0x8004587d

// Disk is a file system. It is unmounted at the end of the test.
type Disk struct {
	t     testing.TB
	image string
	root  *os.File // while it is mounted: what PowerLoss asks

	Mount string // where it is
}

// New makes one of size bytes. Where the machine cannot do that, the test is skipped with the reason.
func New(t testing.TB, size int64) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices: ", err)
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("needs mkfs.ext4: ", err)
	}
	dir := t.TempDir()
	d := &Disk{t: t, image: filepath.Join(dir, "image"), Mount: filepath.Join(dir, "mnt")}
	for _, err := range []error{os.Mkdir(d.Mount, 0o700), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, size)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := run("mkfs.ext4", "-q", "-F", d.image); err != nil {
		t.Fatal(err)
	}
	if err := run("mount", "-o", "loop", d.image, d.Mount); err != nil {
		t.Skip("loop devices cannot be mounted: ", err)
	}
	t.Cleanup(func() {
		d.root.Close()
		run("umount", d.Mount)
	})
	d.open()
	return d
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	return nil
}

func (d *Disk) open() {
	d.t.Helper()
	var err error
	if d.root, err = os.Open(d.Mount); err != nil {
		d.t.Fatal(err)
	}
}

// PowerLoss shuts it down, whatever is written to it meanwhile: from here on nothing reaches the image.
func (d *Disk) PowerLoss(f Flag) {
	d.t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, d.root.Fd(), shutdown, uintptr(unsafe.Pointer(&f))); errno != 0 {
		d.t.Fatalf("shutdown of %s: %v", d.Mount, errno)
	}
}

// Remount mounts it anew after a PowerLoss, as a machine that starts does. Nobody may have a file of it open.
func (d *Disk) Remount() {
	d.t.Helper()
	d.root.Close()
	for _, err := range []error{run("umount", d.Mount), run("mount", "-o", "loop", d.image, d.Mount)} {
		if err != nil {
			d.t.Fatal(err)
		}
	}
	d.open()
}
