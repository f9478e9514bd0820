package wal

import (
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Log is an open directory. Append, Acked, Retain and Close are called by one goroutine at a time; Entries, Pos and Err by any.
type Log struct {
	fs   vfs.FS
	opt  Options
	lock io.Closer

	slots  [2]vfs.File
	slot   slot     // as it is durable in both
	file   vfs.File // of the last segment; nil: the next batch begins one
	buf    []byte
	zeros  []byte
	number uint64 // greatest of a segment
	batch  uint64 // greatest
	wanted uint64 // acknowledged position, to be written when it is due
	noted  time.Duration
	failed error

	mu       sync.Mutex // guards what follows; never held during I/O
	hist     history
	segments []*segment
	err      error
	closed   bool
}

// Pos returns the position of the last durable record.
func (l *Log) Pos() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hist.pos
}

// Err returns the *FailedError that ended the log, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// usable is asked at the beginning of everything that writes.
func (l *Log) usable() error {
	if l.closed {
		return ErrClosed
	}
	return l.failed
}

// fail ends the log.
func (l *Log) fail(op string, err error) error {
	if l.failed == nil {
		l.failed = &FailedError{op, err}
		l.mu.Lock()
		l.err = l.failed
		l.mu.Unlock()
	}
	return l.failed
}

func (l *Log) path(name string) string { return filepath.Join(l.opt.Dir, name) }

// sync is the only place where files are synced.
func (l *Log) sync(f vfs.File, name string) error {
	err := f.Sync()
	if err != nil && mutant.On("wal-sync-retried") {
		err = f.Sync()
	}
	if err != nil {
		return l.fail("sync "+name, err)
	}
	return nil
}

func (l *Log) syncDir() error {
	if err := l.fs.SyncDir(l.opt.Dir); err != nil {
		return l.fail("sync "+l.opt.Dir, err)
	}
	return nil
}

// create makes a file with this content under its name, all of it durable but the name.
func (l *Log) create(name string, content []byte, allocate int64) error {
	temp := name + tempSuffix
	f, err := l.fs.Create(l.path(temp))
	if err != nil {
		return l.fail("create "+temp, err)
	}
	if err = f.Preallocate(allocate); err == nil {
		_, err = f.WriteAt(content, 0)
	}
	if err != nil {
		f.Close()
		return l.fail("write "+temp, err)
	}
	if err := l.sync(f, temp); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return l.fail("close "+temp, err)
	}
	if err := l.fs.Rename(l.path(temp), l.path(name)); err != nil {
		return l.fail("rename "+temp, err)
	}
	return nil
}

// start begins a segment behind from, whose last record has position pos and left the history at base. The records are
// carried: they are durable before the segment has its name. It has space for room bytes of records beside them.
func (l *Log) start(from link, pos uint64, base zab.Zxid, carried []zab.Record, room int64) error {
	if l.file != nil {
		f := l.file
		l.file = nil
		if err := f.Close(); err != nil {
			return l.fail("close a segment", err)
		}
	}
	s := &segment{
		number: l.number + 1, sector: int64(l.opt.Sector), first: pos + 1, batch: l.batch + 1, carried: uint64(len(carried)), base: base, before: from,
		ensemble: l.slot.mark.Ensemble, member: l.opt.Member, name: l.opt.Name,
	}
	for s.id == 0 {
		s.id = l.opt.Random()
	}
	s.file = segmentName(s.number, s.id)
	begin := s.begin()
	size, ok := batchSize(carried, begin, s.sector)
	if !ok {
		return l.fail("write "+s.file, errTooLarge)
	}
	s.allocated = max(l.opt.SegmentSize, begin+size+room)
	s.size = s.allocated
	s.written = min(s.allocated, begin+size+max(room, l.opt.ahead))
	content := make([]byte, s.written)
	copy(content, s.encode(l.opt.version)[:])
	e := encoder{seg: s, off: begin, chain: s.root, batch: s.batch, generation: uint32(l.slot.generation)}
	var places []int64
	if len(carried) > 0 {
		e.put(content[begin:begin+size], carried, func(_ *zab.Record, off int64) { places = append(places, off) })
	}
	if err := l.create(s.file, content, s.allocated); err != nil {
		return err
	}
	if !mutant.On("wal-no-dirsync") {
		if err := l.syncDir(); err != nil {
			return err
		}
	}
	f, err := l.fs.OpenWrite(l.path(s.file))
	if err != nil {
		return l.fail("open "+s.file, err)
	}
	l.file, l.number = f, s.number
	s.end, s.chain, s.last = e.off, e.chain, pos+s.carried
	if len(carried) > 0 {
		l.batch++
	}
	if err := l.shorten(from); err != nil {
		return err
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, s)
	l.hist.moved(carried, s, places)
	return nil
}

// shorten cuts what is left of the last segment to where it ends, to have the space back. That need not be durable.
func (l *Log) shorten(to link) error {
	n := len(l.segments)
	if n == 0 || l.segments[n-1].number != to.number || l.segments[n-1].size <= to.end {
		return nil
	}
	s := l.segments[n-1]
	f, err := l.fs.OpenWrite(l.path(s.file))
	if err == nil {
		if err = f.Truncate(to.end); err != nil {
			f.Close()
		} else {
			err = f.Close()
		}
	}
	if err != nil {
		return l.fail("shorten "+s.file, err)
	}
	s.size = to.end
	return nil
}

// end is where the log ends.
func (l *Log) end() link {
	if n := len(l.segments); n > 0 {
		return l.segments[n-1].link()
	}
	return link{}
}

// Close writes that the log was stopped in order, and unlocks the directory. It returns what ended the log before, if anything did. The
// log is closed in any case.
func (l *Log) Close() error {
	if l.closed {
		return ErrClosed
	}
	if l.failed == nil {
		s := l.slot
		s.clean, s.acked = true, l.hist.pos
		l.writeMark(s) // keeps its error
	}
	l.release()
	return l.failed
}

// release gives everything back.
func (l *Log) release() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	for _, f := range []vfs.File{l.file, l.slots[0], l.slots[1]} {
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil {
			l.fail("close", err)
		}
	}
	if err := l.lock.Close(); err != nil {
		l.fail("unlock", err)
	}
}
