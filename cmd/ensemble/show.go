package main

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// sheet is what rows are written to, in the order of the methods.
type sheet interface {
	directory(directoryRow)
	marks([]markRow)
	segments([]segmentRow)
	epochs(rows []epochRow, impaired bool)
	snapshots([]snapshotRow)
	files(leftover []fileRow, others []otherRow)
	evidence([]evidenceRow)
	records(file string, rows []recordRow)
	verify(verifyRow)
	verdict(verdictRow)
	flush() error
}

// show writes all but records and verdict.
func (f *finding) show(s sheet) {
	r := &f.report
	m := r.Recovery.Mark
	s.directory(directoryRow{Type: "directory", Dir: f.dir, Format: wal.Version, Member: uint64(m.Member), Name: r.Name, Ensemble: id(m.Ensemble),
		InUse: f.use.state, PID: f.use.pid, Fresh: r.Recovery.Fresh})
	s.marks(f.marks())
	var segments []segmentRow
	for i := range r.Segments {
		segments = append(segments, f.segment(&r.Segments[i]))
	}
	s.segments(segments)
	var epochs []epochRow
	for _, e := range r.Epochs {
		epochs = append(epochs, epochRow{"epoch", e.Epoch, e.First.String(), e.Last.String(), e.Entries})
	}
	s.epochs(epochs, r.Verdict.Kind == wal.Impaired)
	var others []otherRow
	for _, name := range f.others {
		others = append(others, otherRow{"other", name})
	}
	var snapshots []snapshotRow
	for i := range f.snapshots {
		snapshots = append(snapshots, f.snapshots[i].row())
	}
	s.snapshots(snapshots)
	s.files(f.leftover, others)
	var evidence []evidenceRow
	for _, e := range r.Evidence {
		row := evidenceRow{"evidence", e.Dir, "whole", e.Why}
		if !e.Whole {
			row.State = "in part"
		}
		evidence = append(evidence, row)
	}
	s.evidence(evidence)
}

func (f *finding) marks() []markRow {
	var rows []markRow
	for _, s := range f.report.Slots {
		m := s.Mark
		row := markRow{Type: "mark", File: s.File, State: "spare", Fault: s.Fault, Format: s.Version, Generation: s.Generation, Promised: m.Promised, Joined: m.Joined,
			Counts: m.Counts, Born: m.Born, Spoilt: m.Spoilt, CleanStop: s.Clean, Durable: s.At, Acknowledged: s.Acked, From: s.From,
			Member: uint64(m.Member), Name: s.Name, Ensemble: id(m.Ensemble), Incarnation: id(m.Incarnation)}
		switch {
		case s.Chosen:
			row.State = "chosen"
		case s.Fault == "missing":
			row.State, row.Fault = "missing", ""
		case s.Fault != "":
			row.State = "bad"
		}
		rows = append(rows, row)
	}
	return rows
}

func (f *finding) segment(s *wal.SegmentReport) segmentRow {
	row := segmentRow{Type: "segment", File: s.File, Number: s.Number, State: f.state(s), Fault: s.Fault, Format: s.Version, Before: s.Before, First: s.First, Last: s.Last,
		Records: s.Records, Batches: s.Batches, Entries: s.Entries, Truncs: s.Truncs, Resets: s.Resets, Carried: s.Carried, Bytes: s.Size, End: s.End,
		Member: uint64(s.Member), Ensemble: id(s.Ensemble)}
	if s.Fault == "" {
		row.ID = s.File[17:33]
	}
	if s.Records == 0 {
		row.Last = 0
	}
	if s.Entries > 0 {
		row.Lowest, row.Highest = s.Lowest.String(), s.Highest.String()
		row.LowestEpoch, row.HighestEpoch = s.Lowest.Epoch(), s.Highest.Epoch()
	}
	return row
}

// state is what a segment is to the log.
func (f *finding) state(s *wal.SegmentReport) string {
	v := &f.report.Verdict
	impaired := v.Kind == wal.Impaired
	switch {
	case s.Fault != "" || impaired && (v.Where == s.File || strings.HasPrefix(v.Where, s.File+" at ")):
		return "damaged"
	case impaired && s.Used && s.Records == 0:
		return "not read"
	case slices.Contains(f.report.Leftover, s.File):
		return "left over"
	case s.Used:
		return "log"
	}
	return "unused"
}

// id shows an id, and none as the empty string.
func id(b [16]byte) string {
	if b == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(b[:])
}

func zxid(z zab.Zxid) string {
	if z == 0 {
		return ""
	}
	return z.String()
}
