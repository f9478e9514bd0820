package wal

import (
	"errors"
	"reflect"
	"testing"
)

// The rule for versions, with a stand-in for the next one: n opens n and n-1 and goes on in n; n-1 refuses what n has written, and
// n+1 what n-1 has written, and nothing is touched.
func TestVersions(t *testing.T) {
	b := newBench(20)
	b.a.size = func() int { return 900 }
	for range 6 {
		b.entry()
		b.mark()
	}
	b.close()
	refused := func(version uint16) {
		t.Helper()
		must(t, b.err)
		o := b.o
		o.version = version
		_, before := b.disk.Files()
		_, _, err := Open(b.disk, o)
		var v *VersionError
		if !errors.As(err, &v) || v.Newest != version {
			t.Fatalf("version %d: %v", version, err)
		}
		if _, now := b.disk.Files(); !reflect.DeepEqual(now, before) {
			t.Fatalf("version %d: refused, and yet changed", version)
		}
	}
	refused(3)
	b.o.version = 2
	b.open() // from a directory of version 1
	b.entry()
	b.mark()
	b.disk.Crash()
	refused(1)
	refused(3) // the older segments are of version 1
	b.open()   // both versions in one directory
	b.entry()
	b.m.kept = b.m.now().pos
	if b.err == nil {
		b.err = b.l.Retain(b.m.kept)
	}
	b.close()
	must(t, b.err)
	b.o.version = 3
	b.open() // nothing of version 1 is left
	b.close()
	must(t, b.err)
	if _, err := Inspect(b.disk, b.o.Dir, nil); err == nil {
		t.Fatal("inspected a version of the future")
	}
}

// A flipped bit is no other version.
func TestFlippedVersionIsDamage(t *testing.T) {
	for bit := range 4 * 8 {
		h := (&slot{}).encode(1)
		h[8+bit/8] ^= 1 << (bit % 8)
		if v, why := h.open(slotMagic, 1); why == "" || v != 0 {
			t.Fatalf("bit %d: version %d", bit, v)
		}
	}
}
