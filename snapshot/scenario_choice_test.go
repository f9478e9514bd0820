package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

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
