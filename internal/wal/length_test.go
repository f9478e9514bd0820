package wal

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// lengthy says of a segment that it is longer than it is.
type lengthy struct {
	vfs.FS
	name string
	size int64
	most int // that was asked for in one read
}

type lengthyFile struct {
	vfs.File
	l *lengthy
}

func (l *lengthy) Open(name string) (vfs.File, error) {
	f, err := l.FS.Open(name)
	if err == nil && name == l.name {
		f = lengthyFile{f, l}
	}
	return f, err
}

func (f lengthyFile) Size() (int64, error) { return f.l.size, nil }

func (f lengthyFile) ReadAt(b []byte, off int64) (int, error) {
	f.l.most = max(f.l.most, len(b))
	return f.File.ReadAt(b, off)
}

// A segment that is longer than its header says is damage, by one byte and by 64 GiB, and costs no memory. So is one whose header says what none can be.
func TestLengthOfSegments(t *testing.T) {
	for _, long := range []int64{1, 64 << 30} {
		for _, of := range []int{0, 1} { // the first and the last
			b := newBench(7)
			b.a.size = func() int { return 300 }
			for len(b.logs()) < 2 {
				b.entry()
			}
			b.disk.Crash()
			must(t, b.err)
			name := b.logs()[of]
			must(t, b.err)
			f, err := b.disk.OpenWrite(name)
			must(t, err)
			size, err := f.Size()
			must(t, err)
			fsys, what := vfs.FS(b.disk), fmt.Sprintf("segment %d is %d bytes too long", of, long)
			l := &lengthy{FS: b.disk, name: name, size: b.allocated(t, name) + long}
			if long == 1 {
				must(t, f.Truncate(l.size))
			} else {
				fsys = l
			}
			rec := judge(t, fsys, b.o)
			if rec.Verdict.Kind != Impaired || !strings.Contains(rec.Verdict.Why, "longer") {
				t.Fatalf("%s: %v", what, rec.Verdict)
			}
			if err := Walk(fsys, b.o.Dir, filepath.Base(name), func(*Piece) {}); err == nil || !strings.Contains(err.Error(), "longer") {
				t.Fatalf("%s: Walk gives %v", what, err)
			}
			if l.most > headerSize {
				t.Fatalf("%s: %d bytes were taken", what, l.most)
			}
			must(t, f.Truncate(size))
			b.rewriteHeader(t, name, func(s *segment) { s.allocated = 4 << 40 })
			if rec := judge(t, &lengthy{FS: b.disk, name: name, size: 4 << 40}, b.o); rec.Verdict.Kind != Impaired || !strings.Contains(rec.Verdict.Why, "larger than a segment") {
				t.Fatalf("a header of 4 TiB: %v", rec.Verdict)
			}
		}
	}
}

func judge(t *testing.T, fsys vfs.FS, o Options) Recovery {
	t.Helper()
	log, rec, err := Open(fsys, o)
	must(t, err)
	if log != nil {
		must(t, log.Close())
	}
	return rec
}

// header reads that of a segment.
func (b *bench) header(t *testing.T, name string) (vfs.File, *segment) {
	t.Helper()
	f, err := b.disk.OpenWrite(name)
	must(t, err)
	h := new(header)
	_, err = f.ReadAt(h[:], 0)
	must(t, err)
	s := new(segment)
	s.decode(h)
	return f, s
}

func (b *bench) allocated(t *testing.T, name string) int64 {
	_, s := b.header(t, name)
	return s.allocated
}

// rewriteHeader changes it, with its checksum.
func (b *bench) rewriteHeader(t *testing.T, name string, change func(*segment)) {
	t.Helper()
	f, s := b.header(t, name)
	change(s)
	_, err := f.WriteAt(s.encode(s.version)[:], 0)
	must(t, err, f.Sync())
}

// What no segment has room for is refused before anything is written.
func TestMaxBatch(t *testing.T) {
	b := newBench(9)
	b.entry()
	must(t, b.err)
	data := make([]byte, 1<<20)
	var batch []zab.Record
	s := b.m.now()
	pos, z := b.l.Pos(), s.last()
	for range maxBatch/len(data) + 1 {
		r := zab.Record{Kind: zab.RecordEntry, Pos: pos + 1, Entry: zab.Entry{Zxid: z + 1, Prev: z, Data: data}}
		pos, z = pos+1, z+1
		batch = append(batch, r)
	}
	before := b.l.Pos()
	if err := b.l.Append(batch); err == nil || !strings.Contains(err.Error(), "too large") || b.l.Pos() != before {
		t.Fatal(err)
	}
	must(t, b.l.Append(batch[:2]))
	o := b.o
	o.SegmentSize = maxSegment + 1
	if _, _, err := Open(b.disk, o); err == nil {
		t.Fatal("a segment of more than 4 GiB")
	}
}
