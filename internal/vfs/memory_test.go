package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, m *Memory, name string, off int64, b []byte, sync bool) {
	t.Helper()
	f, err := m.OpenWrite(name)
	if err != nil {
		f, err = m.Create(name)
	}
	must(t, err)
	_, err = f.WriteAt(b, off)
	must(t, err)
	if sync {
		must(t, f.Sync())
	}
	must(t, f.Close())
}

func read(t testing.TB, m *Memory, name string) []byte {
	t.Helper()
	names, content := m.Files()
	if _, ok := content[name]; !ok {
		t.Fatalf("no file %s among %q", name, names)
	}
	return content[name]
}

func sectors(bytes ...byte) []byte {
	b := make([]byte, len(bytes)*Sector)
	for i := range b {
		b[i] = bytes[i/Sector]
	}
	return b
}

// A crash of the process loses nothing but handles and locks.
func TestCrashKeepsThePageCache(t *testing.T) {
	m := NewMemory()
	f, err := m.Create("a")
	must(t, err)
	_, err = f.Write([]byte("x"))
	must(t, err)
	l, err := m.Lock("lock")
	must(t, err)
	m.Crash()
	if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("a handle of the former life: %v", err)
	}
	second, err := m.Lock("lock")
	must(t, err, l.Close())
	if _, err := m.Lock("lock"); !errors.Is(err, ErrLocked) {
		t.Fatalf("a dead lock's Close ended a living one: %v", err)
	}
	must(t, second.Close())
	if string(read(t, m, "/a")) != "x" {
		t.Fatal("the page cache is lost")
	}
}

// After a power loss every synced sector is as synced, every other is old, new or garbage, and all of that happens.
func TestPowerLossTakesAnySubset(t *testing.T) {
	base := NewMemory()
	write(t, base, "a", 0, sectors(1, 1, 1, 1), true)
	must(t, base.SyncDir("/"))
	write(t, base, "a", Sector, sectors(2, 2, 2), false)
	f, err := base.OpenWrite("a")
	must(t, err)
	must(t, f.Truncate(6*Sector))
	write(t, base, "b", 0, sectors(3), true) // its name is not synced
	must(t, base.Rename("b", "c"))
	seen := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		m := base.Clone()
		m.PowerLoss(r)
		_, content := m.Files()
		a := content["/a"]
		if len(a) < 4*Sector || len(a) > 6*Sector {
			t.Fatalf("length %d", len(a))
		}
		if !bytes.Equal(a[:Sector], sectors(1)) {
			t.Fatal("a sector that was not written to has changed")
		}
		for s := 1; s < 4; s++ {
			what := "garbage"
			for _, old := range []byte{1, 2} {
				if bytes.Equal(a[s*Sector:(s+1)*Sector], sectors(old)) {
					what = fmt.Sprint(old)
				}
			}
			seen[fmt.Sprintf("%d %s", s, what)] = true
		}
		seen[fmt.Sprint("length ", len(a)/Sector)] = true
		for _, name := range []string{"/b", "/c"} {
			_, there := content[name]
			seen[fmt.Sprint(name, there)] = true
			if there && !bytes.Equal(content[name], sectors(3)) {
				t.Fatal("synced content is lost, though the name is there")
			}
		}
	}
	for _, want := range []string{"1 1", "1 2", "1 garbage", "2 1", "2 2", "3 garbage", "length 4", "length 5", "length 6", "/btrue", "/bfalse", "/ctrue", "/cfalse"} {
		if !seen[want] {
			t.Errorf("never seen: %s", want)
		}
	}
}

// A file that is moved to another directory is in one of the two, whatever of them was synced, and in the new one for certain when both were.
func TestPowerLossMovesWhollyOrNot(t *testing.T) {
	for synced := range 4 {
		base := NewMemory()
		must(t, base.MkdirAll("d/e"), base.MkdirAll("f"), base.SyncDir("/"), base.SyncDir("d"))
		write(t, base, "d/a", 0, []byte("x"), true)
		must(t, base.SyncDir("d"), base.Rename("d/a", "f/b"))
		if synced&1 != 0 {
			must(t, base.SyncDir("d"))
		}
		if synced&2 != 0 {
			must(t, base.SyncDir("f"))
		}
		if synced == 3 { // the name is free for another
			write(t, base, "d/a", 0, []byte("new"), true)
			must(t, base.SyncDir("d"))
		}
		moved := 0
		for seed := range uint64(200) {
			m := base.Clone().Clone()
			m.PowerLoss(rand.New(rand.NewPCG(seed, 0)))
			_, content := m.Files()
			there := string(content["/f/b"]) == "x"
			if there {
				moved++
			}
			switch {
			case synced == 3 && (!there || string(content["/d/a"]) != "new"),
				synced != 3 && there == (string(content["/d/a"]) == "x"):
				t.Fatalf("synced %d: %q", synced, content)
			}
		}
		if (moved == 200) != (synced == 3) || moved == 0 {
			t.Errorf("synced %d: %d of 200 moved", synced, moved)
		}
	}
}

func TestPowerLossKeepsWhatIsSynced(t *testing.T) {
	base := NewMemory()
	must(t, base.MkdirAll("d/e"), base.SyncDir("/"), base.SyncDir("d"))
	write(t, base, "d/e/a", 0, []byte("x"), true)
	write(t, base, "d/e/b", 0, []byte("y"), true)
	must(t, base.SyncDir("d/e"), base.Rename("d/e/a", "d/e/c"), base.Remove("d/e/b"), base.SyncDir("d/e"))
	for seed := range uint64(50) {
		m := base.Clone()
		m.PowerLoss(rand.New(rand.NewPCG(seed, 0)))
		names, content := m.Files()
		if len(names) != 1 || string(content["/d/e/c"]) != "x" {
			t.Fatalf("files %q", content)
		}
	}
}

// A sync that fails drops its pages: they can be read, a second sync succeeds, and the power loss shows that it was a lie.
func TestFailedSyncDrops(t *testing.T) {
	m := NewMemory()
	write(t, m, "a", 0, sectors(1), true)
	must(t, m.SyncDir("/"))
	f, err := m.OpenWrite("a")
	must(t, err)
	m.SetHook(func(op Op) *Fault {
		if op.Kind == OpSync {
			return &Fault{Err: syscall.EIO}
		}
		return nil
	})
	_, err = f.WriteAt(sectors(2), 0)
	must(t, err)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	m.SetHook(nil)
	must(t, f.Sync())
	if !bytes.Equal(read(t, m, "/a"), sectors(2)) {
		t.Fatal("the dropped page cannot be read")
	}
	m.PowerLoss(rand.New(rand.NewPCG(1, 1)))
	if !bytes.Equal(read(t, m, "/a"), sectors(1)) {
		t.Fatal("the dropped page reached the disk")
	}
}

func TestSpace(t *testing.T) {
	m := NewMemory()
	f, err := m.Create("a")
	must(t, err)
	m.SetSpace(5)
	if n, err := f.Write([]byte("12345678")); n != 5 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(n, err)
	}
	if err := f.Preallocate(6); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("abc"), 0) // in place
	must(t, err)
	must(t, f.Truncate(2))
	_, err = f.Write([]byte("xyz"))
	must(t, err)
	if got := string(read(t, m, "/a")); got != "abxyz" {
		t.Fatalf("%q", got)
	}
	must(t, f.Close(), m.Remove("a"))
	f, err = m.Create("b")
	must(t, err)
	_, err = f.Write([]byte("12345"))
	must(t, err)
}

func TestFaults(t *testing.T) {
	m := NewMemory()
	var next *Fault
	must(t, m.MkdirAll("d"), m.SyncDir("/"))
	f, err := m.Create("d/a")
	must(t, err, m.SyncDir("d"))
	m.SetHook(func(Op) *Fault { return next })
	next = &Fault{Err: syscall.EIO, Written: 2}
	if n, err := f.Write([]byte("12345")); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatal("short write", n, err)
	}
	calls := map[string]func() error{
		"create":   func() error { _, err := m.Create("d/b"); return err },
		"open":     func() error { _, err := m.Open("d/a"); return err },
		"read":     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"truncate": func() error { return f.Truncate(1) },
		"sync":     f.Sync,
		"rename":   func() error { return m.Rename("d/a", "d/b") },
		"remove":   func() error { return m.Remove("d/a") },
		"list":     func() error { _, err := m.List("d"); return err },
		"mkdir":    func() error { return m.MkdirAll("e") },
		"syncdir":  func() error { return m.SyncDir("d") },
		"lock":     func() error { _, err := m.Lock("d/lock"); return err },
		"close":    f.Close,
	}
	for name, call := range calls {
		if name == "close" {
			continue
		}
		if err := call(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", name, err)
		}
	}
	next = &Fault{Misdirect: true, At: 7}
	_, err = f.WriteAt([]byte("z"), 0)
	must(t, err)
	if got := string(read(t, m, "/d/a")); got != "12\x00\x00\x00\x00\x00z" {
		t.Fatalf("misdirected write: %q", got)
	}
	next = nil
	must(t, f.Sync())
	next = &Fault{Lie: true}
	_, err = f.WriteAt([]byte("y"), 0)
	must(t, err)
	must(t, f.Sync(), m.SyncDir("d"))
	next = &Fault{Err: syscall.EIO}
	if err := calls["close"](); !errors.Is(err, syscall.EIO) {
		t.Error("close:", err)
	}
	next = nil
	lost := false
	for seed := range uint64(20) {
		c := m.Clone()
		c.PowerLoss(rand.New(rand.NewPCG(seed, 0)))
		lost = lost || read(t, c, "/d/a")[0] == '1'
	}
	if !lost {
		t.Error("a sync that lied was kept always")
	}
}

func TestDamage(t *testing.T) {
	m := NewMemory()
	write(t, m, "a", 0, sectors(1, 1), true)
	write(t, m, "a", 0, sectors(2, 2), true)
	old := m.Clone()
	must(t, m.SyncDir("/"), m.FlipBit("a", 9))
	if got := read(t, m, "/a"); got[1] != 0 {
		t.Fatal("bit not flipped")
	}
	must(t, m.Zero("a", 0, 2), m.Stale("a", 1))
	if got := read(t, m, "/a"); got[0] != 0 || got[2] != 2 || got[Sector] != 1 {
		t.Fatal("not damaged as told")
	}
	m.PowerLoss(rand.New(rand.NewPCG(1, 1)))
	if got := read(t, m, "/a"); got[1] != 0 || got[Sector] != 1 {
		t.Fatal("a power loss healed damage")
	}
	for _, err := range []error{m.FlipBit("b", 0), m.FlipBit("a", 1<<20), m.Zero("a", Sector, 2*Sector), m.Stale("a", 9)} {
		if err == nil {
			t.Error("damage to what is not there")
		}
	}
	m.Restore(old)
	if got := read(t, m, "/a"); !bytes.Equal(got, sectors(2, 2)) {
		t.Fatal("not set back")
	}
	m.Wipe()
	if names, _ := m.Files(); len(names) != 0 {
		t.Fatal("not wiped")
	}
}

// Not every system can rename or remove a file that is open, so none may.
func TestOpenFilesStay(t *testing.T) {
	m := NewMemory()
	f, err := m.Create("a")
	must(t, err)
	if m.Rename("a", "b") == nil || m.Remove("a") == nil {
		t.Fatal("an open file was renamed or removed")
	}
	must(t, f.Close(), m.Rename("a", "b"), m.Remove("b"))
}

func TestHandles(t *testing.T) {
	m := NewMemory()
	count := func(want int) {
		t.Helper()
		if n := m.Handles(); n != want {
			t.Fatalf("%d files open, want %d", n, want)
		}
	}
	a, err := m.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	count(2)
	if a.Close() != nil || a.Close() == nil {
		t.Fatal("closed twice, or not at all")
	}
	count(1)
	m.Crash()
	count(0)
	if b.Close() == nil {
		t.Fatal("what was opened before the crash is still open")
	}
	count(0)
}

// What a process is about to do when the power fails is not done, and what it waits for fails.
func TestCrashEndsTheProcess(t *testing.T) {
	m := NewMemory()
	must(t, m.MkdirAll("/d"))
	write(t, m, "/d/a", 0, sectors(1), true)
	must(t, m.SyncDir("/"), m.SyncDir("/d"))
	p := m.Process()
	l, err := p.Lock("/lock")
	must(t, err, p.SyncDir("/"))
	for _, crash := range []func(){m.Crash, func() { m.PowerLoss(rand.New(rand.NewPCG(1, 1))) }, func() { m.Restore(m.Clone()) }} {
		p = m.Process()
		if _, err := p.List("/d"); err != nil {
			t.Fatal(err)
		}
		crash()
		for op, err := range []error{
			second(p.Create("/d/b")), second(p.Open("/d/a")), second(p.OpenWrite("/d/a")), p.Rename("/d/a", "/d/b"), p.Remove("/d/a"), second(p.List("/d")),
			p.MkdirAll("/e"), p.SyncDir("/d"), second(p.Lock("/lock")),
		} {
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("operation %d of a process that has ended: %v", op, err)
			}
		}
	}
	must(t, l.Close())
	if names, _ := m.Files(); fmt.Sprint(names) != "[/d/a /lock]" {
		t.Error(names)
	}
}

func second[T any](_ T, err error) error { return err }
