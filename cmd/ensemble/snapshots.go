package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// snapshotsDir is where in its directory a member keeps them.
const snapshotsDir = "snapshots"

// What a snapshot is to the next start.
const (
	snapNext    = "next"    // it begins with this one
	snapSpare   = "spare"   // it would do, too
	snapUnfit   = "unfit"   // it is whole, and not a point of the log's history
	snapDamaged = "damaged" // it is passed over
	snapForeign = "foreign" // it is of another ensemble: the directory is refused
	snapUnknown = "unknown" // the log is damaged: nothing can be told
	snapPart    = "part"    // it is being received, or was
)

// readSnapshots lists the snapshots, and reads them whole if verify. Where one has a version that is not read, nothing can be said of the directory.
func (f *finding) readSnapshots(fsys vfs.FS, verify bool, m *meter) error {
	f.snapshots = nil
	dir := filepath.Join(f.dir, snapshotsDir)
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	o := snapshot.Options{Dir: dir, FS: fsys, Ensemble: f.report.Recovery.Mark.Ensemble}
	infos, pending, err := snapshot.Inspect(o)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, i := range infos {
		listed[i.File] = true
	}
	// What was let go of since it was listed is no damage.
	infos = slices.DeleteFunc(infos, func(i snapshot.Info) bool { return errors.Is(i.Fault, fs.ErrNotExist) })
	total := map[string]int64{}
	for i := range infos {
		if _, version := errors.AsType[*snapshot.VersionError](infos[i].Fault); version {
			return infos[i].Fault
		}
		total[infos[i].File] = infos[i].Size
	}
	if verify {
		m.begin("read", total)
	}
	for _, i := range infos {
		s := snapshotFound{Info: i, checked: "ends"}
		if verify && i.Fault == nil {
			s.Fault, s.checked = readWhole(o, i.File, m), "all"
		}
		f.snapshots = append(f.snapshots, s)
	}
	f.judgeSnapshots()
	for _, name := range names {
		file := snapshotsDir + "/" + name
		n, _ := size(fsys, filepath.Join(dir, name)) // it may be gone by now
		switch {
		case slices.Contains(pending, name) && strings.HasSuffix(name, ".part"):
			f.snapshots = append(f.snapshots, snapshotFound{Info: snapshot.Info{File: name, Size: n}, state: snapPart})
		case slices.Contains(pending, name):
			f.leftover = append(f.leftover, fileRow{"leftover", file, n})
		case !listed[name]:
			f.others = append(f.others, file)
		}
	}
	return nil
}

// snapshotFound is a snapshot, and what is to be said of it.
type snapshotFound struct {
	snapshot.Info
	state   string
	why     string // for unfit
	checked string
}

// readWhole returns what is wrong with a file.
func readWhole(o snapshot.Options, file string, m *meter) error {
	r, err := snapshot.OpenFile(o, file)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		m.at(file, int64(r.Position().Length))
		if _, err := r.Chunk(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// judgeSnapshots says of each what a start does with it.
func (f *finding) judgeSnapshots() {
	rec := &f.report.Recovery
	need := snapshot.Need{From: rec.Base, Upto: rec.Base, Reset: (*snapshot.Reset)(rec.Reset)}
	if n := len(f.zxids); n > 0 {
		need.Upto = f.zxids[n-1]
	}
	next := false
	for i := range f.snapshots {
		s := &f.snapshots[i]
		s.why = need.Unfit(&s.Info)
		_, known := slices.BinarySearch(f.zxids, s.Zxid)
		if s.why == "" && !known && s.Zxid != rec.Base {
			s.why = "its zxid is not one of the log"
		}
		_, foreign := errors.AsType[*snapshot.IdentityError](s.Fault)
		switch {
		case foreign:
			s.state = snapForeign
		case s.Fault != nil:
			s.state = snapDamaged
		case f.report.Verdict.Kind == wal.Impaired:
			s.state, s.why = snapUnknown, ""
		case s.why != "":
			s.state = snapUnfit
		case next:
			s.state = snapSpare
		default:
			s.state, next = snapNext, true
		}
	}
}

// log follows the entries in force, as far as their zxids tell what snapshot is a point of the history.
func (f *finding) log(r *zab.Record) {
	switch r.Kind {
	case zab.RecordEntry:
		f.zxids = append(f.zxids, r.Entry.Zxid)
	case zab.RecordTrunc:
		i, found := slices.BinarySearch(f.zxids, r.Zxid)
		if found {
			i++
		}
		f.zxids = f.zxids[:i]
	case zab.RecordReset:
		f.zxids = f.zxids[:0]
	}
}

// unopened tells why a start would refuse the directory for its snapshots, "" if it would not.
func (f *finding) unopened() string {
	rec := &f.report.Recovery
	there, next, foreign := 0, false, ""
	for _, s := range f.snapshots {
		if s.state == snapPart {
			continue
		}
		there++
		next = next || s.state == snapNext
		if s.state == snapForeign {
			foreign = s.File
		}
	}
	orphans := durable.Orphans(rec, there)
	switch {
	case orphans != nil:
		return orphans.Error()
	case foreign != "":
		return foreign + " is of another ensemble"
	case next || rec.Fresh || rec.Reset == nil && rec.Base == 0:
		return ""
	case rec.Reset != nil:
		return fmt.Sprintf("the history begins with a snapshot up to %v, and neither that one nor a later one can be used", rec.Reset.Zxid)
	}
	return fmt.Sprintf("the log goes back to %v only, and no snapshot from there on can be used", rec.Base)
}

func (s *snapshotFound) row() snapshotRow {
	row := snapshotRow{Type: "snapshot", File: snapshotsDir + "/" + s.File, State: s.state, Checked: s.checked, Bytes: s.Size, Zxid: zxid(s.Zxid), Position: s.Pos, Chunks: s.Chunks,
		Length: s.Length, Members: len(s.Members), ID: id(s.ID), Ensemble: id(s.Ensemble), Fault: s.why}
	if s.Fault != nil {
		row.Fault = strings.TrimPrefix(s.Fault.Error(), "snapshot: ")
	}
	if s.Chunks > 0 {
		row.Digest = fmt.Sprintf("%016x", s.Digest)
	}
	if !s.Created.IsZero() {
		row.Created = s.Created.UTC().Format(time.RFC3339)
	}
	for _, p := range s.Spans {
		row.Spans = append(row.Spans, zab.MakeZxid(p.Epoch, p.Last).String())
	}
	return row
}
