package wal

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// A slot is torn, empty, too long, missing or rotten: the other one serves, whichever it is. Without any, the ids are read from the segments.
func markTornOrEmpty() error {
	damages := map[string]func(d *vfs.Memory, name string) error{
		"rotten":  func(d *vfs.Memory, name string) error { return d.FlipBit(name, 8*64+1) },
		"zero":    func(d *vfs.Memory, name string) error { return d.Zero(name, 0, headerSize) },
		"empty":   func(d *vfs.Memory, name string) error { return crashtest.Resize(d, name, 0) },
		"long":    func(d *vfs.Memory, name string) error { return crashtest.Resize(d, name, headerSize+1) },
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
		b.put(name, 0, content[b.o.Dir+"/"+name])
	}
	b.impaired("mark set back")
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
			b.put(name, 0, s.encode(Version)[:])
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
