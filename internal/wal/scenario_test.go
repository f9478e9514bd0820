package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// scenarios are stories of disks that fail, each with a sentence of what it is about; D and a number is the name that the whole programme of
// tests has for it. A scenario returns what went wrong.
var scenarios = []struct {
	name string
	run  func() error
}{
	{"D1", cutEveryByte},
	{"D2", middleBitFlip},
	{"D4", syncFailsOnce},
	{"D5", diskFull},
	{"D12", retentionKeepsWhatIsNeeded},
	{"D13", emptyFiles},
	{"D14", markTornOrEmpty},
	{"D15", swappedDisks},
	{"D16", twoProcesses},
	{"D20", killThenPowerLoss},
	{"missing", missingSegments},
	{"setBack", markSetBack},
	{"twoTails", twoTails},
	{"contradictions", contradictions},
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

// bench is a log on a disk of its own, with a model beside it.
type bench struct {
	disk *vfs.Memory
	c    *clock
	m    *model
	a    *author
	o    Options
	l    *Log
	err  error // the first: what follows it does nothing
}

func newBench(seed uint64) *bench {
	b := &bench{disk: vfs.NewMemory(), c: &clock{}, m: newModel()}
	b.a, b.o = newAuthor(seed, b.m), testOptions(b.c, seed)
	b.open()
	return b
}

func (b *bench) failf(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// open starts from the disk and checks what is found against the model.
func (b *bench) open() {
	if b.err != nil {
		return
	}
	l, rec, err := Open(b.disk, b.o)
	if err != nil {
		b.err = err
		return
	}
	k, err := b.m.match(&rec)
	if err != nil {
		b.err = err
		return
	}
	b.m.cut(k)
	b.l = l
}

// impaired starts from the disk, which must be refused, and be left as it is.
func (b *bench) impaired(why string) (rec Recovery) {
	if b.err != nil {
		return rec
	}
	_, before := b.disk.Files()
	l, rec, err := Open(b.disk, b.o)
	_, now := b.disk.Files()
	switch {
	case err != nil:
		b.err = err
	case l != nil || rec.Verdict.Kind != Impaired || len(rec.Entries) > 0:
		b.failf("%s: not noticed: %v", why, rec.Verdict)
	case !reflect.DeepEqual(before, now):
		b.failf("%s: evidence was changed", why)
	}
	return rec
}

func (b *bench) append(records ...zab.Record) {
	if b.err == nil {
		if b.err = b.l.Append(records); b.err == nil {
			b.m.reported()
		}
	}
}

// entry appends one entry as a batch.
func (b *bench) entry() {
	r := b.a.entry(b.m.now(), false)
	b.m.issue(records(r))
	b.append(r)
}

func (b *bench) mark() {
	r := b.a.mark(b.m.now())
	b.m.issue(records(r))
	b.append(r)
}

func (b *bench) acked() {
	b.c.now += 2 * time.Second
	if b.err == nil {
		b.err = b.l.Acked(b.m.now().pos)
	}
}

func (b *bench) close() {
	if b.err == nil {
		b.err = b.l.Close()
	}
}

// logs are the segments, oldest first.
func (b *bench) logs() []string {
	var logs []string
	names, _ := b.disk.Files()
	for _, n := range names {
		if strings.HasSuffix(n, segmentSuffix) {
			logs = append(logs, n)
		}
	}
	return logs
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 5)) }

// Three batches, cut at every byte of every write, with every kind of crash: what is found is a prefix with all that was synced.
func cutEveryByte() error {
	b := newBench(1)
	e := &explorer{r: seeded(1), c: b.c, m: b.m, o: b.o, all: true, figures: figures{met: map[string]int{}}}
	e.watch(b.disk, 0)
	b.a.size = func() int { return 100 }
	b.entry()
	b.m.issue(records(b.a.entry(b.m.now(), false)))
	s := b.m.states[len(b.m.states)-1].entries
	b.append(zab.Record{Kind: zab.RecordEntry, Pos: b.m.now().pos, Entry: s[len(s)-1].Entry})
	b.entry()
	return errors.Join(b.err, e.err)
}

// A record that was acknowledged goes bad in the middle of the log, in each of the ways that disks know. It is never cut.
func middleBitFlip() error {
	damages := map[string]func(disk *vfs.Memory, file string, off int64) error{
		"bit":       func(d *vfs.Memory, file string, off int64) error { return d.FlipBit(file, (off+50)*8) },
		"zero page": func(d *vfs.Memory, file string, off int64) error { return d.Zero(file, off, 512) },
		"stale":     func(d *vfs.Memory, file string, off int64) error { return d.Stale(file, off/512) },
		"unreadable": func(d *vfs.Memory, file string, off int64) error {
			reads := 0
			d.SetHook(func(op vfs.Op) *vfs.Fault {
				if op.Kind == vfs.OpRead && op.Name == file {
					reads++
				}
				if op.Kind == vfs.OpRead && op.Name == file && reads > 1 { // the header can be read
					return &vfs.Fault{Err: syscall.EIO}
				}
				return nil
			})
			return nil
		},
	}
	for name, damage := range damages {
		for _, stop := range []string{"clean", "crash", "acked"} {
			for _, which := range []int{1, 5} { // of the segment: in the middle, and the last but one of all
				b := newBench(7)
				b.a.size = func() int { return 300 }
				for range 6 {
					b.entry()
				}
				if name == "stale" && which == 5 {
					continue // only the sync before last can be undone
				}
				switch stop {
				case "clean":
					b.close()
				case "acked":
					b.acked()
				}
				b.disk.Crash()
				if b.err != nil {
					return b.err
				}
				off := int64(512 + (which-1)*512)
				if name == "stale" { // what the last sync wrote goes back
					off = 512 + 5*512
					if stop == "crash" {
						continue // the last batch, which nobody knows was acknowledged
					}
				}
				if err := damage(b.disk, b.logs()[0], off); err != nil {
					return err
				}
				rec := b.impaired(fmt.Sprintf("%s, %s, record %d", name, stop, which))
				if b.err == nil && rec.Mark.Member != 3 {
					return fmt.Errorf("%s: the ids are lost: %+v", name, rec)
				}
				if b.err != nil {
					return b.err
				}
			}
		}
	}
	return misdirected()
}

// A write lands on an earlier batch of the same file.
func misdirected() error {
	b := newBench(8)
	b.a.size = func() int { return 300 }
	b.entry()
	b.entry()
	b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, segmentSuffix) {
			return &vfs.Fault{Misdirect: true, At: 512}
		}
		return nil
	})
	b.entry()
	b.disk.Crash()
	b.impaired("misdirected write")
	return b.err
}

// A sync fails once and would succeed a second time, the pages being lost. Nothing after it is ever reported durable, and
// what was before it is intact.
func syncFailsOnce() error {
	for seed := range uint64(20) {
		b := newBench(seed)
		b.entry()
		b.mark()
		syncs, other := 0, 0
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			switch {
			case op.Kind == vfs.OpSync && syncs == 0:
				syncs++
				return &vfs.Fault{Err: syscall.EIO}
			case op.Kind == vfs.OpSync:
				syncs++
			case syncs > 0 && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpTruncate || op.Kind == vfs.OpSyncDir):
				other++
			}
			return nil
		})
		if b.err != nil {
			return b.err
		}
		r := b.a.entry(b.m.now(), false)
		if seed%2 == 0 {
			r = b.a.mark(b.m.now())
		}
		b.m.issue(records(r))
		err := b.l.Append(records(r))
		var failed *FailedError
		if !errors.As(err, &failed) || !errors.Is(err, syscall.EIO) || b.l.Err() != err {
			return fmt.Errorf("a failed sync is reported as %v, and kept as %v", err, b.l.Err())
		}
		for _, again := range []error{b.l.Append(records(r)), b.l.Append(nil), b.l.Acked(99), b.l.Retain(99), b.l.Close()} {
			if again != err {
				return fmt.Errorf("after the end: %v", again)
			}
		}
		if syncs != 1 || other != 0 {
			return fmt.Errorf("%d syncs and %d other changes after the first error", syncs-1, other)
		}
		if seed%4 < 2 {
			b.disk.PowerLoss(seeded(seed))
		} else {
			b.disk.Crash() // what was dropped can be read
			b.open()
			b.disk.PowerLoss(seeded(seed))
		}
		b.open()
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// The disk fills up. Marks can still be written; the batch that does not fit ends the log, and with space again all that was
// acknowledged is there.
func diskFull() error {
	b := newBench(3)
	b.entry()
	b.mark()
	b.disk.SetSpace(0)
	b.mark()
	if b.err != nil {
		return fmt.Errorf("a mark needs space: %w", b.err)
	}
	var err error
	for err == nil {
		r := b.a.entry(b.m.now(), false)
		b.m.issue(records(r))
		if err = b.l.Append(records(r)); err == nil {
			b.m.reported()
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	if err := b.l.Append(nil); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("after the end: %v", err)
	}
	b.disk.Crash()
	if _, _, err := Open(b.disk, b.o); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("opened without space: %v", err)
	}
	b.disk.Crash()
	b.disk.SetSpace(-1)
	b.open()
	b.entry()
	return b.err
}

// Retention runs while history is read and before each of many starts. What lies at or behind the position that was asked for
// is never missing, and what lies before it goes, sooner or later.
func retentionKeepsWhatIsNeeded() error {
	b := newBench(4)
	b.a.size = func() int { return 700 }
	b.mark()
	for i := range 60 {
		b.entry()
		if b.err != nil {
			return b.err
		}
		s := b.m.now()
		if i%7 == 6 {
			b.m.kept = s.pos - uint64(b.a.r.IntN(5))
			asked := false
			b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
				if op.Kind == vfs.OpRead && !asked { // in the middle of reading
					asked = true
					b.err = b.l.Retain(b.m.kept)
				}
				return nil
			})
			from := b.l.hist.base
			entries, err := b.l.Entries(from, s.last(), 1<<20)
			b.disk.SetHook(nil)
			if err != nil || b.err != nil || !asked {
				return fmt.Errorf("reading beside retention: %v, %v", err, b.err)
			}
			if err := s.same(from, entries, 0); err != nil && from == s.base {
				return err
			}
			b.err = b.l.Retain(b.m.kept)
			if _, err := b.l.Entries(s.base, s.last(), 1); i > 20 && err != ErrGone {
				return fmt.Errorf("history that is gone: %v", err)
			}
		}
		if i%13 == 12 {
			if i%2 == 0 {
				b.close()
			} else {
				b.disk.PowerLoss(b.a.r)
			}
			b.open()
		}
	}
	if n := len(b.logs()); n > 12 {
		return fmt.Errorf("%d segments are left", n)
	}
	return b.err
}

// An empty file that was never named is of no account. One with a name had content once.
func emptyFiles() error {
	for _, stop := range []string{"clean", "crash"} {
		setup := func() *bench {
			b := newBench(5)
			b.a.size = func() int { return 900 }
			for range 10 {
				b.entry()
			}
			if stop == "clean" {
				b.close()
			}
			b.disk.Crash()
			return b
		}
		empty := func(b *bench, name string) {
			if b.err == nil {
				f, err := b.disk.OpenWrite(name)
				if err != nil {
					f, err = b.disk.Create(name)
				}
				if err == nil {
					err = errors.Join(f.Truncate(0), f.Sync(), f.Close())
				}
				b.err = err
			}
		}
		b := setup()
		temp := b.o.Dir + "/" + segmentName(99, 7) + tempSuffix
		empty(b, temp)
		empty(b, b.o.Dir+"/mark.0"+tempSuffix)
		empty(b, b.o.Dir+"/snapshot.1")
		empty(b, b.o.Dir+"/00.log")
		b.open()
		if names, _ := b.disk.Files(); b.err == nil {
			if slices.Contains(names, temp) || slices.Contains(names, b.o.Dir+"/mark.0"+tempSuffix) {
				return errors.New("what was never named is still there")
			}
			if !slices.Contains(names, b.o.Dir+"/snapshot.1") || !slices.Contains(names, b.o.Dir+"/00.log") {
				return errors.New("somebody else's file is gone")
			}
		}
		if b.err != nil {
			return b.err
		}
		for i := range setup().logs() {
			b = setup()
			empty(b, b.logs()[i])
			b.impaired(fmt.Sprintf("%s, segment %d of %d is empty", stop, i, len(b.logs())))
			if b.err != nil {
				return b.err
			}
		}
		b = setup()
		empty(b, b.o.Dir+"/"+segmentName(99, 7))
		b.impaired(stop + ", an empty segment behind the last")
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// A slot is torn, empty, too long, missing or rotten: the other one serves, whichever it is. Without any, the ids are read from the segments.
func markTornOrEmpty() error {
	damages := map[string]func(d *vfs.Memory, name string) error{
		"rotten": func(d *vfs.Memory, name string) error { return d.FlipBit(name, 8*64+1) },
		"zero":   func(d *vfs.Memory, name string) error { return d.Zero(name, 0, headerSize) },
		"empty": func(d *vfs.Memory, name string) error {
			f, err := d.OpenWrite(name)
			if err != nil {
				return err
			}
			return errors.Join(f.Truncate(0), f.Close())
		},
		"long": func(d *vfs.Memory, name string) error {
			f, err := d.OpenWrite(name)
			if err != nil {
				return err
			}
			return errors.Join(f.Truncate(headerSize+1), f.Close())
		},
		"missing": func(d *vfs.Memory, name string) error { return d.Remove(name) },
	}
	for how, damage := range damages {
		for n := range 3 { // updates, so that each slot is once the newer one
			for victim := range 3 {
				b := newBench(6)
				if n != 1 {
					b.entry()
				}
				for range n + 1 {
					b.mark()
				}
				if n == 1 { // all in one segment
					b.entry()
				}
				if n == 2 {
					b.close()
				}
				b.disk.Crash()
				if b.err != nil {
					return b.err
				}
				if n == 1 && victim == 2 { // with a torn tail on top
					logs, s := b.logs(), b.l.segments[len(b.l.segments)-1]
					if err := b.disk.FlipBit(logs[len(logs)-1], (s.end+9)*8); err != nil {
						return err
					}
				}
				for i, name := range slotNames {
					if victim == i || victim == 2 {
						if err := damage(b.disk, b.o.Dir+"/"+name); err != nil {
							return err
						}
					}
				}
				if victim < 2 {
					b.open()
					b.mark()
					b.close()
					b.open()
				} else {
					rec := b.impaired(how + ", both slots")
					if b.err == nil && (rec.Mark.Ensemble != testEnsemble || rec.Mark.Member != 3 || rec.Mark.Promised != 0 || rec.Seen == 0) {
						return fmt.Errorf("%s: of the ids there is %+v", how, rec)
					}
				}
				if b.err != nil {
					return fmt.Errorf("%s, slot %d: %w", how, victim, b.err)
				}
			}
		}
	}
	return nil
}

// A member is started with another member's disk, or one of another ensemble.
func swappedDisks() error {
	b := newBench(9)
	b.mark()
	b.entry()
	b.close()
	if b.err != nil {
		return b.err
	}
	for _, c := range []struct {
		what   string
		change func(*Options)
	}{
		{"member", func(o *Options) { o.Member = 1 }},
		{"name", func(o *Options) { o.Name = "other" }},
		{"ensemble", func(o *Options) { o.Ensemble = zab.EnsembleID{1} }},
	} {
		for _, slots := range []bool{true, false} {
			disk := b.disk.Clone()
			if !slots { // the segments say it as well
				for _, name := range slotNames {
					if err := disk.Zero(b.o.Dir+"/"+name, 0, headerSize); err != nil {
						return err
					}
				}
			}
			_, before := disk.Files()
			o := b.o
			c.change(&o)
			_, _, err := Open(disk, o)
			var foreign *IdentityError
			if !errors.As(err, &foreign) || foreign.What != c.what {
				return fmt.Errorf("%s: %v", c.what, err)
			}
			if _, now := disk.Files(); !reflect.DeepEqual(now, before) {
				return fmt.Errorf("%s: a foreign directory was changed", c.what)
			}
		}
	}
	// One file of another member among ours.
	other := newBench(10)
	other.o.Member, other.o.Dir = 1, "/d/other"
	other.disk = vfs.NewMemory()
	l, _, err := Open(other.disk, other.o)
	if err == nil {
		other.m.states[0].mark.Member = 1
		err = l.Append(records(other.a.entry(other.m.now(), false)))
	}
	if err != nil {
		return err
	}
	_, content := other.disk.Files()
	for name, bytes := range content {
		if strings.HasSuffix(name, segmentSuffix) {
			f, err := b.disk.Create(strings.Replace(name, "other", "log", 1))
			if err == nil {
				_, err = f.Write(bytes)
			}
			if err != nil {
				return err
			}
		}
	}
	b.impaired("a segment of another member")
	return b.err
}

// A second start on a directory in use is refused, and changes nothing.
func twoProcesses() error {
	b := newBench(11)
	b.entry()
	if _, _, err := Open(b.disk, b.o); !errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("a second log on the same directory: %v", err)
	}
	b.entry()
	b.close()
	b.open()
	return b.err
}

// The process dies between write and sync. The next start reads the record from the page cache, returns it, and it is counted on;
// then the power fails. The same after a sync that failed and dropped its pages.
func killThenPowerLoss() error {
	for seed := range uint64(40) {
		b := newBench(seed)
		b.a.size = func() int { return 10 } // the blocks are there
		b.entry()
		dropped := seed%2 == 0
		b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpSync {
				return &vfs.Fault{Err: syscall.EIO, Lie: true}
			}
			return nil
		})
		if !dropped {
			b.disk.SetHook(func(op vfs.Op) *vfs.Fault {
				if op.Kind == vfs.OpSync {
					return &vfs.Fault{Lie: true} // it dies here
				}
				return nil
			})
		}
		r := b.a.entry(b.m.now(), false)
		b.m.issue(records(r))
		if b.err == nil {
			b.l.Append(records(r)) // never returned
		}
		b.disk.Crash()
		b.open()
		if b.err == nil && b.m.now().pos != r.Pos {
			return errors.New("the page cache was lost")
		}
		b.disk.PowerLoss(seeded(seed))
		b.open()
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// A segment is gone.
func missingSegments() error {
	for _, stop := range []string{"clean", "acked"} {
		for i := range 4 {
			b := newBench(12)
			b.a.size = func() int { return 900 }
			for range 12 {
				b.entry()
			}
			switch stop {
			case "clean":
				b.close()
			case "acked":
				b.acked()
			}
			b.disk.Crash()
			logs := b.logs()
			if b.err == nil && len(logs) < 4 {
				return fmt.Errorf("%d segments", len(logs))
			}
			if i == 3 {
				for _, name := range logs {
					b.err = errors.Join(b.err, b.disk.Remove(name))
				}
			} else if b.err == nil {
				b.err = b.disk.Remove(logs[[]int{0, 1, len(logs) - 1}[i]])
			}
			rec := b.impaired(fmt.Sprintf("%s, segment %d gone", stop, i))
			if b.err == nil && rec.Pos != 12 {
				return fmt.Errorf("position %d is known, 12 was acknowledged", rec.Pos)
			}
			if b.err != nil {
				return b.err
			}
		}
	}
	return nil
}

// Both slots go back to what they were before something was appended.
func markSetBack() error {
	b := newBench(13)
	b.mark()
	old := b.disk.Clone()
	b.mark()
	b.entry()
	b.disk.Crash()
	_, content := old.Files()
	for _, name := range slotNames {
		f, err := b.disk.OpenWrite(b.o.Dir + "/" + name)
		if err == nil {
			_, err = f.WriteAt(content[b.o.Dir+"/"+name], 0)
			f.Close()
		}
		if err != nil {
			return err
		}
	}
	b.impaired("mark set back")
	return b.err
}

// Two segments go on from the same place, both with appended batches: half of an older image was put back.
func twoTails() error {
	b := newBench(14)
	b.entry()
	b.close()
	fork := b.disk.Clone()
	b.open()
	b.entry()
	b.close()
	_, content := b.disk.Files()
	logs := b.logs()
	name := logs[len(logs)-1]
	b.disk = fork
	b.m.cut(1)
	b.open()
	b.entry()
	b.entry()
	b.disk.Crash()
	if b.err != nil {
		return b.err
	}
	f, err := b.disk.Create(name)
	if err == nil {
		_, err = f.Write(content[name])
		f.Close()
	}
	if err != nil {
		return err
	}
	b.impaired("two tails")
	return b.err
}

// The mark and the log contradict each other in ways that take more than one fault; and two that look so and are none.
func contradictions() error {
	for _, c := range []struct {
		what   string
		change func(s *slot)
		want   Kind
	}{
		{"as it is", func(s *slot) {}, Clean},
		{"the log goes on after a clean stop", func(s *slot) { s.clean, s.acked = true, s.acked-1 }, Impaired},
		{"it ends before the mark's position", func(s *slot) { s.at += 10 }, Impaired},
		{"it ends before the acknowledged position", func(s *slot) { s.acked++ }, Impaired},
		{"it ends before what is to be kept", func(s *slot) { s.from = 20 }, Impaired},
		{"another ensemble in the segments", func(s *slot) { s.mark.Ensemble[0]++ }, Impaired},
		{"no ensemble in the mark", func(s *slot) { s.mark.Ensemble = zab.EnsembleID{} }, Impaired},
	} {
		b := newBench(15)
		b.a.size = func() int { return 10 }
		b.mark()
		b.entry()
		b.entry()
		b.acked()
		b.disk.Crash()
		if b.err != nil {
			return b.err
		}
		s := b.l.slot
		c.change(&s)
		for _, name := range slotNames {
			f, err := b.disk.OpenWrite(b.o.Dir + "/" + name)
			if err == nil {
				_, err = f.WriteAt(s.encode(Version)[:], 0)
				f.Close()
			}
			if err != nil {
				return err
			}
		}
		if c.want == Clean {
			b.open()
		} else {
			b.impaired(c.what)
		}
		if b.err != nil {
			return b.err
		}
	}
	return tails()
}

// What lies behind the end of the log: nothing that a clean stop has not seen is of account, and a batch without its end is one that
// was never acknowledged.
func tails() error {
	for _, c := range []struct {
		what    string
		clean   bool
		records int  // of a batch of three that are there
		garbage bool // behind them
		acked   int
		want    Kind
		why     string
	}{
		{"clean, garbage behind", true, 3, true, 3, Clean, ""},
		{"torn at a record", false, 2, false, 0, TornTail, "a batch without end"},
		{"torn in a record", false, 2, true, 0, TornTail, "no whole record"},
		{"torn before a record", false, 0, true, 0, TornTail, "no whole record"},
		{"acknowledged, without end", false, 2, false, 2, Impaired, "an acknowledged batch has no end"},
		{"clean, without end", true, 2, true, 2, Impaired, "an acknowledged batch has no end"},
	} {
		b := newBench(16)
		b.a.size = func() int { return 10 }
		b.mark()
		var batch []zab.Record
		for range 3 {
			r := b.a.entry(b.m.now(), false)
			b.m.issue(records(r))
			batch = append(batch, r)
		}
		if b.err == nil {
			b.err = b.l.Append(batch)
		}
		if b.err != nil {
			return b.err
		}
		b.m.done = 1 // the mark
		s := b.l.segments[len(b.l.segments)-1]
		off := s.begin()
		for i := range c.records {
			off = align(off+recordHead+payloadSize(&batch[i]), 8)
		}
		if c.records == 3 {
			off = s.end
		}
		m := b.l.slot
		m.clean, m.acked = c.clean, uint64(c.acked)
		b.disk.Crash()
		b.err = b.disk.Zero(b.logs()[len(b.logs())-1], off, s.allocated-off)
		for _, name := range append(slotNames[:], s.file) {
			f, err := b.disk.OpenWrite(b.o.Dir + "/" + name)
			switch {
			case err != nil:
			case name != s.file:
				_, err = f.WriteAt(m.encode(Version)[:], 0)
			case c.garbage:
				_, err = f.WriteAt([]byte("garbage"), off+16)
			}
			if err == nil {
				err = f.Close()
			}
			b.err = errors.Join(b.err, err)
		}
		if b.err != nil {
			return b.err
		}
		l, rec, err := Open(b.disk, b.o)
		if err != nil || rec.Verdict.Kind != c.want || rec.Verdict.Why != c.why {
			return fmt.Errorf("%s: %v, %v", c.what, rec.Verdict, err)
		}
		if c.want == Impaired {
			continue
		}
		if len(rec.Entries) != c.records || (rec.Verdict.Bytes > 0) != (c.garbage && c.want == TornTail) {
			return fmt.Errorf("%s: %d entries, %v", c.what, len(rec.Entries), rec.Verdict)
		}
		b.l = l
		k, err := b.m.match(&rec)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		b.m.cut(k)
		b.entry()
		b.disk.PowerLoss(seeded(1))
		b.open() // what was cut stays cut
		if b.err != nil {
			return fmt.Errorf("%s: %w", c.what, b.err)
		}
	}
	return nil
}
