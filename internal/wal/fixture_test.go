package wal

import (
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

var update = flag.Bool("update", false, "write the fixture of the present version anew")

// fixtures are directories as each version wrote them, with the digest of what they hold. They are kept for ever: a version reads its own and
// the one before. Each ends in the middle of a batch, so that a start has something to do.
var fixtures = []struct {
	version uint16
	digest  uint32
}{
	{1, 0x97b5dbcd},
}

func TestFixtures(t *testing.T) {
	if *update {
		writeFixture(t, filepath.Join("testdata", fmt.Sprintf("v%d", Version)))
	}
	for _, f := range fixtures {
		if !readable(f.version, Version) {
			continue
		}
		disk := vfs.NewMemory()
		must(t, disk.MkdirAll("/d"))
		from := filepath.Join("testdata", fmt.Sprintf("v%d", f.version))
		names, err := os.ReadDir(from)
		must(t, err)
		for _, n := range names {
			b, err := os.ReadFile(filepath.Join(from, n.Name()))
			must(t, err)
			file, err := disk.Create("/d/" + n.Name())
			must(t, err)
			_, err = file.Write(b)
			must(t, err, file.Close())
		}
		for range 2 { // as it was found, and as it was left
			o := testOptions(&clock{}, 99)
			o.Dir = "/d"
			l, rec, err := Open(disk, o)
			must(t, err)
			if l == nil || rec.Verdict.Kind == Impaired {
				t.Fatalf("version %d: %v", f.version, rec.Verdict)
			}
			must(t, l.Close())
			rec.Verdict = Verdict{}
			rec.Acked = 0
			text := contents(&rec)
			if d := crc32.ChecksumIEEE([]byte(text)); d != f.digest {
				t.Fatalf("version %d: digest %#x, want %#x, of %s", f.version, d, f.digest, text)
			}
		}
	}
}

// contents names every field that version 1 has, so that a field which is added later changes no digest.
func contents(rec *Recovery) string {
	k := rec.Mark
	text := fmt.Sprintf("{%v %v %v %v %v %v %v} %v %v %v [", k.Ensemble, k.Member, k.Incarnation, k.Counts, k.Born, k.Promised, k.Joined, *rec.Reset, rec.Base, rec.Pos)
	for i, e := range rec.Entries {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("{%v %v %v %v %v %v}", e.Zxid, e.Prev, e.Kind, e.Data, e.Member, e.Incarnation)
	}
	return text + "]"
}

// writeFixture makes a directory with all kinds of records, several segments and an unclean end.
func writeFixture(t *testing.T, dir string) {
	b := newBench(50)
	b.a.size = func() int { return 700 }
	b.mark()
	for range 8 {
		b.entry()
	}
	s := b.m.now()
	for _, r := range records(
		zab.Record{Kind: zab.RecordTrunc, Pos: s.pos + 1, Zxid: s.entries[4].Zxid},
		zab.Record{Kind: zab.RecordReset, Pos: s.pos + 2, Zxid: zab.MakeZxid(4, 7), Snapshot: &zab.Snapshot{Zxid: zab.MakeZxid(4, 7), Length: 5, Digest: 6}},
	) {
		b.m.issue(records(r))
		b.append(r)
	}
	b.a.size = func() int { return 60 }
	b.mark()
	var batch []zab.Record
	for range 6 {
		batch = append(batch, b.a.entry(b.m.now(), false))
		b.m.issue(batch[len(batch)-1:])
	}
	batch[1].Entry.Kind, batch[1].Entry.Member, batch[1].Entry.Incarnation = zab.EntryReadmit, 2, zab.Incarnation{8}
	b.append(batch...)
	must(t, b.err)
	logs := b.logs()
	end := b.l.segments[len(b.l.segments)-1].end
	must(t, b.disk.Zero(logs[len(logs)-1], end-512, 512)) // torn
	must(t, os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	_, content := b.disk.Files()
	for name, bytes := range content {
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), bytes, 0o644))
	}
}
