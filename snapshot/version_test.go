package snapshot

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// The rule for versions, with a stand-in for the next one: n opens n and n-1 and goes on in n; n-1 refuses what n has written, and
// n+1 what n-1 has written, and nothing is touched.
func TestVersions(t *testing.T) {
	b := newBench(20)
	b.write(1)
	b.write(2)
	refused := func(version uint16) {
		t.Helper()
		must(t, b.err)
		o := b.o
		o.version = version
		_, before := b.disk.Files()
		var v *VersionError
		if _, err := Open(o); !errors.As(err, &v) || v.Newest != version {
			t.Fatalf("version %d: %v", version, err)
		}
		if _, now := b.disk.Files(); !reflect.DeepEqual(now, before) {
			t.Fatalf("version %d: refused, and yet changed", version)
		}
	}
	refused(3)
	b.o.version = 2
	b.open() // a directory of version 1
	b.check()
	b.write(3)
	b.open() // both versions in one directory
	b.check()
	refused(1)
	refused(3) // the older ones are of version 1
	b.write(4)
	b.write(5)
	b.w.retain()
	must(t, b.err, second(b.s.Retain(b.w.need)))
	b.o.version = 3
	b.open() // nothing of version 1 is left
	b.check()
	must(t, b.err)
}

// A flipped bit is no other version.
func TestFlippedVersionIsDamage(t *testing.T) {
	b := container(t, smallContent())
	for bit := range 8 * 4 {
		x := bytes.Clone(b)
		x[8+bit/8] ^= 1 << (bit % 8)
		must(t, detected(smallContent(), x))
	}
	le.PutUint16(b[8:], 2)
	le.PutUint16(b[10:], 0xfffd)
	var v *VersionError
	if _, err := NewReader(bytes.NewReader(b)); !errors.As(err, &v) || v.Version != 2 {
		t.Error(err)
	}
}
