package main

import (
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// walk reads all segments, in force or not, and shows what is in each.
func (f *finding) walk(fsys vfs.FS, m *meter, show func(file string, rows []recordRow)) verifyRow {
	total := map[string]int64{}
	for _, s := range f.report.Segments {
		total[s.File] = s.Size
	}
	m.begin("read", total)
	sum := verifyRow{Type: "verify"}
	for i := range f.report.Segments {
		s := &f.report.Segments[i]
		var rows []recordRow
		err := wal.Walk(fsys, f.dir, s.File, func(p *wal.Piece) {
			m.at(s.File, p.Offset)
			row := record(s.File, p)
			row.InLog = p.Fault == "" && s.Records > 0 && s.Used && p.Offset < s.End
			if p.Fault == "" {
				sum.Records++
			} else {
				sum.Faulty++
			}
			rows = append(rows, row)
		})
		if err != nil {
			sum.Faulty++
			rows = append(rows, recordRow{Type: "record", File: s.File, Bytes: s.Size, CRC: "bad", Fault: "nothing can be shown: " + err.Error()})
		}
		sum.Files++
		sum.Bytes += s.Size
		show(s.File, rows)
	}
	for _, s := range f.snapshots {
		switch {
		case s.state == snapPart:
			continue
		case s.state == snapDamaged:
			sum.DamagedSnapshots++
		default:
			sum.Snapshots++
		}
		sum.Files++
		sum.Bytes += s.Size
	}
	for _, s := range f.report.Slots {
		if s.Fault != "missing" {
			sum.Files++
		}
		if s.Fault == "" {
			sum.Bytes += 512
		}
	}
	return sum
}

func record(file string, p *wal.Piece) recordRow {
	row := recordRow{Type: "record", File: file, Offset: p.Offset, Bytes: p.Size, Position: p.Pos, Batch: p.Batch, EndsBatch: p.Ends, Generation: p.Generation,
		Kind: kind(p), Zxid: zxid(p.Zxid), Length: p.Length, CRC: "ok", Fault: p.Fault}
	if p.Kind == 0 || p.Fault != "" && p.Zxid == 0 {
		row.CRC = "bad"
	}
	return row
}

func kind(p *wal.Piece) string {
	switch p.Kind {
	case 0:
		return ""
	case zab.RecordTrunc:
		return "trunc"
	case zab.RecordReset:
		return "reset"
	}
	if p.Entry == nil {
		return "entry"
	}
	switch p.Entry.Kind {
	case zab.EntryData:
		return "data"
	case zab.EntryReadmit:
		return "readmit"
	case zab.EntryDigest:
		return "digest"
	}
	return "entry"
}
