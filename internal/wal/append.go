package wal

import (
	"errors"
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

var errTooLarge = errors.New("a record, or a batch, is too large")

// keepBuffer is the largest buffer that is kept for the next batch.
const keepBuffer = 4 << 20

// Append makes the records durable, in order. What is between two marks is one batch: one write and one sync. It keeps none of
// the slices. Records that do not follow what is there are a *SequenceError, and nothing is written; any error of the disk ends
// the log.
func (l *Log) Append(records []zab.Record) error {
	if err := l.usable(); err != nil {
		return err
	}
	if err := l.check(records); err != nil {
		return err
	}
	for len(records) > 0 {
		if records[0].Kind == zab.RecordMark {
			if err := l.setMark(records[0].Mark); err != nil {
				return err
			}
			records = records[1:]
			continue
		}
		n := 1
		for n < len(records) && records[n].Kind != zab.RecordMark {
			n++
		}
		if err := l.appendBatch(records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

func (l *Log) check(records []zab.Record) error {
	h, ensemble := l.hist, l.slot.mark.Ensemble
	batch := int64(0)
	none := zab.EnsembleID{}
	for i := range records {
		r := &records[i]
		if r.Kind == zab.RecordMark {
			if r.Mark.Member != 0 && r.Mark.Member != l.opt.Member {
				return &SequenceError{i, "the mark of another member"}
			}
			if ensemble != none && r.Mark.Ensemble != ensemble || l.opt.Ensemble != none && r.Mark.Ensemble != none && r.Mark.Ensemble != l.opt.Ensemble {
				return &SequenceError{i, "the mark of another ensemble"}
			}
			ensemble, batch = r.Mark.Ensemble, 0
			continue
		}
		if why := h.follows(r); why != "" {
			return &SequenceError{i, why}
		}
		n := payloadSize(r)
		batch += align(recordHead+n, 8)
		if n > maxRecord || align(batch, int64(l.opt.Sector)) > maxBatch {
			return &SequenceError{i, errTooLarge.Error()}
		}
		h.step(r)
	}
	return nil
}

// appendBatch writes records, none of them a mark, as one batch. It begins with a full sector, so that a torn write cannot touch what
// was synced before.
func (l *Log) appendBatch(records []zab.Record) error {
	if l.file == nil {
		if err := l.roll(records); err != nil {
			return err
		}
	}
	s := l.segments[len(l.segments)-1]
	size, _ := batchSize(records, s.end, s.sector)
	if s.end+size > s.allocated {
		if err := l.roll(records); err != nil {
			return err
		}
		s = l.segments[len(l.segments)-1]
		size, _ = batchSize(records, s.end, s.sector)
	}
	if err := l.writeAhead(s, s.end+size); err != nil {
		return err
	}
	if int64(cap(l.buf)) < size {
		l.buf = make([]byte, size)
	}
	b := l.buf[:size]
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	e := encoder{seg: s, off: s.end, chain: s.chain, batch: l.batch + 1, generation: uint32(l.slot.generation)}
	e.put(b, records, nil)
	if _, err := l.file.WriteAt(b, s.end); err != nil {
		return l.fail("write "+s.file, err)
	}
	if !mutant.On("wal-ack-before-sync") {
		if err := l.sync(l.file, s.file); err != nil {
			return err
		}
	}
	l.batch++

	l.mu.Lock()
	defer l.mu.Unlock()
	off := s.end
	for i := range records {
		r := &records[i]
		l.hist.step(r)
		l.hist.place(r, s, off)
		off = align(off+recordHead+payloadSize(r), 8)
	}
	s.end, s.chain, s.last = e.off, e.chain, l.hist.pos
	return nil
}

// writeAhead makes sure that the blocks up to end are written and durable before a batch goes there. Space that is only reserved
// becomes part of a file through the journal of the file system, and there are systems that report a sync as done while that
// fails: a batch must need nothing but its own bytes on the medium.
func (l *Log) writeAhead(s *segment, end int64) error {
	if end <= s.written {
		return nil
	}
	to := min(s.allocated, end+l.opt.ahead)
	if l.zeros == nil {
		l.zeros = make([]byte, min(l.opt.ahead, 256<<10))
	}
	for at := s.written; at < to; {
		n, err := l.file.WriteAt(l.zeros[:min(int64(len(l.zeros)), to-at)], at)
		if err != nil {
			return l.fail("write "+s.file, err)
		}
		at += int64(n)
	}
	if err := l.sync(l.file, s.file); err != nil {
		return err
	}
	s.written = to
	return nil
}

// roll begins a segment with room for the records.
func (l *Log) roll(records []zab.Record) error {
	size, _ := batchSize(records, 0, int64(l.opt.Sector))
	return l.start(l.end(), l.hist.pos, l.hist.last, nil, size)
}

// setMark replaces the mark. Everything before it is durable already.
func (l *Log) setMark(m zab.Mark) error {
	named := m.Ensemble != l.slot.mark.Ensemble
	s := l.slot
	s.mark = m
	s.mark.Member = l.opt.Member
	s.at, s.acked = l.hist.pos, l.hist.pos
	if err := l.writeMark(s); err != nil {
		return err
	}
	if named { // both slots could be lost: a segment says it too
		return l.start(l.end(), l.hist.pos, l.hist.last, nil, 0)
	}
	return nil
}

// Acked tells that the log up to pos was acknowledged to others, which it must be durable for. At most once a second, that is
// written down beside the log (two syncs), so that later damage to it is never taken for a torn write. To be called after
// each Append was reported, and about once a second while nothing happens.
func (l *Log) Acked(pos uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.wanted = max(l.wanted, min(pos, l.hist.pos))
	if l.wanted <= l.slot.acked || l.opt.Now()-l.noted < ackedEvery {
		return nil
	}
	s := l.slot
	s.acked = l.wanted
	return l.writeMark(s)
}

// ackedEvery is how often the acknowledged position is written at most.
const ackedEvery = time.Second
