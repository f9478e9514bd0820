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
	for _, s := range f.snapshots {
		if s.state == snapNext {
			row.Snapshot = snapshotsDir + "/" + s.File
		}
	}
	why := ""
	if v.Kind != wal.Impaired {
		why = f.unopened()
	}
	switch {
	case slices.Contains(f.others, "restore.unfinished"):
		row.Summary = "A restore of this directory was interrupted, or is at work: no member opens it."
		row.Advice = []string{"Repeat the restore. What it left here is of no account to anybody else."}
	case why != "":
		row.Verdict, row.Where, row.Why = wal.Impaired.String(), snapshotsDir, why
		row.Summary = fmt.Sprintf("Damaged: %s: %s.", row.Where, why)
		row.Advice = f.impaired()
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
	for _, s := range f.snapshots {
		if s.state == snapDamaged {
			to = append(to, fmt.Sprintf("%s/%s is damaged; a start passes over it and begins with another one, or with the log alone. Look for errors of the disk.", snapshotsDir, s.File))
		}
	}
	if f.report.Recovery.Mark.Spoilt {
		to = append(to, "The member has given up its state. It does not count until it has a snapshot from another member, for which it asks by itself when it runs.")
	} else if !f.report.Recovery.Mark.Counts {
		to = append(to, "The member does not count: it neither votes nor confirms until the others have brought it up to date, which they do by themselves when it runs.")
	}
	if n := len(f.report.Evidence); n > 0 {
		to = append(to, evidenceText(n))
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

// evidenceText says what to do with n directories of evidence.
func evidenceText(n int) string {
	what := fmt.Sprintf("%d directories hold", n)
	if n == 1 {
		what = "1 directory holds"
	}
	return what + fmt.Sprintf(" what earlier damage has left, which this program can look at too. Find out what the disk does, then remove them: with %d, no more damage is repaired.", wal.MostEvidence)
}

// impaired is for a directory that a member does not open as it is.
func (f *finding) impaired() []string {
	var to []string
	switch f.use.state {
	case inUse:
		to = append(to, "The member runs, and what it writes meanwhile may look like this, though it did so more than once: stop it, and look again before anything else.")
	case unknown:
		to = append(to, "If the member runs, what it writes meanwhile may look like this: stop it, and look again before anything else.")
	}
	for _, e := range f.report.Evidence {
		if e.Dir == "." {
			return append(to, "This is evidence, set aside by a member, and not the directory of one: no member is to be started with it.")
		}
	}
	switch v := &f.report.Verdict; {
	case f.report.CutShort:
		return append(to, "Nothing to do: what is in here is of both logs, the damaged one and the new one, and the next start goes on with setting the damaged one aside.")
	case v.Where == "repair":
		return append(to, "No start goes on with it. Keep the directory, and give the member a new, empty one, on another disk if in doubt: the others bring it up to date.")
	}
	if n := len(f.report.Evidence); n > 0 {
		to = append(to, evidenceText(n))
	}
	return append(to,
		"Nothing of it is thrown away: with three voters or more, and for an observer, the next start sets all of it aside in a directory damaged-* in here, and begins as a member that has lost its memory.",
		"Make sure that a quorum of the other members runs, and that their directories are not damaged: they hold all that was acknowledged, and bring this member up to date.",
		"Look for errors of the disk, and whether files were removed, restored from an older copy, or taken from another member.",
		"With one voter or two the member does not start, since nobody could readmit it: keep all directories, and go on with a backup or with what the other member has.",
		"If half of the members or more are damaged, stop them all and keep a copy of every directory before anything else.")
}
