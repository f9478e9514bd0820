package wal

import (
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Report is what an operator wants to know of a directory.
type Report struct {
	Verdict  Verdict
	Recovery Recovery // as Open would find it, without Entries
	Slots    [2]SlotReport
	Segments []SegmentReport // by name; of the log and others
	Epochs   []EpochReport   // of the entries in force
	Leftover []string        // files that the next start removes
}

// SlotReport is one slot of the mark.
type SlotReport struct {
	File       string
	Fault      string // why it cannot be used; "": it can
	Name       string
	Generation uint64
	Clean      bool
	Mark       zab.Mark
	At         uint64 // position up to which the log was durable when the mark was written
	Acked      uint64
	From       uint64 // positions before it may be missing
}

// SegmentReport is one file of the log. Records, Entries and Last count what lies on the path of the log.
type SegmentReport struct {
	File    string
	Used    bool // it is part of the log
	Size    int64
	End     int64 // where its records end
	First   uint64
	Last    uint64
	Records int
	Entries int
	Truncs  int
	Resets  int
}

// EpochReport is the entries of one epoch.
type EpochReport struct {
	Epoch       uint32
	First, Last zab.Zxid
	Entries     int
}

// Inspect reads and judges a directory as Open does, changes nothing, and takes no lock: of a log in use it may see a batch in the
// making. visit, if not nil, is shown each record of the log, and must not keep it.
func Inspect(fsys vfs.FS, dir string, visit func(file string, offset int64, r *zab.Record)) (Report, error) {
	counts := map[*segment]*SegmentReport{}
	im := &image{fs: fsys, dir: dir, newest: Version}
	im.visit = func(s *segment, off int64, _ *frame, r *zab.Record) {
		c := counts[s]
		if c == nil {
			c = new(SegmentReport)
			counts[s] = c
		}
		c.Records++
		switch r.Kind {
		case zab.RecordEntry:
			c.Entries++
		case zab.RecordTrunc:
			c.Truncs++
		case zab.RecordReset:
			c.Resets++
		}
		if visit != nil {
			visit(s.file, off, r)
		}
	}
	if err := im.scan(nil); err != nil {
		return Report{}, err
	}
	r := Report{Recovery: im.recovery(), Leftover: append(append([]string(nil), im.temps...), im.dead...)}
	r.Verdict = r.Recovery.Verdict
	r.Recovery.Entries = nil
	for i, s := range im.slots {
		r.Slots[i] = SlotReport{File: slotNames[i], Fault: im.slotWhy[i]}
		if s != nil {
			r.Slots[i] = SlotReport{slotNames[i], "", s.name, s.generation, s.clean, s.mark, s.at, s.acked, s.from}
		}
	}
	used := map[*segment]bool{}
	for _, s := range im.path {
		used[s] = true
	}
	for _, s := range im.all {
		c := SegmentReport{}
		if n := counts[s]; n != nil {
			c = *n
		}
		c.File, c.Used, c.Size, c.End, c.First, c.Last = s.file, used[s], s.size, s.end, s.first, s.last
		r.Segments = append(r.Segments, c)
	}
	for i := range im.entries {
		z := im.entries[i].Zxid
		if n := len(r.Epochs); n == 0 || r.Epochs[n-1].Epoch != z.Epoch() {
			r.Epochs = append(r.Epochs, EpochReport{Epoch: z.Epoch(), First: z})
		}
		e := &r.Epochs[len(r.Epochs)-1]
		e.Last = z
		e.Entries++
	}
	return r, nil
}
