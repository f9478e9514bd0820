package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

// Both file systems keep the contract of the package.
func TestConformance(t *testing.T) {
	t.Run("os", func(t *testing.T) { conformance(t, OS(), t.TempDir()) })
	t.Run("memory", func(t *testing.T) { conformance(t, NewMemory(), "/") })
}

func conformance(t *testing.T, fsys FS, root string) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
	}
	dir := filepath.Join(root, "a", "b")
	at := func(name string) string { return filepath.Join(dir, name) }
	content := func(name, want string) {
		t.Helper()
		f, err := fsys.Open(at(name))
		ok(err)
		size, err := f.Size()
		ok(err)
		b := make([]byte, size)
		_, err = f.ReadAt(b, 0)
		if size > 0 {
			ok(err)
		}
		ok(f.Close())
		if string(b) != want {
			t.Fatalf("%s holds %q, want %q", name, b, want)
		}
	}

	_, err := fsys.List(dir)
	is(err, fs.ErrNotExist)
	is(fsys.SyncDir(dir), fs.ErrNotExist)
	_, err = fsys.Create(at("x"))
	is(err, fs.ErrNotExist)
	ok(fsys.MkdirAll(dir))
	ok(fsys.MkdirAll(dir))
	ok(fsys.SyncDir(filepath.Join(root, "a")))
	names, err := fsys.List(dir)
	ok(err)
	if len(names) != 0 {
		t.Fatalf("new directory holds %q", names)
	}

	f, err := fsys.Create(at("x"))
	ok(err)
	_, err = fsys.Create(at("x"))
	is(err, fs.ErrExist)
	n, err := f.WriteAt([]byte("hello"), 3)
	ok(err)
	if n != 5 {
		t.Fatalf("wrote %d bytes of 5", n)
	}
	_, err = f.Write([]byte("!"))
	ok(err)
	ok(f.Sync())
	b := make([]byte, 6)
	n, err = f.ReadAt(b, 5)
	if n != 4 || err != io.EOF || string(b[:n]) != "llo!" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	_, err = f.ReadAt(b, 100)
	is(err, io.EOF)
	ok(f.Close())
	is(f.Close(), fs.ErrClosed)
	_, err = f.WriteAt(b, 0)
	is(err, fs.ErrClosed)
	is(f.Sync(), fs.ErrClosed)
	_, err = f.Size()
	is(err, fs.ErrClosed)
	content("x", "\x00\x00\x00hello!")

	_, err = fsys.Open(at("none"))
	is(err, fs.ErrNotExist)
	_, err = fsys.OpenWrite(at("none"))
	is(err, fs.ErrNotExist)
	f, err = fsys.Open(at("x"))
	ok(err)
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("a file opened for reading was written to")
	}
	ok(f.Close())

	f, err = fsys.OpenWrite(at("x"))
	ok(err)
	ok(f.Truncate(4))
	ok(f.Preallocate(6))
	ok(f.Preallocate(2))
	size, err := f.Size()
	ok(err)
	if size != 6 {
		t.Fatalf("size %d, want 6", size)
	}
	ok(f.Sync())
	ok(f.Close())
	content("x", "\x00\x00\x00h\x00\x00")

	f, err = fsys.Create(at("y"))
	ok(err)
	ok(f.Close())
	is(fsys.Rename(at("x"), at("y")), fs.ErrExist)
	is(fsys.Rename(at("none"), at("z")), fs.ErrNotExist)
	ok(fsys.Rename(at("x"), at("z")))
	ok(fsys.SyncDir(dir))
	names, err = fsys.List(dir)
	ok(err)
	if !slices.Equal(names, []string{"y", "z"}) {
		t.Fatalf("names %q", names)
	}
	content("z", "\x00\x00\x00h\x00\x00")
	content("y", "")
	ok(fsys.Remove(at("y")))
	is(fsys.Remove(at("y")), fs.ErrNotExist)

	// Into another directory and back, and a directory with what is in it.
	ok(fsys.MkdirAll(at("sub")))
	is(fsys.Rename(at("z"), at("none/z")), fs.ErrNotExist)
	ok(fsys.Rename(at("z"), at("sub/y")))
	ok(fsys.SyncDir(at("sub")))
	ok(fsys.SyncDir(dir))
	ok(fsys.Rename(at("sub"), filepath.Join(root, "moved")))
	_, err = fsys.Open(at("sub/y"))
	is(err, fs.ErrNotExist)
	f, err = fsys.Create(at("w"))
	ok(err)
	ok(f.Close())
	is(fsys.Rename(at("w"), filepath.Join(root, "moved", "y")), fs.ErrExist)
	ok(fsys.Remove(at("w")))
	ok(fsys.Rename(filepath.Join(root, "moved", "y"), at("z")))
	ok(fsys.Remove(filepath.Join(root, "moved")))
	content("z", "\x00\x00\x00h\x00\x00")

	l, err := fsys.Lock(at("lock"))
	ok(err)
	_, err = fsys.Lock(at("lock"))
	is(err, ErrLocked)
	ok(l.Close())
	l, err = fsys.Lock(at("lock"))
	ok(err)
	ok(l.Close())
	_, err = fsys.Lock(filepath.Join(root, "nowhere", "lock"))
	is(err, fs.ErrNotExist)

	// Large enough that a system may write it in parts.
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	f, err = fsys.Create(at("big"))
	ok(err)
	ok(f.Preallocate(int64(len(big)) + 1000))
	_, err = f.WriteAt(big, 1000)
	ok(err)
	ok(f.Sync())
	ok(f.Close())
	content("big", string(make([]byte, 1000))+string(big))
}
