package wal

import (
	"path/filepath"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Report is what an operator wants to know of a directory.
type Report struct {
	Verdict  Verdict
	Recovery Recovery // as Open would find it, without Entries
	Name     string   // of the ensemble
	Slots    [2]SlotReport
	Segments []SegmentReport // by name; of the log and others
	Epochs   []EpochReport   // of the entries in force
	Leftover []string        // files that the next start removes; none of an Impaired directory
	Evidence []EvidenceReport
	CutShort bool // a repair was, and the next start goes on with it
}

// EvidenceReport is a directory of what was set aside.
type EvidenceReport struct {
	Dir   string // "." is the one that was asked for
	Whole bool   // all of it is there
	Why   string // what was wrong; "" if that is not known
}

// SlotReport is one slot of the mark.
type SlotReport struct {
	File       string
	Fault      string // why it cannot be used; "": it can
	Chosen     bool   // it is the mark
	Version    uint16
	Name       string
	Generation uint64
	Clean      bool
	Mark       zab.Mark
	At         uint64 // position up to which the log was durable when the mark was written
	Acked      uint64
	From       uint64 // positions before it may be missing
}

// SegmentReport is one file of the log. Last and what is counted are those of the records that lie on the path of the log; where
// the header has a Fault, nothing but File and Size is known.
type SegmentReport struct {
	File     string
	Fault    string // why its header cannot be used; "": it can
	Used     bool   // it is part of the log
	Version  uint16
	Number   uint64
	ID       uint64
	Ensemble zab.EnsembleID
	Member   quorum.ID
	Before   string // file that it goes on from; "": none
	Size     int64
	End      int64 // where its records end
	First    uint64
	Last     uint64
	Carried  uint64 // records written before the file had its name
	Records  int
	Batches  int // that have their end here
	Entries  int
	Truncs   int
	Resets   int

	Lowest, Highest zab.Zxid // of its entries; they may be dead by now
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
	im.visit = func(s *segment, off int64, f *frame, r *zab.Record) {
		c := counts[s]
		if c == nil {
			c = new(SegmentReport)
			counts[s] = c
		}
		c.count(f, r)
		if visit != nil {
			visit(s.file, off, r)
		}
	}
	if err := im.scan(nil); err != nil {
		return Report{}, err
	}
	r := Report{Recovery: im.recovery()}
	if err := r.repairs(im); err != nil {
		return Report{}, err
	}
	if r.Verdict = r.Recovery.Verdict; r.Verdict.Kind != Impaired {
		r.Leftover = append(append(r.Leftover, im.temps...), im.dead...)
	}
	r.Recovery.Entries = nil
	_, r.Name, _ = im.identity()
	for i, s := range im.slots {
		r.Slots[i] = SlotReport{File: slotNames[i], Fault: im.slotWhy[i]}
		if s != nil {
			r.Slots[i] = SlotReport{slotNames[i], "", s == im.mark, im.format[i], s.name, s.generation, s.clean, s.mark, s.at, s.acked, s.from}
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
		c.describe(s)
		c.Used = used[s]
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

// repairs tells of the one under way, which overrules the verdict, and of those that were.
func (r *Report) repairs(im *image) error {
	if im.marked {
		m, why, err := readMarker(im.fs, im.dir, markerName, im.newest)
		if err != nil {
			return err
		}
		why = "a repair was cut short, and its marker cannot be used: " + why
		if r.CutShort = m != nil; r.CutShort {
			why = "a repair was cut short, with which the next start goes on; what was wrong is " + m.why
		}
		r.Recovery.Fresh, r.Recovery.Verdict = false, Verdict{Kind: Impaired, Where: markerName, Why: why}
	}
	dirs := im.aside
	if im.done {
		dirs = append([]string{"."}, dirs...)
	}
	for _, dir := range dirs {
		e := EvidenceReport{Dir: dir, Whole: true}
		if dir != "." {
			e.Whole, _ = parseEvidence(dir)
		}
		m, _, err := readMarker(im.fs, im.dir, filepath.Join(dir, markerDone), im.newest)
		if err != nil {
			return err
		}
		if m != nil {
			e.Why = m.why
		}
		r.Evidence = append(r.Evidence, e)
	}
	return nil
}

// count takes one record of the log.
func (c *SegmentReport) count(f *frame, r *zab.Record) {
	c.Records++
	if f.last {
		c.Batches++
	}
	switch r.Kind {
	case zab.RecordEntry:
		z := r.Entry.Zxid
		if c.Entries == 0 {
			c.Lowest = z
		}
		c.Entries++
		c.Lowest, c.Highest = min(c.Lowest, z), max(c.Highest, z)
	case zab.RecordTrunc:
		c.Truncs++
	case zab.RecordReset:
		c.Resets++
	}
}

// describe takes what is known of the file itself.
func (c *SegmentReport) describe(s *segment) {
	c.File, c.Fault, c.Size = s.file, s.fault, s.size
	if s.fault != "" {
		return
	}
	c.Version, c.Number, c.ID, c.Ensemble, c.Member = s.version, s.number, s.id, s.ensemble, s.member
	if s.before.number != 0 {
		c.Before = segmentName(s.before.number, s.before.id)
	}
	c.End, c.First, c.Last, c.Carried = s.end, s.first, s.last, s.carried
}
