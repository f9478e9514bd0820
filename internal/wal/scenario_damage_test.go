package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

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
		for _, name := range slotNames {
			b.put(name, 0, m.encode(Version)[:])
		}
		if c.garbage {
			b.put(s.file, off+16, []byte("garbage"))
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
