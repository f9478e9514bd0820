package durable

import (
	"context"
	"errors"
	"hash/crc64"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

const dir = "/d"

var (
	ensembleID = zab.EnsembleID{1}
	counts     = zab.Mark{Ensemble: ensembleID, Member: 1, Counts: true, Born: true, Promised: 1, Joined: 1}
)

// bench is a directory on a disk in memory, and what writes to it.
type bench struct {
	t      *testing.T
	mem    *vfs.Memory
	drawn  uint64
	s      *Store
	f      Found
	unused []error
	pos    uint64
	last   zab.Zxid
	id     zab.WriteID
	told   []zab.WriteID
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, mem: vfs.NewMemory()}
	b.must(b.open())
	b.append(zab.Record{Kind: zab.RecordMark, Mark: counts})
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) random() uint64 { b.drawn++; return b.drawn }

// open starts as a node does, after a crash of the one before.
func (b *bench) open() error {
	b.mem.Crash()
	log, rec, err := wal.Open(b.mem, wal.Options{Dir: dir, Name: "n", Member: 1, Random: b.random, SegmentSize: 2048})
	b.must(err)
	if log == nil {
		b.t.Fatal(rec.Verdict)
	}
	b.unused = nil
	o := snapshot.Options{Dir: filepath.Join(dir, SnapshotsDir), FS: b.mem, Random: b.random, Keep: 2}
	b.s, b.f, err = Recover(log, &rec, o, nil, func(err error) { b.unused = append(b.unused, err) })
	return err
}

func (b *bench) append(records ...zab.Record) {
	b.t.Helper()
	for i := range records {
		b.id++
		records[i].ID = b.id
	}
	b.must(b.s.Append(records, 0, func(id zab.WriteID) { b.told = append(b.told, id) }))
}

// entry is the next one of an epoch.
func (b *bench) entry(epoch uint32) zab.Record {
	z := b.last + 1
	if b.last.Epoch() != epoch {
		z = zab.MakeZxid(epoch, 1)
	}
	b.pos++
	r := zab.Record{Kind: zab.RecordEntry, Pos: b.pos, Entry: zab.Entry{Zxid: z, Prev: b.last, Kind: zab.EntryData, Data: []byte(z.String())}}
	b.last = z
	return r
}

func (b *bench) entries(n int) {
	for range n {
		b.append(b.entry(1))
	}
}

// chunks is a state of which only the zxid is of account.
type chunks struct{ z zab.Zxid }

func (c *chunks) Zxid() zab.Zxid              { return c.z }
func (c *chunks) Next() ([]byte, bool, error) { return []byte("state of " + c.z.String()), true, nil }
func (c *chunks) Close()                      {}

// keep writes a snapshot of what is there, and lets the log go.
func (b *bench) keep() {
	b.t.Helper()
	m := snapshot.Meta{Ensemble: ensembleID, Zxid: b.last, Pos: b.pos, Spans: []zab.Span{{Epoch: b.last.Epoch(), Last: b.last.Counter()}}}
	i, err := b.s.States.Write(context.Background(), m, &chunks{b.last})
	b.must(err)
	b.s.Kept(&i)
	pos, err := b.s.Retain(i.Zxid)
	b.must(err)
	b.must(b.s.Append(nil, pos, func(zab.WriteID) { b.t.Fatal("told of nothing") }))
}

// received is a snapshot from elsewhere, and its RESET.
func (b *bench) received(z zab.Zxid) zab.Record {
	b.t.Helper()
	c := []byte("state of " + z.String())
	b.pos++
	b.last = z
	r, err := b.s.States.Receive(snapshot.Meta{Ensemble: ensembleID, Zxid: z, Spans: []zab.Span{{Epoch: z.Epoch(), Last: z.Counter()}}}, nil)
	b.must(err)
	b.must(r.Add(0, c))
	b.s.Hold(r)
	return zab.Record{Kind: zab.RecordReset, Pos: b.pos, Zxid: z, Snapshot: &zab.Snapshot{
		Zxid: z, Spans: []zab.Span{{Epoch: z.Epoch(), Last: z.Counter()}}, Length: uint64(len(c)), Digest: crc64.Checksum(c, crc64.MakeTable(crc64.ECMA)),
	}}
}

// snapshots are the files, newest first.
func (b *bench) snapshots() (names []string) {
	all, _ := b.mem.Files()
	for _, name := range slices.Backward(all) {
		if strings.HasSuffix(name, ".snap") {
			names = append(names, name)
		}
	}
	return names
}

// found checks what a start has found.
func (b *bench) found(z zab.Zxid, entries int) {
	b.t.Helper()
	got := zab.Zxid(0)
	if s := b.f.Snapshot; s != nil {
		if got = s.Zxid; string(s.Chunks[0]) != "state of "+got.String() {
			b.t.Errorf("the state is %q", s.Chunks[0])
		}
	}
	if got != z || b.s.Newest() != z || len(b.f.Entries) != entries || b.f.Pos != b.pos || b.f.Mark != counts {
		b.t.Fatalf("found %v (newest %v) and %d entries at %d, %+v; want %v and %d at %d", got, b.s.Newest(), len(b.f.Entries), b.f.Pos, b.f.Mark, z, entries, b.pos)
	}
	if entries > 0 {
		if p := b.f.Places.Of(b.last); p != b.pos {
			b.t.Errorf("the last entry is at %d, not %d", p, b.pos)
		}
		if e := b.f.Entries[0]; e.Prev != z {
			b.t.Errorf("the first entry follows %v, not %v", e.Prev, z)
		}
	}
}

func TestLogAlone(t *testing.T) {
	b := newBench(t)
	b.entries(5)
	b.must(b.open())
	b.found(0, 5)
}

func TestSnapshotAndLog(t *testing.T) {
	b := newBench(t)
	b.entries(40)
	b.keep()
	if b.s.Newest() != b.last {
		t.Fatal("it is not known to be the newest")
	}
	b.entries(7)
	b.must(b.open())
	b.found(zab.MakeZxid(1, 40), 7)
	if len(b.unused) > 0 {
		t.Error(b.unused)
	}
}

// A damaged snapshot is passed over as long as the log reaches back to an older one. Then the history is lost.
func TestDamagedSnapshots(t *testing.T) {
	b := newBench(t)
	for range 4 {
		b.entries(20)
		b.keep()
	}
	files := b.snapshots()
	if len(files) != 2 {
		t.Fatalf("%d snapshots are kept, not 2", len(files))
	}
	b.must(b.mem.FlipBit(files[0], 8*100))
	b.must(b.open())
	b.found(zab.MakeZxid(1, 60), 20)
	if _, ok := errors.AsType[*snapshot.DamageError](errors.Join(b.unused...)); !ok {
		t.Errorf("told of %v", b.unused)
	}
	b.must(b.mem.FlipBit(files[1], 8*100))
	if _, ok := errors.AsType[*snapshot.LostError](b.open()); !ok {
		t.Fatal("nothing is lost")
	}
}

// A RESET is the first of its batch, and its snapshot is there before it: at no operation does a power loss leave the one without the other.
func TestReset(t *testing.T) {
	b := newBench(t)
	b.entries(30)
	b.keep()
	b.told = nil
	before := b.entry(1)
	reset := b.received(zab.MakeZxid(3, 9))
	after := b.entry(3)
	was := b.id
	b.append(before, reset, after)
	if want := []zab.WriteID{was + 1, was + 3}; !slices.Equal(b.told, want) {
		t.Fatalf("told %v, want %v", b.told, want)
	}
	if n := len(b.snapshots()); n != 1 {
		t.Errorf("%d snapshots, those from before the RESET are of no use", n)
	}
	b.must(b.open())
	b.found(zab.MakeZxid(3, 9), 1)
	if p := b.f.Places.Of(zab.MakeZxid(3, 9)); p != reset.Pos {
		t.Errorf("the received state was reached at %d, not %d", p, reset.Pos)
	}
	b.append(b.entry(3))
	b.keep()
	b.must(b.open())
	b.found(zab.MakeZxid(3, 11), 0)
}

// A snapshot that was begun before the history began anew is none of it.
func TestKeptAcrossReset(t *testing.T) {
	b := newBench(t)
	b.entries(5)
	i := snapshot.Info{Meta: snapshot.Meta{Zxid: b.last, Pos: b.pos}}
	b.append(b.received(zab.MakeZxid(1, 3)))
	b.s.Kept(&i)
	if z := b.s.Newest(); z != zab.MakeZxid(1, 3) {
		t.Fatalf("the newest is %v", z)
	}
}

// A member that gave up its state while nobody had written anything is given the empty one. At the next start that is a snapshot like any other.
func TestEmptyState(t *testing.T) {
	b := newBench(t)
	r := b.received(0)
	r.Snapshot.Spans = nil
	b.append(r)
	b.must(b.open())
	b.found(0, 0)
	if b.f.Snapshot == nil {
		t.Fatal("no snapshot")
	}
	b.entries(3)
	b.must(b.open())
	b.found(0, 3)
}

func TestResetOfAnotherState(t *testing.T) {
	b := newBench(t)
	b.entries(3)
	r := b.received(zab.MakeZxid(2, 1))
	r.Snapshot.Digest++
	if err := b.s.Append([]zab.Record{r}, 0, func(zab.WriteID) { t.Error("told") }); err == nil {
		t.Fatal("taken")
	}
}

func TestErrors(t *testing.T) {
	b := newBench(t)
	b.entries(20)
	b.keep()
	eio := errors.New("eio")
	for _, kind := range []vfs.Kind{vfs.OpWrite, vfs.OpSync, vfs.OpRename} {
		b.must(b.open())
		pos, last := b.pos, b.last
		r := b.received(zab.MakeZxid(2, 1))
		b.mem.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == kind && strings.Contains(op.Name, SnapshotsDir) {
				return &vfs.Fault{Err: eio}
			}
			return nil
		})
		err := b.s.Append([]zab.Record{r}, 0, func(zab.WriteID) { t.Error("told") })
		if !errors.Is(err, eio) {
			t.Errorf("%d: %v", kind, err)
		}
		b.pos, b.last = pos, last
	}
	b.must(b.open())
	b.mem.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpSync {
			return &vfs.Fault{Err: eio}
		}
		return nil
	})
	r := b.entry(1)
	if err := b.s.Append([]zab.Record{r}, 0, func(zab.WriteID) { t.Error("told") }); !errors.Is(err, eio) {
		t.Error(err)
	}
	if err := b.s.Append(nil, 5, func(zab.WriteID) { t.Error("told") }); !errors.Is(err, eio) {
		t.Errorf("it goes on: %v", err)
	}
}

func TestOrphans(t *testing.T) {
	b := &bench{t: t, mem: vfs.NewMemory()}
	b.must(b.open())
	b.last, b.pos = 1, 1
	_, err := b.s.States.Write(context.Background(), snapshot.Meta{Ensemble: ensembleID, Zxid: 1}, &chunks{1})
	b.must(err)
	if err := b.open(); !errors.Is(err, ErrOrphans) {
		t.Fatal(err)
	}
}

func TestForeignSnapshot(t *testing.T) {
	b := newBench(t)
	other, err := snapshot.Open(snapshot.Options{Dir: filepath.Join(dir, SnapshotsDir), FS: b.mem, Random: b.random})
	b.must(err)
	_, err = other.Write(context.Background(), snapshot.Meta{Ensemble: zab.EnsembleID{9}, Zxid: 1}, &chunks{1})
	b.must(err)
	if _, ok := errors.AsType[*snapshot.IdentityError](b.open()); !ok {
		t.Fatal("the snapshot of another ensemble is taken")
	}
}

// History is read back as long as it is clearly less to send than a snapshot.
func TestRecall(t *testing.T) {
	b := newBench(t)
	b.entries(30)
	first := zab.MakeZxid(1, 1)
	for _, whole := range []bool{false, true} {
		got, err := b.s.Recall(&zab.Read{After: first, UpTo: b.last, Bytes: 1 << 20, Whole: whole, Rest: 1 << 30})
		if err != nil || len(got) != 29 || got[0].Prev != first || got[28].Zxid != b.last {
			t.Fatalf("without a snapshot: %d entries, %v", len(got), err)
		}
	}
	b.keep()
	after := b.last
	b.entries(10)
	got, err := b.s.Recall(&zab.Read{After: after, UpTo: b.last, Bytes: 1 << 20, Whole: true})
	if err != nil || len(got) != 10 {
		t.Fatalf("little: %d entries, %v", len(got), err)
	}
	if got, err := b.s.Recall(&zab.Read{After: after, UpTo: b.last, Bytes: 1 << 20, Whole: true, Rest: 1 << 30}); err != nil || got != nil {
		t.Fatalf("more than a snapshot: %d entries, %v", len(got), err)
	}
	r := b.received(zab.MakeZxid(3, 1))
	b.must(b.s.Close()) // what was received stays for another time
	if err := b.s.Append([]zab.Record{r}, 0, func(zab.WriteID) { t.Error("told") }); err == nil {
		t.Fatal("appended after Close")
	}
}
