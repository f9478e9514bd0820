package wal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Three batches, cut at every byte of every write, with every kind of crash: what is found is a prefix with all that was synced.
func cutEveryByte() error {
	b := newBench(1)
	e := newExplorer(seeded(1), b.m, b.o)
	e.all = true
	e.Watch(b.disk, 0)
	b.a.size = func() int { return 100 }
	b.entry()
	b.m.issue(records(b.a.entry(b.m.now(), false)))
	s := b.m.states[len(b.m.states)-1].entries
	b.append(zab.Record{Kind: zab.RecordEntry, Pos: b.m.now().pos, Entry: s[len(s)-1].Entry})
	b.entry()
	return errors.Join(b.err, e.Err)
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
