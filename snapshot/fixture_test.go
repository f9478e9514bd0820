package snapshot

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the fixture of the present version anew")

// A snapshot as each version wrote it is kept for ever: a version reads its own and the one before, and writes the same bytes again.
func TestFixtures(t *testing.T) {
	c := smallContent()
	if *update {
		must(t, os.MkdirAll("testdata", 0o755), os.WriteFile(fmt.Sprintf("testdata/v%d.snap", Version), container(t, c), 0o644))
	}
	for version := uint16(1); version <= Version; version++ {
		if !readable(version, Version) {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("testdata/v%d.snap", version))
		must(t, err)
		r, err := NewReader(bytes.NewReader(b))
		must(t, err, c.same(r))
		if version == Version && !bytes.Equal(b, container(t, c)) {
			t.Error("the format has changed, and its version has not")
		}
	}
}
