package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

func benchLog(b *testing.B, dir string) (*Log, Recovery) {
	r := rand.New(rand.NewPCG(1, 1))
	l, rec, err := Open(vfs.OS(), Options{Dir: dir, Member: 1, Random: r.Uint64})
	if err != nil || l == nil {
		b.Fatal(rec.Verdict, err)
	}
	return l, rec
}

// fill makes records of entries of 150 bytes that follow z.
func fill(batch []zab.Record, pos uint64, z zab.Zxid, data []byte) {
	for i := range batch {
		batch[i] = zab.Record{Kind: zab.RecordEntry, Pos: pos + 1, Entry: zab.Entry{Zxid: z + 1, Prev: z, Kind: zab.EntryData, Data: data}}
		pos, z = pos+1, z+1
	}
}

// One batch, written and synced, on the disk of this machine. ns/entry is its share.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			l, _ := benchLog(b, b.TempDir())
			defer l.Close()
			batch, data := make([]zab.Record, n), make([]byte, 150)
			b.ReportAllocs()
			for b.Loop() {
				fill(batch, l.hist.pos, l.hist.last, data)
				if err := l.Append(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
			b.SetBytes(int64(150 * n))
		})
	}
}

// The same on a disk that costs nothing: what the log itself costs.
func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			l, _, err := Open(nowhere{vfs.NewMemory()}, Options{Dir: "/d", Member: 1, Random: r.Uint64})
			if err != nil {
				b.Fatal(err)
			}
			batch, data := make([]zab.Record, n), make([]byte, 150)
			b.ReportAllocs()
			for b.Loop() {
				fill(batch, l.hist.pos, l.hist.last, data)
				if err := l.Append(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
		})
	}
}

// nowhere forgets what is written.
type nowhere struct{ *vfs.Memory }

type nothing struct{ vfs.File }

func (n nowhere) OpenWrite(name string) (vfs.File, error) {
	f, err := n.Memory.OpenWrite(name)
	return nothing{f}, err
}
func (n nowhere) Create(name string) (vfs.File, error) {
	f, err := n.Memory.Create(name)
	return nothing{f}, err
}
func (nothing) Preallocate(int64) error                { return nil }
func (nothing) Truncate(int64) error                   { return nil }
func (nothing) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nothing) Sync() error                            { return nil }

// A million entries, judged and returned, from a clean stop.
func BenchmarkRecover(b *testing.B) {
	const entries = 1_000_000
	dir := b.TempDir()
	l, _ := benchLog(b, dir)
	batch, data := make([]zab.Record, 10_000), make([]byte, 150)
	for range entries / len(batch) {
		fill(batch, l.hist.pos, l.hist.last, data)
		if err := l.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l, rec := benchLog(b, dir)
		if len(rec.Entries) != entries {
			b.Fatal(len(rec.Entries))
		}
		l.Close()
	}
}

// 64 KiB of history for a member that lags behind.
func BenchmarkEntries(b *testing.B) {
	l, _ := benchLog(b, b.TempDir())
	defer l.Close()
	batch, data := make([]zab.Record, 10_000), make([]byte, 150)
	for range 10 {
		fill(batch, l.hist.pos, l.hist.last, data)
		if err := l.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		e, err := l.Entries(zab.Zxid(r.Uint64N(90_000)), l.hist.last, 64<<10)
		if err != nil || len(e) < 400 {
			b.Fatal(len(e), err)
		}
	}
}
