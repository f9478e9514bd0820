//go:build ext4 && linux

package wal

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// A real file system loses its power: an ext4 in a file, mounted as a loop device, is shut down by ioctl in the middle of writes, with
// and without a flush of its journal, and mounted again. Everything that was reported durable is there, also what was
// reported while the shutdown was under way. It needs root, loop devices and mkfs.ext4, and so a build tag:
//
//	go test -tags ext4 -run TestExt4 -v ./internal/wal
func TestExt4(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root, to mount a file system")
	}
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v: %s", name, args, err, out)
		}
	}
	must(t, os.Mkdir(mount, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 300<<20))
	run("mkfs.ext4", "-q", "-F", image)
	run("mount", "-o", "loop", image, mount)
	defer exec.Command("umount", mount).Run()

	r := rand.New(rand.NewPCG(1, 7))
	c, m := &clock{}, newModel()
	a, o := newAuthor(77, m), testOptions(c, 77)
	o.Dir, o.SegmentSize, o.ahead = filepath.Join(mount, "log"), 64<<10, 16<<10
	torn, records := 0, 0
	const rounds = 100
	for round := range rounds {
		l, rec, err := Open(vfs.OS(), o)
		must(t, err)
		k, err := m.match(&rec)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if rec.Verdict.Kind == TornTail {
			torn++
		}
		records += k
		m.cut(k)
		m.states, m.done = m.states[k:], 0
		steps, now, end := 1+r.IntN(60), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(end)
			for i := 0; a.step(l, c) == nil; i++ {
				if i == steps {
					close(now)
				}
			}
		}()
		<-now
		d, err := os.Open(mount)
		must(t, err)
		flag := uint32(1 + round%2) // the journal flushed, or not
		const shutdown = 0x8004587d
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, d.Fd(), shutdown, uintptr(unsafe.Pointer(&flag))); errno != 0 {
			t.Fatalf("shutdown: %v", errno)
		}
		<-end
		d.Close()
		l.Close()
		run("umount", mount)
		run("mount", "-o", "loop", image, mount)
	}
	t.Logf("%d shutdowns, %d records, %d torn tails, 0 lost", rounds, records, torn)
}
