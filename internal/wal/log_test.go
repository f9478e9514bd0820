package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

func TestOptions(t *testing.T) {
	good := testOptions(&clock{}, 1)
	for name, change := range map[string]func(*Options){
		"dir":     func(o *Options) { o.Dir = "" },
		"member":  func(o *Options) { o.Member = 0 },
		"random":  func(o *Options) { o.Random = nil },
		"name":    func(o *Options) { o.Name = strings.Repeat("x", 256) },
		"segment": func(o *Options) { o.SegmentSize = 1 },
		"sector":  func(o *Options) { o.Sector = 768 },
	} {
		o := good
		change(&o)
		if _, _, err := Open(vfs.NewMemory(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Larger sectors, the default clock, and a name as long as can be.
	o := good
	o.Sector, o.Now, o.Name = 4096, nil, strings.Repeat("x", 255)
	b := &bench{disk: vfs.NewMemory(), c: &clock{}, m: newModel(), o: o}
	b.a = newAuthor(1, b.m)
	b.open()
	b.mark()
	for range 5 {
		b.entry()
	}
	b.disk.PowerLoss(seeded(1))
	b.open()
	b.close()
	must(t, b.err)
}

// What does not follow is refused, and nothing of the call is written.
func TestSequence(t *testing.T) {
	b := newBench(21)
	b.mark()
	b.entry()
	must(t, b.err)
	good := b.a.entry(b.m.now(), false)
	for name, change := range map[string]func(*zab.Record){
		"position": func(r *zab.Record) { r.Pos++ },
		"prev":     func(r *zab.Record) { r.Entry.Prev-- },
		"zxid":     func(r *zab.Record) { r.Entry.Zxid = r.Entry.Prev },
		"kind":     func(r *zab.Record) { r.Kind = 9 },
		"trunc":    func(r *zab.Record) { r.Kind, r.Zxid = zab.RecordTrunc, r.Entry.Zxid+1 },
		"reset":    func(r *zab.Record) { r.Kind = zab.RecordReset },
		"member":   func(r *zab.Record) { r.Kind, r.Mark = zab.RecordMark, zab.Mark{Member: 1, Ensemble: testEnsemble} },
		"ensemble": func(r *zab.Record) { r.Kind, r.Mark = zab.RecordMark, zab.Mark{Member: 3} },
	} {
		bad := good
		if name == "position" || name == "kind" || name == "prev" || name == "zxid" {
			bad.Pos, bad.Entry.Zxid, bad.Entry.Prev = good.Pos+1, good.Entry.Zxid+1, good.Entry.Zxid
		} else {
			bad.Pos++
		}
		change(&bad)
		var s *SequenceError
		if err := b.l.Append(records(good, bad)); !errors.As(err, &s) || s.Index != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if b.l.Pos() != b.m.now().pos {
			t.Fatalf("%s: something was written", name)
		}
	}
	b.m.issue(records(good))
	b.append(good)
	b.close()
	must(t, b.err)
	for _, err := range []error{b.l.Append(nil), b.l.Acked(1), b.l.Retain(1), b.l.Close()} {
		if err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
	if _, err := b.l.Entries(0, 1, 1); err != ErrClosed {
		t.Errorf("reading after Close: %v", err)
	}
	if b.l.Err() != nil {
		t.Error(b.l.Err())
	}
}

// A batch larger than a segment gets one of its own.
func TestLargeBatch(t *testing.T) {
	b := newBench(22)
	b.mark()
	b.a.size = func() int { return 3000 }
	var batch []zab.Record
	for range 5 {
		r := b.a.entry(b.m.now(), false)
		b.m.issue(records(r))
		batch = append(batch, r)
	}
	b.append(batch...)
	b.entry()
	b.a.size = func() int { return keepBuffer }
	b.entry()
	b.disk.PowerLoss(seeded(1))
	b.open()
	b.close()
	must(t, b.err)
}

// The acknowledged position is written at most once a second, and not at all when there is nothing new.
func TestAckedIsLazy(t *testing.T) {
	b := newBench(23)
	b.mark()
	syncs := 0
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpSync && strings.Contains(op.Name, "mark") {
			syncs++
		}
		return nil
	})
	must(t, b.err)
	step := func(d time.Duration, want int) {
		t.Helper()
		b.c.now += d
		must(t, b.l.Acked(b.m.now().pos))
		if syncs != want {
			t.Fatalf("%d syncs, want %d", syncs, want)
		}
	}
	step(5*time.Second, 0) // the mark said it already
	b.entry()
	step(0, 2)
	b.entry()
	step(999*time.Millisecond, 2)
	step(time.Millisecond, 4)
	step(time.Hour, 4)
	must(t, b.l.Acked(1<<60)) // never more than is durable
	b.disk.Crash()
	r, err := Inspect(b.disk, b.o.Dir, nil)
	if err != nil || r.Recovery.Acked != 2 {
		t.Fatalf("acknowledged %d, %v", r.Recovery.Acked, err)
	}
}

// After a clean stop a start writes nothing but the mark, and the log goes on in a new segment with the first batch.
func TestCleanStart(t *testing.T) {
	b := newBench(24)
	b.mark()
	b.entry()
	b.close()
	n := len(b.logs())
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpCreate || op.Kind == vfs.OpRename || op.Kind == vfs.OpRemove || op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, segmentSuffix) {
			return &vfs.Fault{Err: syscall.EIO}
		}
		return nil
	})
	b.open()
	must(t, b.err)
	b.disk.SetHook(nil)
	b.entry()
	if len(b.logs()) != n+1 {
		t.Fatalf("%d segments, want %d", len(b.logs()), n+1)
	}
	// Stopping and starting again and again leaves no heap of files behind.
	for i := range 20 {
		if i%2 == 0 {
			b.disk.PowerLoss(b.a.r)
		} else {
			b.close()
		}
		b.open()
	}
	must(t, b.err)
	if len(b.logs()) > n+12 {
		t.Fatalf("%d segments after 20 starts", len(b.logs()))
	}
	b.disk.Crash()
	for range 20 {
		b.open()
		b.disk.Crash()
	}
	if m := len(b.logs()); m > n+13 {
		t.Fatalf("%d segments after 20 crashes", m)
	}
	must(t, b.err)
}

// Size tells within 64 KiB how much of the log there is between two zxids, over several segments and behind a TRUNC.
func TestSize(t *testing.T) {
	b := newBench(31)
	if n := b.l.Size(0, 5); n != 0 {
		t.Fatalf("%d bytes of an empty log", n)
	}
	b.a.size = func() int { return 30_000 }
	for range 40 {
		b.entry()
	}
	must(t, b.err)
	if len(b.logs()) < 2 {
		t.Fatal("one segment")
	}
	entries := b.m.now().entries
	for i := range entries {
		for j := i; j < len(entries); j++ {
			n, want := b.l.Size(entries[i].Zxid, entries[j].Zxid), int64(j-i)*30_000
			if n < want-pointEvery || n > want+2*pointEvery+int64(j-i)*1024 {
				t.Fatalf("%d bytes between entries %d and %d", n, i, j)
			}
		}
	}
}

// Damage that comes while the log is open is an error for who reads it back, and never data.
func TestReadBackDamage(t *testing.T) {
	b := newBench(25)
	b.a.size = func() int { return 100 }
	for range 5 {
		b.entry()
	}
	must(t, b.err)
	last := b.m.now().last()
	name := b.logs()[0]
	for bit := int64(512 * 8); bit < 5*512*8; bit += 7 {
		must(t, b.disk.FlipBit(name, bit))
		entries, err := b.l.Entries(0, last, 1<<20)
		var d *DamageError
		if !errors.As(err, &d) || entries != nil || d.Error() == "" {
			t.Fatalf("bit %d: %d entries, %v", bit, len(entries), err)
		}
		must(t, b.disk.FlipBit(name, bit))
	}
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpRead {
			return &vfs.Fault{Err: syscall.EIO}
		}
		return nil
	})
	if _, err := b.l.Entries(0, last, 1); err == nil {
		t.Fatal("EIO is not reported")
	}
	b.disk.SetHook(nil)
	if e, err := b.l.Entries(0, last, 1); err != nil || len(e) != 1 {
		t.Fatal(len(e), err)
	}
	if e, err := b.l.Entries(last, last+5, 1); err != nil || len(e) != 0 {
		t.Fatal(len(e), err)
	}
	if _, err := b.l.Entries(1, last, 1); err != ErrGone { // 1 is no zxid of this history
		t.Fatal(err)
	}
}

// Readers work beside the writer, who truncates, resets and drops segments meanwhile. Whatever they get is a chain.
func TestReadersBesideTheWriter(t *testing.T) {
	b := newBench(26)
	must(t, b.err)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for i := range 3 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 6))
			after := zab.Zxid(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				entries, err := b.l.Entries(after, 1<<62, 1+r.IntN(4000))
				if err != nil && err != ErrGone {
					t.Error(err)
					return
				}
				for _, e := range entries {
					if e.Prev != after || e.Zxid <= after {
						t.Errorf("%v after %v, read after %v", e.Zxid, e.Prev, after)
						return
					}
					after = e.Zxid
				}
				if len(entries) == 0 {
					b.l.mu.Lock()
					after = b.l.hist.base
					b.l.mu.Unlock()
				}
			}
		})
	}
	for range 400 {
		must(t, b.a.step(b.l, b.c))
	}
	close(done)
	readers.Wait()
	must(t, b.l.Close(), b.l.Err())
}

func TestInspect(t *testing.T) {
	b := newBench(27)
	if r, err := Inspect(vfs.NewMemory(), "/nowhere", nil); err != nil || !r.Recovery.Fresh {
		t.Fatal(r, err)
	}
	b.mark()
	b.a.size = func() int { return 700 }
	for range 8 {
		b.entry()
	}
	s := b.m.now()
	cut := zab.Record{Kind: zab.RecordTrunc, Pos: s.pos + 1, Zxid: s.entries[5].Zxid}
	b.m.issue(records(cut))
	b.append(cut)
	b.entry()
	reset := b.a.reset(b.m.now())
	b.m.issue(records(reset))
	b.append(reset)
	b.entry()
	b.entry()
	must(t, b.err)
	_, before := b.disk.Files()
	seen := 0
	r, err := Inspect(b.disk, b.o.Dir, func(file string, offset int64, r *zab.Record) {
		if r.Pos != uint64(seen+1) || offset < headerSize || file == "" {
			t.Fatalf("%s at %d: position %d", file, offset, r.Pos)
		}
		seen++
	})
	must(t, err)
	_, now := b.disk.Files()
	if fmt.Sprint(now) != fmt.Sprint(before) {
		t.Fatal("the directory was changed")
	}
	sum := SegmentReport{}
	for _, s := range r.Segments {
		sum.Records += s.Records
		sum.Entries += s.Entries
		sum.Truncs += s.Truncs
		sum.Resets += s.Resets
		if s.Used && (s.End < headerSize || s.Size < s.End || s.Last+1 < s.First || s.Version != Version || s.Member != b.o.Member || s.Fault != "") {
			t.Errorf("%+v", s)
		}
		if s.File != segmentName(s.Number, s.ID) || (s.Before == "") != (s.Number == 1) || s.Batches == 0 || s.Entries > 0 && (s.Lowest == 0 || s.Highest < s.Lowest) {
			t.Errorf("%+v", s)
		}
	}
	if c := r.Slots; !c[0].Chosen && !c[1].Chosen || c[0].Version != Version || c[1].Version != Version || r.Name != b.o.Name {
		t.Errorf("%q, %+v", r.Name, c)
	}
	if seen != 13 || sum.Records != 13 || sum.Entries != 11 || sum.Truncs != 1 || sum.Resets != 1 || len(r.Epochs) != 1 || r.Epochs[0].Entries != 2 {
		t.Errorf("seen %d, %+v, epochs %+v", seen, sum, r.Epochs)
	}
	if r.Verdict.String() != "clean, not stopped properly" || r.Recovery.Pos != 13 || r.Slots[0].Mark.Ensemble != testEnsemble {
		t.Errorf("%+v", r)
	}
	temp, err := b.disk.Create(b.o.Dir + "/mark.0.tmp")
	must(t, err, temp.Close())
	if r, err = Inspect(b.disk, b.o.Dir, nil); err != nil || fmt.Sprint(r.Leftover) != "[mark.0.tmp]" {
		t.Errorf("%v, left over: %q", err, r.Leftover)
	}
	must(t, b.disk.FlipBit(b.logs()[1], 8*600))
	r, err = Inspect(b.disk, b.o.Dir, nil)
	if len(r.Leftover) > 0 {
		t.Errorf("a start removes %q of a damaged directory", r.Leftover)
	}
	if err != nil || r.Verdict.Kind != Impaired || !strings.HasPrefix(r.Verdict.String(), "impaired, not stopped properly: 000") || r.Recovery.Seen < b.m.now().last() {
		t.Errorf("%v, %v", r.Verdict, r.Recovery.Seen)
	}
}

// The same log on the disk of this machine.
func TestOnTheOS(t *testing.T) {
	c, m := &clock{}, newModel()
	a := newAuthor(28, m)
	o := testOptions(c, 28)
	o.Dir = t.TempDir() + "/a/log"
	for range 6 {
		l, rec, err := Open(vfs.OS(), o)
		must(t, err)
		k, err := m.match(&rec)
		must(t, err)
		m.cut(k)
		if _, _, err := Open(vfs.OS(), o); !errors.Is(err, vfs.ErrLocked) {
			t.Fatalf("D16: %v", err)
		}
		for range 12 {
			must(t, a.step(l, c), readBack(a.r, l, m))
		}
		must(t, l.Close())
	}
}

// A wiped disk is a fresh one: nothing tells it from a new one. The layers above know that this member had a memory.
func TestWiped(t *testing.T) {
	b := newBench(29)
	b.entry()
	b.disk.Wipe()
	l, rec, err := Open(b.disk, b.o)
	if err != nil || l == nil || !rec.Fresh || rec.Mark != (zab.Mark{Member: 3}) || rec.Pos != 0 {
		t.Fatalf("%+v, %v", rec, err)
	}
}

func TestStrings(t *testing.T) {
	for want, have := range map[string]fmt.Stringer{
		"clean":     Clean,
		"torn tail": Verdict{Kind: TornTail}.Kind,
		"impaired":  Impaired,
		"torn tail, not stopped properly: f: w; 3 bytes and 1 records cut": Verdict{Kind: TornTail, Unclean: true, Where: "f", Why: "w", Bytes: 3, Records: 1},
	} {
		if have.String() != want {
			t.Errorf("%q, want %q", have, want)
		}
	}
	for _, err := range []error{&FailedError{"sync x", syscall.EIO}, &IdentityError{"member", "1", "2"}, &VersionError{"f", 2, 1}, &SequenceError{1, "w"}, &DamageError{"f", 1, "w"}} {
		if !strings.HasPrefix(err.Error(), "wal: ") {
			t.Errorf("%q", err)
		}
	}
}

// Damage that shortens files or makes them unreadable as a whole is damage, whatever part is left.
func TestShortened(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		o := testOptions(&clock{}, 40)
		o.Sector, o.SegmentSize = sector, 4*4096
		b := &bench{disk: vfs.NewMemory(), c: &clock{}, m: newModel(), o: o}
		b.a = newAuthor(40, b.m)
		b.a.size = func() int { return 2500 }
		b.open()
		for range 8 {
			b.entry()
		}
		b.disk.Crash()
		must(t, b.err)
		for _, name := range b.logs() {
			for _, size := range []int64{0, 1, 511, 512, 513, 4095, 4096, 5000, 8192, 10000} {
				c := *b
				c.disk = b.disk.Clone()
				f, err := c.disk.OpenWrite(name)
				must(t, err, f.Truncate(size), f.Close())
				c.impaired(fmt.Sprintf("%s, %d bytes long", name, size))
				must(t, c.err)
			}
		}
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpList {
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		if rec := b.impaired("an unreadable directory"); rec.Fresh {
			t.Error("taken for a fresh directory")
		}
		must(t, b.err)
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpOpen && strings.HasSuffix(op.Name, segmentSuffix) {
				return &vfs.Fault{Err: syscall.EACCES}
			}
			return nil
		})
		b.impaired("files that cannot be opened")
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpOpen && op.Name == b.o.Dir+"/mark.1" {
				return &vfs.Fault{Err: syscall.EACCES}
			}
			return nil
		})
		_, rec, err := Open(b.disk, b.o)
		var failed *FailedError
		if !errors.As(err, &failed) {
			t.Errorf("a slot that cannot be opened: %v, %v", rec.Verdict, err)
		}
	}
}
