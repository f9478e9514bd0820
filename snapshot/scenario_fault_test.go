package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

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

// A crash at every operation and behind every byte of every write of: two snapshots, a third one, and the removal of the first.
func crashInInstall() error {
	for seed := range uint64(3) {
		b := newBench(seed)
		e := newExplorer(b.r, b.w)
		e.all = true
		b.o.Keep, b.w.keep = 2, 2
		b.open()
		b.write(1, 100)
		b.write(2, 100, 0)
		e.Watch(b.disk, 0)
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
		if err := errors.Join(b.err, e.Err); err != nil {
			return err
		}
		if !slices.Equal(b.zxids(), []zab.Zxid{3, 2}) || e.Met["rename"] != 1 || e.Met["removal"] != 1 {
			return fmt.Errorf("%v, %v", b.zxids(), e.Met)
		}
	}
	return nil
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
