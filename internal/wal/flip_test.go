package wal

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// flips counts what became of single flipped bits.
type flips struct {
	total, records, headers, slots int
	impaired, otherSlot            int
	lastBatch, torn                int // in a final batch that nothing says was acknowledged; of them taken for a torn write
}

// Every bit of every record, segment header and slot of small directories is flipped, one at a time. Each is noticed: the
// directory is Impaired and left as it is, or the other slot serves. The exception is the final batch before an unclean stop,
// as long as no mark says that it was acknowledged: its damage may look like a torn write, and is not returned as data.
func TestBitFlips(t *testing.T) {
	var n flips
	want := 60000
	if crashtest.Slow {
		want = 1
	}
	for seed := uint64(0); n.total < want || !crashtest.Slow && seed < 3; seed++ {
		if err := flipAll(seed, &n); err != nil {
			t.Fatalf("directory %d: %v", seed, err)
		}
	}
	t.Logf("%d bits flipped, %d in records, %d in segment headers, %d in slots: %d made the directory Impaired, %d were bridged by the other slot",
		n.total, n.records, n.headers, n.slots, n.impaired, n.otherSlot)
	t.Logf("%d of them in a final batch that was not yet known to be acknowledged, less than a second before an unclean stop: %d of these (%.0f %%) looked like a torn write, none was returned as data",
		n.lastBatch, n.torn, 100*float64(n.torn)/float64(max(n.lastBatch, 1)))
	if n.impaired+n.otherSlot+n.torn != n.total {
		t.Errorf("%d of %d flips accounted for", n.impaired+n.otherSlot+n.torn, n.total)
	}
}

func flipAll(seed uint64, n *flips) error {
	m, c := newModel(), &clock{}
	o := testOptions(c, seed)
	a := newAuthor(seed, m)
	a.size = func() int { return []int{0, 1, 60, 150}[a.r.IntN(4)] }
	disk := vfs.NewMemory()
	// A first life, so that there are carried records and links to look at.
	l, _, err := Open(disk, o)
	for range 2 {
		if err == nil {
			err = a.step(l, c)
		}
	}
	disk.Crash()
	if err == nil {
		l, _, err = Open(disk, o)
	}
	if err == nil {
		err = l.Append(a.batch())
		m.reported()
	}
	if err == nil { // something to lose
		r := a.entry(m.now(), false)
		m.issue(records(r))
		m.reported()
		err = l.Append(records(r))
	}
	if err != nil {
		return err
	}
	switch seed % 3 { // how it stops
	case 0:
		err = l.Close()
	case 1:
		c.now += 2 * time.Second
		err = l.Acked(m.now().pos)
	}
	disk.Crash()
	if err != nil {
		return err
	}
	im := &image{fs: disk, dir: o.Dir, newest: Version}
	if err := im.scan(nil); err != nil {
		return err
	}
	last := im.path[len(im.path)-1]
	lastFrom := last.end // where the batch begins that may look torn
	if seed%3 == 2 {
		lastFrom = im.tail.from.end
		if len(im.tail.unproven) == 0 || im.tail.from.number != last.number {
			return fmt.Errorf("no final batch in doubt")
		}
	} else if len(im.tail.unproven) > 0 {
		return fmt.Errorf("what was acknowledged is in doubt")
	}
	r := rand.New(rand.NewPCG(seed, 4))
	flip := func(file string, from, to int64, inDoubt bool, count *int) error {
		for bit := from * 8; bit < to*8; bit++ {
			*count++
			if err := flipOne(disk, o, m, file, bit, inDoubt, r.IntN(16) == 0, n); err != nil {
				return fmt.Errorf("%s, byte %d, bit %d: %w", file, bit/8, bit%8, err)
			}
		}
		return nil
	}
	for _, name := range slotNames {
		if err := flip(name, 0, headerSize, false, &n.slots); err != nil {
			return err
		}
	}
	for _, s := range im.path {
		if err := flip(s.file, 0, s.begin(), false, &n.headers); err != nil {
			return err
		}
		split := s.end
		if s == last {
			split = lastFrom
		}
		if err := flip(s.file, s.begin(), split, false, &n.records); err != nil {
			return err
		}
		if err := flip(s.file, split, s.end, true, &n.records); err != nil {
			return err
		}
	}
	return nil
}

func flipOne(disk *vfs.Memory, o Options, m *model, file string, bit int64, inDoubt, compare bool, n *flips) error {
	n.total++
	image := disk.Clone()
	if err := image.FlipBit(o.Dir+"/"+file, bit); err != nil {
		return err
	}
	var before map[string][]byte
	if compare {
		_, before = image.Files()
	}
	l, rec, err := Open(image, o)
	if err != nil {
		return err
	}
	if inDoubt {
		n.lastBatch++
	}
	if rec.Verdict.Kind == Impaired {
		n.impaired++
		if l != nil || len(rec.Entries) > 0 {
			return fmt.Errorf("impaired, and yet opened")
		}
		if compare {
			if _, now := image.Files(); !reflect.DeepEqual(now, before) {
				return fmt.Errorf("impaired, and yet changed")
			}
		}
		return nil
	}
	defer l.Close()
	if file == slotNames[0] || file == slotNames[1] {
		n.otherSlot++
		if _, err := m.match(&rec); err != nil {
			return err
		}
		return nil
	}
	if !inDoubt || rec.Verdict.Kind != TornTail {
		return fmt.Errorf("not noticed: %v", rec.Verdict)
	}
	n.torn++
	prefix := *m
	prefix.done = 0
	_, err = prefix.match(&rec)
	return err
}

// Larger damage to a directory whose records are all known to be acknowledged: pages zeroed, sectors gone back in time, files cut
// short, swapped or gone. What is opened holds everything; else it is Impaired.
func TestRandomDamage(t *testing.T) {
	want := 20000
	if crashtest.Slow {
		want = 500
	}
	opened, impaired := 0, 0
	for seed := uint64(0); opened+impaired < want; seed++ {
		b := newBench(1000 + seed)
		for range 8 {
			if b.err == nil {
				b.err = b.a.step(b.l, b.c)
			}
		}
		b.entry()
		if seed%2 == 0 {
			b.close()
		} else {
			b.acked()
		}
		b.disk.Crash()
		must(t, b.err)
		names, content := b.disk.Files()
		for range 250 {
			d := b.disk.Clone()
			name := names[b.a.r.IntN(len(names))]
			size := int64(len(content[name]))
			if size == 0 {
				continue
			}
			at := b.a.r.Int64N(size)
			how := []string{"zero", "stale", "short", "gone", "swapped", "long"}[b.a.r.IntN(6)]
			switch how {
			case "zero":
				n := []int64{512, 4096}[b.a.r.IntN(2)]
				at -= at % n
				must(t, d.Zero(name, at, min(n, size-at)))
			case "stale":
				must(t, d.Stale(name, at/512))
			case "gone":
				must(t, d.Remove(name))
			case "swapped": // the content of one file under the name of another
				other := names[b.a.r.IntN(len(names))]
				must(t, d.Remove(name))
				f, err := d.Create(name)
				must(t, err)
				_, err = f.Write(content[other])
				must(t, err, f.Close())
			default:
				f, err := d.OpenWrite(name)
				if how == "long" {
					at = size + at
				}
				must(t, err, f.Truncate(at), f.Close())
			}
			l, rec, err := Open(d, b.o)
			must(t, err)
			if l == nil {
				impaired++
				continue
			}
			opened++
			b.m.done = len(b.m.states) - 1
			if _, err := b.m.match(&rec); err != nil {
				t.Fatalf("directory %d, %s of %s at %d: %v; %v", seed, how, name, at, err, rec.Verdict)
			}
		}
	}
	t.Logf("%d directories damaged: %d impaired, %d opened with everything", opened+impaired, impaired, opened)
}
