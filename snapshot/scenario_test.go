package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// scenarios are stories of disks that fail, each with a sentence of what it is about; D and a number is the name that the whole programme of
// tests has for it. A scenario returns what went wrong.
var scenarios = []struct {
	name string
	run  func() error
}{
	{"D4", syncFailsOnce},
	{"D9", emptySnapshots},
	{"D10", newestDamaged},
	{"D11", crashInInstall},
	{"D12", retentionKeepsWhatIsNeeded},
	{"D18", snapshotDuringWrites},
	{"reset", nothingFromBeforeReset},
	{"received", receivedWithoutReset},
	{"ahead", aheadOfTheLog},
	{"foreign", foreignEnsemble},
	{"resume", resumedAtEveryChunk},
	{"pageCache", partsAreNotTrusted},
	{"sender", senderFails},
	{"full", diskFull},
	{"names", namesFail},
}

func TestScenario(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if err := s.run(); err != nil {
				t.Error(err)
			}
		})
	}
}

// bench is a Store on a disk of its own. After the first error nothing happens any more.
type bench struct {
	disk *vfs.Memory
	r    *rand.Rand
	o    Options
	s    *Store
	w    *twin
	err  error
}

func newBench(seed uint64) *bench {
	b := &bench{disk: vfs.NewMemory(), r: rand.New(rand.NewPCG(seed, 7)), w: newTwin()}
	b.o = testOptions(b.disk, seed)
	b.open()
	return b
}

func (b *bench) failf(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

func (b *bench) open() {
	if b.err == nil {
		b.s, b.err = Open(b.o)
	}
}

// write installs a state and returns it with its Info.
func (b *bench) write(z zab.Zxid, sizes ...int) (*content, Info) {
	c := draw(b.r, z, sizes...)
	if b.err != nil {
		return c, Info{}
	}
	b.w.issue(c)
	var i Info
	if i, b.err = b.s.Write(context.Background(), c.meta, c.reader()); b.err == nil {
		b.w.installed(z)
	}
	return c, i
}

func (b *bench) path(i Info) string { return filepath.Join(b.o.Dir, i.File) }

func (b *bench) check() {
	if b.err == nil {
		b.err = b.w.check(b.s)
	}
}

// zxids of what is listed.
func (b *bench) zxids() (z []zab.Zxid) {
	if b.err == nil {
		for _, i := range b.s.List() {
			z = append(z, i.Zxid)
		}
	}
	return z
}

// shorten makes a file this long, for good.
func (b *bench) shorten(name string, size int64) {
	f, err := b.disk.OpenWrite(name)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Sync(), f.Close())
	}
	if err != nil {
		b.failf("%w", err)
	}
}

// A sync fails once and would succeed if it were tried again, with what it was to write dropped: nothing is installed, and what was is still there.
func syncFailsOnce() error {
	for which := range 4 {
		b := newBench(14)
		b.write(1)
		n := 0
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpSync {
				if n++; n == which+1 {
					return &vfs.Fault{Err: syscall.EIO}
				}
			}
			return nil
		})
		c := draw(b.r, 2, 1300, 1300, 1300)
		if _, err := b.s.Write(context.Background(), c.meta, c.reader()); !errors.Is(err, syscall.EIO) && n > which {
			return fmt.Errorf("sync %d: written, with %v", which, err)
		}
		if n <= which {
			return nil
		}
		b.check()
		b.disk.SetHook(nil)
		b.write(3)
		b.disk.PowerLoss(b.r)
		b.open()
		b.check()
		if b.err != nil {
			return b.err
		}
	}
	return errors.New("more syncs than there were to fail")
}

// A snapshot that the log needs is empty, cut, full of zeros or missing: an error, and never the empty state (ZOOKEEPER-2325).
func emptySnapshots() error {
	for _, ruin := range []string{"empty", "header only", "without trailer", "zeros", "missing", "all missing"} {
		b := newBench(1)
		b.write(3)
		c, i := b.write(7)
		if b.err != nil {
			return b.err
		}
		switch ruin {
		case "empty":
			b.shorten(b.path(i), 0)
		case "header only":
			b.shorten(b.path(i), c.meta.size())
		case "without trailer":
			b.shorten(b.path(i), i.Size-headSize)
		case "zeros":
			b.err = b.disk.Zero(b.path(i), 0, i.Size)
		case "all missing":
			for _, i := range b.s.List() {
				b.err = errors.Join(b.disk.Remove(b.path(i)), b.err)
			}
		default:
			b.err = b.disk.Remove(b.path(i))
		}
		b.open()
		if b.err != nil {
			return b.err
		}
		if n := len(b.s.List()); ruin != "missing" && ruin != "all missing" && n != 2 || ruin == "missing" && n != 1 {
			return fmt.Errorf("%s: %d listed", ruin, n)
		}
		for _, n := range []Need{
			{From: 7, Upto: 9, Reset: &Reset{20, 7, i.Length, i.Digest}},
			{From: 4, Upto: 9}, // the log does not reach back to the older one
		} {
			var lost *LostError
			if _, _, err := b.s.Load(n, through); !errors.As(err, &lost) {
				return fmt.Errorf("%s: loaded, with %v", ruin, err)
			}
			if _, err := b.s.Retain(n); !errors.As(err, &lost) {
				return fmt.Errorf("%s: retained, with %v", ruin, err)
			}
		}
		if ruin != "all missing" && !slices.Contains(b.zxids(), 3) {
			return fmt.Errorf("%s: the older one was removed", ruin)
		}
	}
	b := newBench(1)
	if _, _, err := b.s.Load(Need{Upto: 9}, through); err != ErrNone {
		return fmt.Errorf("nothing is needed: %v", err)
	}
	return b.err
}

// The newest snapshot is damaged: an older one and the log give the same state, to the last digest.
func newestDamaged() error {
	b := newBench(2)
	m, err := newMember()
	if err != nil {
		return err
	}
	var infos []Info
	for range 3 {
		for range 50 {
			if err := m.random(b.r); err != nil {
				return err
			}
		}
		r := m.Snapshot(300)
		i, err := b.s.Write(context.Background(), m.meta(), r)
		r.Close()
		if err != nil {
			return err
		}
		infos = append(infos, i)
	}
	need := Need{From: 1, Upto: m.zxid}
	for damaged := range 3 {
		if damaged > 0 {
			i := infos[len(infos)-damaged]
			if err := b.disk.FlipBit(b.path(i), 8*(i.Size/2)); err != nil {
				return err
			}
		}
		b.open()
		if b.err != nil {
			return b.err
		}
		var z *core.Znodes
		i, faults, err := b.s.Load(need, func(r *Reader) (err error) {
			z, err = decode(r)
			return err
		})
		if err != nil || len(faults) != damaged || i.Zxid != infos[2-damaged].Zxid {
			return fmt.Errorf("%d damaged: %v, %v, %v", damaged, i.Zxid, faults, err)
		}
		for _, e := range m.log {
			if e.zxid > i.Zxid {
				if _, err := z.Apply(e.zxid, e.txn); err != nil {
					return err
				}
			}
		}
		if z.Digest() != m.Digest() {
			return fmt.Errorf("%d damaged: another state", damaged)
		}
	}
	return nil
}

// A crash at every operation and behind every byte of every write of: two snapshots, a third one, and the removal of the first.
func crashInInstall() error {
	for seed := range uint64(3) {
		b := newBench(seed)
		e := &explorer{r: b.r, w: b.w, all: true, figures: figures{met: map[string]int{}}}
		b.o.Keep, b.w.keep = 2, 2
		b.open()
		b.write(1, 100)
		b.write(2, 100, 0)
		e.watch(b.disk, 0)
		b.write(3, 700, 300)
		gone := b.w.retain()
		if b.err == nil {
			_, b.err = b.s.Retain(b.w.need)
		}
		for _, z := range gone {
			delete(b.w.may, z)
		}
		b.check()
		b.disk.PowerLoss(b.r)
		b.open()
		b.check()
		if err := errors.Join(b.err, e.err); err != nil {
			return err
		}
		if !slices.Equal(b.zxids(), []zab.Zxid{3, 2}) || e.met["rename"] != 1 || e.met["removal"] != 1 {
			return fmt.Errorf("%v, %v", b.zxids(), e.met)
		}
	}
	return nil
}

// Retention while a learner reads an old snapshot, and while the newest ones are damaged: what is needed stays.
func retentionKeepsWhatIsNeeded() error {
	b := newBench(4)
	var all []*content
	var infos []Info
	for z := range zab.Zxid(6) {
		c, i := b.write(z + 1)
		all, infos = append(all, c), append(infos, i)
	}
	if b.err != nil {
		return b.err
	}
	r, err := b.s.Open(infos[1].File)
	if err != nil {
		return err
	}
	oldest, err := b.s.Retain(b.w.need)
	if err != nil || oldest != 4 || !slices.Equal(b.zxids(), []zab.Zxid{6, 5, 4, 2}) {
		return fmt.Errorf("kept %v, oldest %v: %v", b.zxids(), oldest, err)
	}
	if err := all[1].same(r); err != nil {
		return err
	}
	r.Close()
	if _, err := b.s.Retain(b.w.need); err != nil || !slices.Equal(b.zxids(), []zab.Zxid{6, 5, 4}) {
		return fmt.Errorf("kept %v: %v", b.zxids(), err)
	}
	// The newest two are damaged within, which only reading shows. Two more would push the only whole one out.
	for _, i := range infos[4:] {
		if err := b.disk.FlipBit(b.path(i), 8*(all[5].meta.size()+headSize-20)); err != nil {
			return err
		}
	}
	b.open()
	b.o.Keep = 2
	b.open()
	if b.err != nil {
		return b.err
	}
	oldest, err = b.s.Retain(b.w.need)
	if err != nil || oldest != 4 || len(b.s.List()) != 3 {
		return fmt.Errorf("kept %v, oldest %v: %v", b.zxids(), oldest, err)
	}
	b.write(7)
	b.write(8)
	if oldest, err = b.s.Retain(b.w.need); err != nil || oldest != 7 || !slices.Equal(b.zxids(), []zab.Zxid{8, 7}) {
		return fmt.Errorf("kept %v, oldest %v: %v", b.zxids(), oldest, err)
	}
	return b.err
}

// A state is written while transactions, multis among them, go on behind every chunk: what is loaded is the state at the zxid of the View, in every field
// that the digest covers. (Fuzzy snapshots: ZOOKEEPER-3125, 3144, 3145.)
func snapshotDuringWrites() error {
	for seed := range uint64(20) {
		b := newBench(seed)
		m, err := newMember()
		if err != nil {
			return err
		}
		for range 60 {
			if err := m.random(b.r); err != nil {
				return err
			}
		}
		meta, want := m.meta(), m.Digest()
		before := m.Snapshot(100)
		during := &busy{SnapshotReader: before, m: m, r: b.r}
		i, err := b.s.Write(context.Background(), meta, during)
		before.Close()
		if err = errors.Join(err, during.err, b.err); err != nil {
			return err
		}
		if i.Chunks < 5 || m.Digest() == want {
			return fmt.Errorf("nothing happened in %d chunks", i.Chunks)
		}
		_, _, err = b.s.Load(Need{From: 1, Upto: m.zxid}, func(r *Reader) error {
			z, err := decode(r)
			if err == nil && z.Digest() != want {
				err = errors.New("another state than at the View")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type busy struct {
	zab.SnapshotReader
	m   *member
	r   *rand.Rand
	err error
}

func (b *busy) Next() ([]byte, bool, error) {
	for range 3 {
		b.err = errors.Join(b.err, b.m.random(b.r))
	}
	return b.SnapshotReader.Next()
}

// Behind a RESET nothing older is used, whatever its zxid, and not even when its own snapshot is damaged.
func nothingFromBeforeReset() error {
	b := newBench(5)
	b.write(4)
	b.write(9) // positions are zxids here
	c := draw(b.r, 6)
	c.meta.Pos = 0
	b.w.issue(c)
	r, err := b.s.Receive(c.meta, nil)
	if err != nil {
		return err
	}
	for i, chunk := range c.chunks {
		b.err = errors.Join(b.err, r.Add(uint32(i), chunk))
	}
	i, err := r.Commit(uint64(len(c.bytes())), c.digest())
	if err != nil {
		return err
	}
	b.w.installed(6)
	b.w.need = Need{From: 6, Upto: 20, Reset: &Reset{10, 6, i.Length, i.Digest}}
	b.check() // chooses 6
	if err := b.disk.FlipBit(b.path(i), 999); err != nil {
		return err
	}
	var lost *LostError
	if _, _, err := b.s.Load(b.w.need, through); !errors.As(err, &lost) {
		return fmt.Errorf("loaded, with %v", err)
	}
	if _, err := b.s.Retain(b.w.need); !errors.As(err, &lost) || len(b.s.List()) != 3 {
		return fmt.Errorf("%v kept, with %v", b.zxids(), err)
	}
	c = draw(b.r, 8)
	c.meta.Pos = 12
	if _, err := b.s.Write(context.Background(), c.meta, c.reader()); err != nil {
		return err
	}
	if i, _, err := b.s.Load(b.w.need, through); err != nil || i.Zxid != 8 {
		return fmt.Errorf("loaded %v: %v", i.Zxid, err)
	}
	// An older one that is being read, or cannot be removed, stays; then the RESET has to stay in the log, to tell that it is older.
	old, err := b.s.Open(b.s.List()[3].File)
	if err != nil {
		return err
	}
	if pos, err := b.s.Retain(b.w.need); err != nil || pos != 10 || !slices.Contains(b.zxids(), 4) || slices.Contains(b.zxids(), 9) {
		return fmt.Errorf("%v kept, from %d: %v", b.zxids(), pos, err)
	}
	old.Close()
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpRemove {
			return &vfs.Fault{Err: syscall.EBUSY}
		}
		return nil
	})
	if pos, err := b.s.Retain(b.w.need); err != nil || pos != 10 || !slices.Contains(b.zxids(), 4) {
		return fmt.Errorf("%v kept, from %d: %v", b.zxids(), pos, err)
	}
	b.disk.SetHook(nil)
	if pos, err := b.s.Retain(b.w.need); err != nil || pos != 10 || !slices.Equal(b.zxids(), []zab.Zxid{8, 6}) { // 6 is evidence
		return fmt.Errorf("%v kept, from %d: %v", b.zxids(), pos, err)
	}
	b.o.Keep = 1
	b.open()
	if b.err != nil {
		return b.err
	}
	if pos, err := b.s.Retain(b.w.need); err != nil || pos != 12 || !slices.Equal(b.zxids(), []zab.Zxid{8}) {
		return fmt.Errorf("%v kept, from %d: %v", b.zxids(), pos, err)
	}
	return nil
}

// A snapshot was received, and its RESET was not written, or not yet. Its zxid lies between two of the log, and its history is another one.
func receivedWithoutReset() error {
	b := newBench(15)
	b.write(4)
	c := draw(b.r, 6, 10)
	c.meta.Pos = 0
	b.w.issue(c)
	r, err := b.s.Receive(c.meta, nil)
	if err != nil {
		return err
	}
	b.err = errors.Join(b.err, r.Add(0, c.chunks[0]))
	i, err := r.Commit(10, c.digest())
	if err != nil {
		return err
	}
	need := Need{Upto: 9}
	if i, _, err := b.s.Load(need, through); err != nil || i.Zxid != 4 {
		return fmt.Errorf("loaded %v: %v", i.Zxid, err)
	}
	if _, err := b.s.Retain(need); err != nil || len(b.s.List()) != 2 {
		return fmt.Errorf("%v kept while the RESET is on its way: %v", b.zxids(), err)
	}
	reset := Need{From: 6, Upto: 9, Reset: &Reset{7, 6, i.Length, i.Digest}}
	if i, _, err := b.s.Load(reset, through); err != nil || i.Zxid != 6 {
		return fmt.Errorf("loaded %v behind the RESET: %v", i.Zxid, err)
	}
	b.open()
	if b.err != nil {
		return b.err
	}
	if _, err := b.s.Retain(need); err != nil || !slices.Equal(b.zxids(), []zab.Zxid{4}) {
		return fmt.Errorf("%v kept when no RESET can come any more: %v", b.zxids(), err)
	}
	return nil
}

// A snapshot beyond the end of the log is not used, and not removed.
func aheadOfTheLog() error {
	b := newBench(6)
	b.write(4)
	b.write(9)
	if b.err != nil {
		return b.err
	}
	need := Need{Upto: 8}
	i, faults, err := b.s.Load(need, through)
	var unfit *UnfitError
	if err != nil || i.Zxid != 4 || len(faults) != 1 || !errors.As(faults[0], &unfit) {
		return fmt.Errorf("%v, %v, %v", i.Zxid, faults, err)
	}
	if _, err := b.s.Retain(need); err != nil || len(b.s.List()) != 2 {
		return fmt.Errorf("%v kept: %v", b.zxids(), err)
	}
	return nil
}

// A directory of another ensemble is refused, by its files or by what is to be written, and not touched.
func foreignEnsemble() error {
	b := newBench(7)
	b.write(4)
	if b.err != nil {
		return b.err
	}
	f, err := b.disk.Create("/d/snap/" + stem(1, 2) + tempSuffix)
	if err != nil {
		return err
	}
	f.Close()
	o := b.o
	o.Ensemble = zab.EnsembleID{9}
	names, _ := b.disk.Files()
	var identity *IdentityError
	if _, err := Open(o); !errors.As(err, &identity) || identity.Have != testEnsemble {
		return fmt.Errorf("opened, with %v", err)
	}
	if now, _ := b.disk.Files(); !slices.Equal(now, names) {
		return fmt.Errorf("%v became %v", names, now)
	}
	o.Ensemble = zab.EnsembleID{}
	s, err := Open(o) // takes what it finds
	if err != nil {
		return err
	}
	c := draw(b.r, 5)
	c.meta.Ensemble = zab.EnsembleID{9}
	if _, err := s.Write(context.Background(), c.meta, c.reader()); !errors.As(err, &identity) {
		return fmt.Errorf("written, with %v", err)
	}
	if _, err := s.Receive(c.meta, nil); !errors.As(err, &identity) {
		return fmt.Errorf("received, with %v", err)
	}
	return nil
}

// A snapshot on its way is interrupted behind every chunk: by a break, a crash of the process or a power loss. It goes on at the first chunk that is missing,
// and never with chunks of another snapshot.
func resumedAtEveryChunk() error {
	for how := range 4 {
		for stop := range 7 {
			b := newBench(uint64(10*how + stop))
			c := draw(b.r, 9, 600, 0, 600, 600, 600, 1)
			c.meta.Pos = 0
			b.w.issue(c)
			from, i := newBench(99), Info{}
			if i, from.err = from.s.Write(context.Background(), c.meta, c.reader()); from.err != nil {
				return from.err
			}
			r, err := b.s.Receive(c.meta, nil)
			if err != nil {
				return err
			}
			for i := range stop {
				if err := r.Add(uint32(i), c.chunks[i]); err != nil {
					return err
				}
			}
			if r.Add(uint32(stop+3), nil) != ErrOrder {
				return errors.New("a gap")
			}
			meta := c.meta
			switch how {
			case 1:
				b.err = r.Close()
				b.open()
			case 2:
				b.disk.PowerLoss(b.r)
				b.open()
			case 3:
				b.err = r.Close()
				meta.ID[0]++
			}
			if how > 0 && b.err == nil {
				r, b.err = b.s.Receive(meta, nil)
			}
			if b.err != nil {
				return b.err
			}
			at := r.Position()
			if want := uint32(stop); how < 2 && at.Chunk != want || how == 2 && at.Chunk > want || how == 3 && at.Chunk != 0 {
				return fmt.Errorf("%d: stopped at %d, goes on at %d", how, stop, at.Chunk)
			}
			rd, err := from.s.Open(i.File)
			if err != nil {
				return err
			}
			if err := rd.Resume(at); err != nil {
				return err
			}
			for last := at.Chunk == 6; !last; {
				var chunk []byte
				if chunk, last, err = rd.Next(); err == nil {
					err = r.Add(r.Position().Chunk, chunk)
				}
				if err != nil {
					return err
				}
			}
			end := rd.Position()
			rd.Close()
			if _, err := r.Commit(end.Length, end.Digest); err != nil {
				return err
			}
			c.meta.ID = meta.ID
			b.w.installed(9)
			b.check()
			b.disk.PowerLoss(b.r)
			b.open()
			b.check()
			names, _ := b.disk.Files()
			if b.err != nil || len(names) != 1 {
				return fmt.Errorf("%v: %v", names, b.err)
			}
		}
	}
	return nil
}

// A sync fails and drops what it was to write, which can be read on; then the process ends before it has removed the file. What is received after that
// does not rest on it.
func partsAreNotTrusted() error {
	readable, durable := 0, 0
	for seed := range uint64(20) {
		b := newBench(seed)
		c := draw(b.r, 9, 600, 600, 600, 600)
		c.meta.Pos = 0
		b.w.issue(c)
		r, err := b.s.Receive(c.meta, nil)
		if err != nil {
			return err
		}
		failed := false
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if failed || op.Kind == vfs.OpSync {
				failed = true
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		for i, chunk := range c.chunks {
			err = errors.Join(err, r.Add(uint32(i), chunk))
		}
		if _, e := r.Commit(2400, c.digest()); err == nil && e == nil {
			return errors.New("no error of the sync")
		}
		b.disk.Crash()
		image := b.disk.Clone()
		image.PowerLoss(b.r)
		o := b.o
		o.FS = image
		other, err := Open(o)
		if err != nil {
			return err
		}
		if r, err = other.Receive(c.meta, nil); err != nil {
			return err
		}
		durable += int(r.Position().Chunk)
		b.open()
		if b.err != nil {
			return b.err
		}
		if r, err = b.s.Receive(c.meta, nil); err != nil {
			return err
		}
		readable += int(r.Position().Chunk)
		for i := int(r.Position().Chunk); i < 4; i++ {
			if err := r.Add(uint32(i), c.chunks[i]); err != nil {
				return err
			}
		}
		if _, err := r.Commit(2400, c.digest()); err != nil {
			return err
		}
		b.w.installed(9)
		b.disk.PowerLoss(b.r)
		b.open()
		b.check()
		if b.err != nil {
			return b.err
		}
	}
	if readable == 0 || durable >= readable {
		return fmt.Errorf("too tame: %d chunks readable, %d of them durable", readable, durable)
	}
	return nil
}

// Who sends a damaged snapshot never sends its end, and who receives another one than was sent does not keep it.
func senderFails() error {
	b := newBench(8)
	c, i := b.write(4, 500, 500, 500)
	if b.err != nil {
		return b.err
	}
	rd, err := b.s.Open(i.File)
	if err != nil {
		return err
	}
	b.err = b.disk.FlipBit(b.path(i), 8*(c.meta.size()+headSize+500+headSize+10))
	for n := range 5 {
		chunk, last, err := rd.Next()
		if last || n > 0 && (len(chunk) > 0 || err == nil) {
			return fmt.Errorf("chunk %d: %d bytes, last: %v, %v", n, len(chunk), last, err)
		}
	}
	if err := rd.Resume(Position{Chunk: 2}); err == nil {
		return errors.New("resumed")
	}
	rd.Close()
	rd.Close()
	var damage *DamageError
	d := newBench(9)
	if rd, err = b.s.Open(i.File); err != nil {
		return err
	}
	if _, err := d.s.Write(context.Background(), rd.Meta(), rd); !errors.As(err, &damage) || len(d.s.List()) != 0 {
		return fmt.Errorf("copied, with %v", err)
	}
	rd.Close()
	if _, err := rd.Chunk(); !errors.As(err, &damage) {
		return err
	}
	r, err := d.s.Receive(c.meta, nil)
	if err != nil {
		return err
	}
	err = r.Add(0, c.chunks[0])
	if _, e := r.Commit(500, c.digest()); e == nil || err != nil {
		return fmt.Errorf("another digest: %v, %v", e, err)
	}
	if err := r.Add(1, nil); err != ErrClosed {
		return err
	}
	if names, _ := d.disk.Files(); len(names) != 0 {
		return fmt.Errorf("%v are left", names)
	}
	return errors.Join(b.err, d.err)
}

// The disk is full, or a write or sync fails: nothing is installed or left, and the Store goes on when there is space again.
func diskFull() error {
	b := newBench(10)
	b.write(1)
	for n := int64(0); n < 2000; n += 97 {
		b.disk.SetSpace(n)
		c := draw(b.r, 5, 900, 900, 900)
		var failed *FailedError
		if _, err := b.s.Write(context.Background(), c.meta, c.reader()); !errors.As(err, &failed) || !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("written, with %v", err)
		}
		r, err := b.s.Receive(c.meta, nil)
		if err != nil && !errors.As(err, &failed) {
			return err
		}
		for i := 0; err == nil && i < 3; i++ {
			err = r.Add(uint32(i), c.chunks[i])
		}
		if err == nil {
			_, err = r.Commit(2700, c.digest())
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("received, with %v", err)
		}
		if names, _ := b.disk.Files(); len(names) != 1 {
			return fmt.Errorf("%v are left", names)
		}
	}
	b.disk.SetSpace(-1)
	if b.err == nil {
		b.err = b.s.Err()
	}
	b.write(2)
	b.check()
	for _, kind := range []vfs.Kind{vfs.OpCreate, vfs.OpSync, vfs.OpClose} {
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == kind && !strings.HasSuffix(op.Name, suffix) {
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		c := draw(b.r, 5)
		if _, err := b.s.Write(context.Background(), c.meta, c.reader()); !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("written, with %v", err)
		}
		if r, err := b.s.Receive(c.meta, nil); err == nil {
			for i, chunk := range c.chunks {
				err = errors.Join(err, r.Add(uint32(i), chunk))
			}
			if kind == vfs.OpClose {
				err = r.Close()
				r, _ = b.s.Receive(c.meta, nil)
				r.Abort()
			} else {
				_, err = r.Commit(uint64(len(c.bytes())), c.digest())
			}
			if err == nil {
				return errors.New("received")
			}
		}
	}
	b.disk.SetHook(nil)
	b.check()
	return b.err
}

// A rename or a sync of names fails: what is durable is not known, and the Store is at its end. The next one finds the snapshot whole or not at all.
func namesFail() error {
	for _, kind := range []vfs.Kind{vfs.OpRename, vfs.OpSyncDir} {
		for _, power := range []bool{false, true} {
			b := newBench(11)
			b.write(1)
			b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
				if op.Kind == kind {
					return &vfs.Fault{Err: syscall.EIO}
				}
				return nil
			})
			c := draw(b.r, 5)
			b.w.issue(c)
			var failed *FailedError
			if _, err := b.s.Write(context.Background(), c.meta, c.reader()); !errors.As(err, &failed) || b.s.Err() != err {
				return fmt.Errorf("written, with %v", err)
			}
			b.disk.SetHook(nil)
			c2 := draw(b.r, 6)
			for _, err := range []error{
				second(b.s.Write(context.Background(), c2.meta, c2.reader())), second(b.s.Receive(c2.meta, nil)), second(b.s.Retain(b.w.need)),
			} {
				if err != b.s.Err() {
					return fmt.Errorf("afterwards: %v", err)
				}
			}
			if power {
				b.disk.PowerLoss(b.r)
			} else {
				b.disk.Crash()
			}
			b.open()
			b.check()
			if b.err != nil {
				return b.err
			}
		}
	}
	b := newBench(12)
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpSyncDir || op.Kind == vfs.OpMkdir {
			return &vfs.Fault{Err: fs.ErrInvalid}
		}
		return nil
	})
	if _, err := Open(b.o); !errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("opened, with %v", err)
	}
	return nil
}

func second[T any](_ T, err error) error { return err }
