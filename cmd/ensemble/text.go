package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// textSheet writes tables for people.
type textSheet struct {
	w   io.Writer
	err error // the first
}

func (s *textSheet) print(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format, args...)
	}
}

func (s *textSheet) table(heading string, t *table) { s.print("\n%s\n%s", heading, t.text()) }

func (s *textSheet) flush() error { return s.err }

func (s *textSheet) directory(r directoryRow) {
	s.print("Directory  %s\n", printable(r.Dir))
	if r.Member != 0 {
		s.print("Member     %d\n", r.Member)
	}
	switch {
	case r.Ensemble != "":
		s.print("Ensemble   %q %s\n", r.Name, r.Ensemble)
	case r.Member != 0:
		s.print("Ensemble   %q, which has no id yet\n", r.Name)
	}
	s.print("In use     %s\n", useText(r))
}

func useText(r directoryRow) string {
	switch r.InUse {
	case inUse:
		who := ""
		if r.PID > 0 {
			who = fmt.Sprintf(", by process %d", r.PID)
		}
		return "yes" + who + ": what follows is one moment of it, and a batch in the making looks like a torn tail"
	case unused:
		return "no, as far as can be seen from here"
	}
	return "cannot be told on this system: if the member runs, what follows is one moment of it"
}

func (s *textSheet) marks(rows []markRow) {
	t := newTable("slot", "state", ">generation", ">format", ">promised epoch", ">joined epoch", "counts", "born", "spoilt", "clean stop", ">durable to", ">acknowledged", ">from", "fault")
	for _, r := range rows {
		if r.Generation == 0 {
			t.row(r.File, r.State, "", "", "", "", "", "", "", "", "", "", "", r.Fault)
			continue
		}
		t.row(r.File, r.State, number(r.Generation), number(r.Format), number(r.Promised), number(r.Joined), yes(r.Counts), yes(r.Born), yes(r.Spoilt), yes(r.CleanStop),
			number(r.Durable), number(r.Acknowledged), number(r.From), "")
	}
	s.table("Mark", t)
}

func (s *textSheet) segments(rows []segmentRow) {
	if len(rows) == 0 {
		s.print("\nSegments\n  none\n")
		return
	}
	t := newTable("segment", "state", ">format", ">positions", ">zxids", ">epochs", ">records", ">batches", ">entries", ">truncs", ">resets", ">carried", ">bytes", ">records end at", "fault")
	for _, r := range rows {
		cells := make([]string, 15)
		cells[0], cells[1], cells[12], cells[14] = r.File, r.State, number(r.Bytes), r.Fault
		if r.Fault == "" {
			cells[2], cells[3] = number(r.Format), "from "+number(r.First)
			cells[13] = number(r.End)
		}
		if r.Records > 0 {
			cells[3] = number(r.First) + "-" + number(r.Last)
			cells[6], cells[7], cells[8] = number(r.Records), number(r.Batches), number(r.Entries)
			cells[9], cells[10], cells[11] = some(r.Truncs), some(r.Resets), some(r.Carried)
		}
		if r.Entries > 0 {
			cells[4], cells[5] = span(r.Lowest, r.Highest), span(number(r.LowestEpoch), number(r.HighestEpoch))
		}
		t.row(cells...)
	}
	s.table("Segments", t)
}

func (s *textSheet) epochs(rows []epochRow, impaired bool) {
	if len(rows) == 0 {
		return
	}
	t := newTable(">epoch", ">entries", "zxids")
	for _, r := range rows {
		t.row(number(r.Epoch), number(r.Entries), span(r.First, r.Last))
	}
	if impaired {
		s.table("Epochs of the entries that were read before the damage", t)
		return
	}
	s.table("Epochs of the entries in force", t)
}

func (s *textSheet) snapshots(rows []snapshotRow) {
	if len(rows) == 0 {
		s.print("\nSnapshots\n  none\n")
		return
	}
	t := newTable("snapshot", "state", ">zxid", ">position", ">chunks", ">bytes", "spans end at", ">readmitted", "created", "checked", "fault")
	for _, r := range rows {
		cells := []string{printable(r.File), r.State, r.Zxid, some(r.Position), "", number(r.Bytes), strings.Join(r.Spans, " "), some(r.Members), r.Created, "", r.Fault}
		if r.Chunks > 0 {
			cells[4] = number(r.Chunks)
		}
		switch r.Checked {
		case "ends":
			cells[9] = "header and trailer"
		case "all":
			cells[9] = "every byte"
		}
		t.row(cells...)
	}
	s.table("Snapshots", t)
}

func (s *textSheet) files(leftover []fileRow, others []otherRow) {
	if len(leftover) > 0 {
		t := newTable("file", ">bytes")
		for _, r := range leftover {
			t.row(printable(r.File), number(r.Bytes))
		}
		s.table("Left over: the next start removes these", t)
	}
	if len(others) > 0 {
		s.print("\nOther files, which the member leaves alone\n")
		for _, r := range others {
			s.print("  %s\n", printable(r.File))
		}
	}
}

func (s *textSheet) evidence(rows []evidenceRow) {
	t := newTable("directory", "state", "what was wrong")
	for _, r := range rows {
		if r.Dir == "." {
			r.Dir = "this one"
		}
		t.row(r.Dir, r.State, printable(r.Why))
	}
	if len(rows) > 0 {
		s.table("Set aside as evidence, and never used again", t)
	}
}

func (s *textSheet) records(file string, rows []recordRow) {
	t := newTable(">position", "kind", ">zxid", ">length", ">batch", "ends", ">offset", ">bytes", "crc", "in the log", "fault")
	for _, r := range rows {
		cells := []string{"", r.Kind, r.Zxid, "", "", "", number(r.Offset), number(r.Bytes), r.CRC, "no", r.Fault}
		if r.InLog {
			cells[9] = "yes"
		}
		if r.Kind != "" {
			cells[0], cells[3], cells[4] = number(r.Position), number(r.Length), number(r.Batch)
		}
		if r.EndsBatch {
			cells[5] = "end"
		}
		t.row(cells...)
	}
	if len(rows) == 0 {
		s.print("\nRecords of %s\n  none\n", file)
		return
	}
	s.table("Records of "+file, t)
}

func (s *textSheet) verify(r verifyRow) {
	s.print("\nRead\n  %s, %s: %s, and %s without one", count(r.Files, "file"), count(r.Bytes, "byte"), count(r.Records, "whole record"), count(r.Faulty, "stretch"))
	if r.Snapshots+r.DamagedSnapshots > 0 {
		s.print("; %s, and %d damaged", count(r.Snapshots, "whole snapshot"), r.DamagedSnapshots)
	}
	s.print("\n")
}

func (s *textSheet) verdict(r verdictRow) {
	s.print("\nLog\n  ")
	if r.Verdict == "impaired" {
		s.print("it once went at least to ")
	}
	s.print("position %d", r.Position)
	if r.Acknowledged > 0 {
		s.print(", acknowledged up to %d", r.Acknowledged)
	}
	if r.Seen != "" {
		s.print(", greatest zxid %s", r.Seen)
	}
	if r.Reset != "" {
		s.print("; the history begins with a snapshot up to %s", r.Reset)
	} else if r.Base != "" {
		s.print("; the history begins after %s", r.Base)
	}
	if r.Snapshot != "" {
		s.print("; a start begins with %s", printable(r.Snapshot))
	}
	s.print("\n\nVerdict: %s\n  %s\n", r.Verdict, r.Summary)
	for _, a := range r.Advice {
		s.print("  - %s\n", a)
	}
}

func number[N int | int64 | uint16 | uint32 | uint64](n N) string { return fmt.Sprint(n) }

// some leaves out zeros.
func some[N int | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func span(a, b string) string {
	if a == b {
		return a
	}
	return a + "-" + b
}

// printable quotes a name that could do something to a terminal.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}
