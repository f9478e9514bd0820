package vfs_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// A directory that was made is there after any loss of power, with all above it, also when another start has made some of them and not got further.
func TestMakeDir(t *testing.T) {
	for seed := range uint64(20) {
		m := vfs.NewMemory()
		if err := errors.Join(m.MkdirAll("/a/b"), vfs.MakeDir(m, "/a/b/c/d")); err != nil {
			t.Fatal(err)
		}
		m.PowerLoss(rand.New(rand.NewPCG(seed, 1)))
		if names, err := m.List("/a/b/c"); err != nil || !slices.Equal(names, []string{"d"}) {
			t.Fatal(names, err)
		}
	}
}

// Where nothing was made by us, nothing needs to be durable.
func TestMakeDirFails(t *testing.T) {
	for _, x := range []struct {
		there string // before
		kind  vfs.Kind
		name  string
		err   error
		ok    bool
	}{
		{"/", vfs.OpSyncDir, "/", fs.ErrPermission, true},
		{"/", vfs.OpSyncDir, "/a", syscall.EIO, false},
		{"/a/b", vfs.OpSyncDir, "/", syscall.EIO, false},
		{"/", vfs.OpMkdir, "/a/b", syscall.EIO, false},
		{"/", vfs.OpSyncDir, "/", syscall.EINVAL, false},
		{"/", vfs.OpSyncDir, "/a", syscall.EINVAL, false},
		{"/a", vfs.OpSyncDir, "/", syscall.EINVAL, true},
		{"/a", vfs.OpSyncDir, "/", syscall.ENOTSUP, true},
		{"/a", vfs.OpSyncDir, "/a", syscall.EINVAL, false},
		{"/a/b", vfs.OpSyncDir, "/a", syscall.EINVAL, true}, // it is a mount point
	} {
		m := vfs.NewMemory()
		if err := m.MkdirAll(x.there); err != nil {
			t.Fatal(err)
		}
		m.SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == x.kind && o.Name == x.name {
				return &vfs.Fault{Err: x.err}
			}
			return nil
		})
		if err := vfs.MakeDir(m, "/a/b"); (err == nil) != x.ok || !x.ok && !errors.Is(err, x.err) {
			t.Errorf("%+v: %v", x, err)
		}
	}
}
