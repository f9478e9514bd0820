package main

import (
	"fmt"
	"slices"

	"github.com/ensemble-go/ensemble/internal/wal"
)

// verdict is the judgement in words that an operator can act on.
func (f *finding) verdict() verdictRow {
	r := &f.report
	v := &r.Verdict
	row := verdictRow{Type: "verdict", Verdict: v.Kind.String(), Damaged: f.damaged(), Unclean: v.Unclean, Where: v.Where, Why: v.Why, CutBytes: v.Bytes, CutRecords: v.Records,
		Position: r.Recovery.Pos, Acknowledged: r.Recovery.Acked, Seen: zxid(r.Recovery.Seen), Base: zxid(r.Recovery.Base)}
	if r.Recovery.Reset != nil {
		row.Reset = zxid(r.Recovery.Reset.Zxid)
	}
	switch {
	case slices.Contains(f.others, "restore.unfinished"):
		row.Summary = "A restore of this directory was interrupted, or is at work: no member opens it."
		row.Advice = []string{"Repeat the restore. What it left here is of no account to anybody else."}
	case r.Recovery.Fresh:
		row.Summary = "Nothing was ever written here."
		row.Advice = []string{"If this member had data before, its disk was wiped or another one is mounted here: look for the right one before it starts."}
	case v.Kind == wal.Impaired:
		row.Summary = fmt.Sprintf("Damaged: %s: %s.", v.Where, v.Why)
		row.Advice = f.impaired()
	default:
		row.Summary = f.whole()
		row.Advice = f.remarks()
	}
	return row
}

// whole sums up a directory that a member opens.
func (f *finding) whole() string {
	v := &f.report.Verdict
	records := fmt.Sprintf("the log is whole up to position %d", f.report.Recovery.Pos)
	if f.report.Recovery.Pos == 0 {
		records = "the log is empty"
	}
	switch {
	case v.Kind == wal.TornTail:
		return fmt.Sprintf("Not damaged: %s; behind it stands what is left of a last batch that was being written: %s: %s (%s, in which %s can be recognised).",
			records, v.Where, v.Why, count(v.Bytes, "byte"), count(v.Records, "record"))
	case f.use.state == inUse:
		return "Not damaged: " + records + "; the member runs."
	case v.Unclean && f.use.state == unused:
		return "Not damaged: " + records + "; the member was not stopped properly."
	case v.Unclean:
		return "Not damaged: " + records + "; the member was not stopped properly, or runs."
	}
	return "Not damaged: " + records + "; the member was stopped properly."
}

func count[N int | int64](n N, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case what == "stretch":
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// remarks are for a directory that a member opens.
func (f *finding) remarks() []string {
	var to []string
	v := &f.report.Verdict
	for i, s := range f.report.Slots {
		if s.Fault != "" {
			to = append(to, fmt.Sprintf("%s cannot be used (%s). %s holds, and the next start makes the other one from it.", s.File, s.Fault, f.report.Slots[1-i].File),
				"A stop in the middle of a write of the mark can leave that behind. If there was none, look for errors of the disk.")
		}
	}
	if f.report.Recovery.Mark.Spoilt {
		to = append(to, "The member has given up its state. It does not count until it has a snapshot from another member, for which it asks by itself when it runs.")
	} else if !f.report.Recovery.Mark.Counts {
		to = append(to, "The member does not count: it neither votes nor confirms until the others have brought it up to date, which they do by themselves when it runs.")
	}
	if k := &f.report.Recovery.Mark; k.Member == 0 {
		to = append(to, "The directory was restored from a backup, and becomes that of the first member who opens it.")
	}
	switch {
	case v.Kind == wal.TornTail && f.use.state == inUse:
		to = append(to, "The member runs, so this is most likely a batch in the making. Nothing to do.")
	case v.Kind == wal.TornTail:
		to = append(to, "Nothing to do: a crash or a power loss leaves this, and the next start cuts it. What others confirmed of it, they hold.",
			"If there was neither, damage to the very last batch looks the same: look for errors of the disk.")
	case v.Unclean && f.use.state != inUse:
		to = append(to, "Nothing to do: the next start writes again what nothing proves durable.")
	case len(to) == 0:
		to = append(to, "Nothing to do.")
	}
	return to
}

// impaired is for a directory that a member does not open.
func (f *finding) impaired() []string {
	var to []string
	switch f.use.state {
	case inUse:
		to = append(to, "The member runs, and what it writes meanwhile may look like this, though it did so more than once: stop it, and look again before anything else.")
	case unknown:
		to = append(to, "If the member runs, what it writes meanwhile may look like this: stop it, and look again before anything else.")
	}
	return append(to,
		"Keep the directory as it is, or a copy of it: it is evidence. A member does not open it, and nothing repairs it in place.",
		"Make sure that a quorum of the other members runs, and that their directories are not damaged: they hold all that was acknowledged.",
		"Look for errors of the disk, and whether files were removed, restored from an older copy, or taken from another member.",
		"Give the member a new, empty directory, on another disk if in doubt. It starts as one that has lost its memory, and the others bring it up to date.",
		"Do so with one member at a time. If half of the members or more are damaged, stop them all and keep every directory before anything else.")
}
