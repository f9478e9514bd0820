package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

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
			var reused [][]byte
			if how > 0 && b.err == nil {
				r, b.err = b.s.Receive(meta, func(c []byte) error {
					reused = append(reused, bytes.Clone(c))
					return nil
				})
			}
			if b.err != nil {
				return b.err
			}
			at := r.Position()
			if how > 0 && !slices.EqualFunc(reused, c.chunks[:at.Chunk], bytes.Equal) {
				return fmt.Errorf("%d: %d chunks are shown, %d were used again", how, len(reused), at.Chunk)
			}
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
