package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// On the file system of the machine: two write, one reads what is there and one removes what is old, all at once.
func TestConcurrentUse(t *testing.T) {
	var mu sync.Mutex
	ids := rand.New(rand.NewPCG(1, 1))
	o := Options{Dir: filepath.Join(t.TempDir(), "a", "b"), Ensemble: testEnsemble, Random: func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return ids.Uint64()
	}}
	s, err := Open(o)
	must(t, err)
	const each = 12
	var states [2 * each]*content
	for i := range states {
		states[i] = draw(ids, zab.Zxid(i+1), 1000, 70000, 10)
	}
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for i := w; i < len(states); i += 2 {
				if _, err := s.Write(t.Context(), states[i].meta, states[i].reader()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	need := Need{Upto: 1000}
	others.Go(func() {
		for stop := false; !stop; {
			select {
			case <-done:
				stop = true
			default:
			}
			_, faults, err := s.Load(need, func(r *Reader) error { return states[r.Zxid()-1].same(r) })
			if len(faults) > 0 || err != nil && err != ErrNone {
				t.Error(faults, err)
			}
		}
	})
	others.Go(func() {
		for stop := false; !stop; {
			select {
			case <-done:
				stop = true
			default:
			}
			if _, err := s.Retain(need); err != nil && err != ErrNone {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	close(done)
	others.Wait()
	_, err = s.Retain(need)
	must(t, err)
	s, err = Open(o)
	must(t, err)
	if l := s.List(); len(l) != 3 || l[0].Zxid != 2*each {
		t.Errorf("%+v", l)
	}
	for _, i := range s.List() {
		r, err := OpenFile(o, i.File)
		must(t, err, states[i.Zxid-1].same(r))
		r.Close()
	}
	if names, err := os.ReadDir(o.Dir); len(names) != 3 {
		t.Error(names, err)
	}
}

// Between two chunks a context ends it, and nothing is left.
func TestCancel(t *testing.T) {
	b := newBench(1)
	c := draw(b.r, 5, 10, 10, 10, 10)
	for n := range 4 {
		ctx, cancel := context.WithCancelCause(t.Context())
		if _, err := b.s.Write(ctx, c.meta, &cancelling{c.reader(), n, func() { cancel(errors.New("why")) }}); (n < 3) != errors.Is(err, context.Canceled) {
			t.Errorf("after %d chunks: %v", n, err)
		}
		if names, _ := b.disk.Files(); n < 3 && len(names) > 0 {
			t.Error(names)
		}
		_, err := Write(ctx, io.Discard, c.meta, c.reader())
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(1)
	ctx := t.Context()
	good := draw(b.r, 5)
	bad := func(change func(c *content)) {
		t.Helper()
		c := draw(b.r, zab.MakeZxid(2, 5))
		change(c)
		if _, err := b.s.Write(ctx, c.meta, c.reader()); err == nil {
			t.Error("written")
		}
		if _, err := Write(ctx, io.Discard, c.meta, c.reader()); err == nil {
			t.Error("written to a stream")
		}
		if names, _ := b.disk.Files(); len(names) > 0 {
			t.Error(names)
		}
	}
	bad(func(c *content) { c.meta.Ensemble = zab.EnsembleID{} })
	bad(func(c *content) { c.meta.Spans = []zab.Span{{Epoch: 2, Last: 6}} })
	bad(func(c *content) { c.meta.Spans = []zab.Span{{Epoch: 1, Last: 6}, {Epoch: 1, Last: 7}} })
	bad(func(c *content) { c.chunks = [][]byte{{1}, make([]byte, MaxChunk+1)} })
	if _, err := b.s.Write(ctx, good.meta, smallContent().reader()); err == nil {
		t.Error("a state of another zxid")
	}
	w, err := b.s.Create(good.meta)
	must(t, err)
	if _, err := w.Commit(); err == nil {
		t.Error("no chunks")
	}
	if err := w.Add(nil); err == nil {
		t.Error("after the end")
	}
	r, err := b.s.Receive(good.meta, nil)
	must(t, err)
	if _, err := r.Commit(0, 0); err == nil {
		t.Error("no chunks")
	}
	if _, err := b.s.Open("x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := OpenFile(b.o, "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(Options{Dir: "x"}); err == nil {
		t.Error("without Random")
	}
	for _, o := range []Options{{}, {Dir: "x", Random: b.o.Random, Keep: -1}} {
		_, err1 := Open(o)
		_, _, err2 := Inspect(o)
		_, err3 := OpenFile(o, "x")
		if err1 == nil || err2 == nil || err3 == nil {
			t.Error("options", o.Dir)
		}
	}
	if _, err := b.s.Write(ctx, good.meta, good.reader()); err != nil {
		t.Error(err)
	}
	b.s.opt.Random = func() uint64 { return 7 }
	if _, err := b.s.Write(ctx, good.meta, good.reader()); err != nil {
		t.Error(err)
	}
	if _, err := b.s.Write(ctx, good.meta, good.reader()); err != errRandom {
		t.Error(err)
	}
}

// What is written to a stream, short of the end, is an error of the stream.
func TestWriteFails(t *testing.T) {
	c := smallContent()
	size := len(container(t, c))
	for n := range size {
		if _, err := Write(t.Context(), &limited{n}, c.meta, c.reader()); err != io.ErrShortWrite {
			t.Fatalf("%d of %d bytes: %v", n, size, err)
		}
	}
}

type limited struct{ left int }

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.left {
		return l.left, io.ErrShortWrite
	}
	l.left -= len(b)
	return len(b), nil
}

// A large chunk through a stream that gives little at a time, and one that fails.
func TestStream(t *testing.T) {
	c := draw(rand.New(rand.NewPCG(1, 1)), 9, 300_000, 5)
	b := container(t, c)
	r, err := NewReader(&dribble{b: b})
	must(t, err, c.same(r))
	if r.Err() != nil || r.Position() != (Position{2, 300_005, c.digest()}) {
		t.Error(r.Err(), r.Position())
	}
	r.Close()
	if r, err = NewReader(&dribble{b: b}); err != nil {
		t.Fatal(err)
	}
	at := Position{}.after(c.chunks[0])
	must(t, r.Resume(at))
	if last, _, _ := r.Next(); !bytes.Equal(last, c.chunks[1]) {
		t.Error("resumed elsewhere")
	}
	r, err = NewReader(io.MultiReader(bytes.NewReader(b[:100_000]), failing{}))
	must(t, err)
	if err := r.Resume(at); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if r, err = NewReader(bytes.NewReader(b[:100_000])); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(at); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	at.Digest++
	if r, err = NewReader(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(at); err != ErrPosition || r.Err() != ErrPosition {
		t.Error(err)
	}
}

type dribble struct{ b []byte }

func (d *dribble) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), 999)], d.b)
	d.b = d.b[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, syscall.EIO }

// The errors of reading are damage of the file, at whatever operation.
func TestReadErrors(t *testing.T) {
	b := newBench(3)
	b.write(1)
	c, _ := b.write(2, 3000, 3000)
	must(t, b.err)
	whole := func() (zab.Zxid, []error, error) {
		s, err := Open(b.o)
		must(t, err)
		i, faults, err := s.Load(b.w.need, func(r *Reader) error { return b.w.state[r.Zxid()].same(r) })
		return i.Zxid, faults, err
	}
	for stop := 1; ; stop++ {
		n := 0
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if strings.Contains(op.Name, "0000000002-") && (op.Kind == vfs.OpRead || op.Kind == vfs.OpOpen) {
				if n++; n == stop {
					return &vfs.Fault{Err: syscall.EIO}
				}
			}
			return nil
		})
		z, faults, err := whole()
		if n < stop {
			if z != c.meta.Zxid || stop < 8 {
				t.Fatal(stop, z)
			}
			return
		}
		if err != nil || z != 1 || len(faults) != 1 || !errors.Is(faults[0], syscall.EIO) {
			t.Fatalf("read %d: %v, %v, %v", stop, z, faults, err)
		}
	}
}

// Whoever only looks changes nothing and sees everything.
func TestInspect(t *testing.T) {
	b := newBench(4)
	infos, leftover, err := Inspect(Options{Dir: "/nowhere", FS: b.disk, Random: b.o.Random})
	if len(infos)+len(leftover) != 0 || err != nil {
		t.Fatal(infos, leftover, err)
	}
	c, i := b.write(4)
	r, err := b.s.Receive(c.meta, nil)
	must(t, err, r.Add(0, c.chunks[0]), r.Close(), r.Close())
	for _, name := range []string{stem(5, 1) + tempSuffix, stem(5, 1) + suffix, "x.snap", strings.ToUpper(stem(0xa, 1)) + suffix} {
		f, err := b.disk.Create("/d/snap/" + name)
		must(t, err, f.Close())
	}
	names, _ := b.disk.Files()
	infos, leftover, err = Inspect(b.o)
	must(t, err)
	if len(infos) != 2 || infos[0].Fault == nil || infos[0].Zxid != 5 || infos[1].File != i.File || infos[1].Digest != i.Digest || len(leftover) != 2 {
		t.Errorf("%+v, %v", infos, leftover)
	}
	if now, _ := b.disk.Files(); len(now) != len(names) {
		t.Error(now)
	}
	s := i.Snapshot()
	if s.Zxid != 4 || s.Length != i.Length || s.Digest != i.Digest || len(s.Spans) != 1 {
		t.Errorf("%+v", s)
	}
	b.open()
	must(t, b.err)
	// The name says another zxid than the header.
	must(t, b.disk.Rename("/d/snap/"+i.File, "/d/snap/"+stem(6, 1)+suffix))
	if infos, _, err = Inspect(b.o); err != nil || infos[0].Fault == nil {
		t.Error(infos, err)
	}
	// Parts that nobody receives go with what is old; other names stay.
	b.write(7)
	must(t, b.err, second(b.s.Retain(b.w.need)))
	_, leftover, err = Inspect(b.o)
	if len(leftover) != 0 || err != nil {
		t.Error(leftover, err)
	}
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpList || op.Kind == vfs.OpRemove {
			return &vfs.Fault{Err: syscall.EIO}
		}
		return nil
	})
	if _, _, err := Inspect(b.o); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// An error of the one who loads is not the file's; what he leaves unread is checked all the same.
func TestLoadErrors(t *testing.T) {
	b := newBench(5)
	b.write(1)
	c, i := b.write(2, 400, 400)
	must(t, b.err)
	why := errors.New("why")
	if _, faults, err := b.s.Load(b.w.need, func(*Reader) error { return why }); err != why || len(faults) > 0 {
		t.Error(faults, err)
	}
	if _, _, err := b.s.Load(b.w.need, func(r *Reader) error { r.Close(); return nil }); err != ErrClosed {
		t.Error(err)
	}
	if _, _, err := b.s.Load(b.w.need, func(r *Reader) error { return r.Resume(Position{Chunk: 1}) }); err != ErrPosition {
		t.Error(err)
	}
	must(t, b.disk.FlipBit(b.path(i), 8*(c.meta.size()+500)))
	seen := 0
	got, faults, err := b.s.Load(b.w.need, func(r *Reader) error {
		seen++
		_, err := r.Chunk()
		return err
	})
	if err != nil || got.Zxid != 1 || len(faults) != 1 || seen != 2 {
		t.Error(got.Zxid, faults, err)
	}
	for _, err := range append(faults, &UnfitError{"f", "why"}, &VersionError{"f", 2, 1}, &IdentityError{File: "f"}, &LostError{Need{Reset: &Reset{}}, nil}, &FailedError{"x", why}) {
		if !strings.HasPrefix(err.Error(), "snapshot: ") {
			t.Error(err)
		}
	}
}

// However large a state is, and however it arrives, the memory taken does not grow with it.
func TestMemoryIsBounded(t *testing.T) {
	disk := nowhere{vfs.NewMemory()}
	o := testOptions(disk, 1)
	o.buffer, o.flush = 0, 0
	s, err := Open(o)
	must(t, err)
	const chunks, limit = 128, 1 << 20
	c := smallContent()
	measure := func(what string, f func() (Info, error)) {
		t.Helper()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		i, err := f()
		runtime.ReadMemStats(&now)
		must(t, err)
		if used := now.TotalAlloc - before.TotalAlloc; used > limit || i.Length != chunks<<16 {
			t.Errorf("%s: %d bytes of memory for %d", what, used, i.Length)
		}
	}
	large := func() *repeating { return &repeating{z: c.meta.Zxid, chunk: make([]byte, 1<<16), left: chunks} }
	measure("written", func() (Info, error) { return s.Write(t.Context(), c.meta, large()) })
	measure("to a stream", func() (Info, error) { return Write(t.Context(), io.Discard, c.meta, large()) })
	measure("received", func() (Info, error) {
		r, err := s.Receive(c.meta, nil)
		must(t, err)
		for from, last := large(), false; !last; {
			var chunk []byte
			chunk, last, err = from.Next()
			must(t, err)
			must(t, r.Add(r.Position().Chunk, chunk))
		}
		return r.Commit(r.Position().Length, r.Position().Digest)
	})
}

type repeating struct {
	z     zab.Zxid
	chunk []byte
	left  int
}

func (r *repeating) Zxid() zab.Zxid { return r.z }
func (r *repeating) Close()         {}
func (r *repeating) Next() ([]byte, bool, error) {
	r.left--
	return r.chunk, r.left == 0, nil
}

// nowhere forgets what is written.
type nowhere struct{ *vfs.Memory }

type nothing struct{ vfs.File }

func (n nowhere) Create(name string) (vfs.File, error) {
	f, err := n.Memory.Create(name)
	return nothing{f}, err
}
func (nothing) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// A directory that cannot be cleaned is not opened.
func TestOpenFails(t *testing.T) {
	b := newBench(6)
	b.write(1)
	f, err := b.disk.Create("/d/snap/" + stem(5, 1) + tempSuffix)
	must(t, err, f.Close(), b.err)
	for _, kind := range []vfs.Kind{vfs.OpList, vfs.OpRemove, vfs.OpSyncDir} {
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == kind {
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		if _, err := Open(b.o); !errors.Is(err, syscall.EIO) {
			t.Error(kind, err)
		}
	}
}

func TestTimes(t *testing.T) {
	c := smallContent()
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2026, 1, 2, 3, 4, 5, 6_007_008, time.Local)} {
		c.meta.Created = at
		r, err := NewReader(bytes.NewReader(container(t, c)))
		must(t, err)
		if got := r.Meta().Created; !got.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%v became %v", at, got)
		}
	}
}

// Whoever is shown the chunks that are used again and cannot use them ends the Receiver, and is not shown them a second time.
func TestReusedIsRefused(t *testing.T) {
	b := newBench(41)
	c := draw(b.r, 9, 600, 600, 600)
	c.meta.Pos = 0
	b.w.issue(c)
	r, err := b.s.Receive(c.meta, nil)
	must(t, err)
	must(t, errors.Join(r.Add(0, c.chunks[0]), r.Add(1, c.chunks[1]), r.Close(), b.err))
	unusable, shown := errors.New("unusable"), 0
	if _, err := b.s.Receive(c.meta, func([]byte) error { shown++; return unusable }); err != unusable || shown != 1 {
		t.Fatal(shown, err)
	}
	r, err = b.s.Receive(c.meta, func([]byte) error { shown++; return nil })
	must(t, err)
	if r.Position() != (Position{}) || shown != 1 {
		t.Errorf("%+v, %d shown", r.Position(), shown)
	}
	r.Abort()
}
