package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// finding is what a directory was found to hold.
type finding struct {
	dir       string
	use       usage
	report    wal.Report
	zxids     []zab.Zxid // of the entries in force
	leftover  []fileRow
	snapshots []snapshotFound
	others    []string
}

// looks is how often a directory is looked at before it is called damaged: what a running member writes between two reads may look like
// it. Two looks that agree are enough.
const looks = 3

// look reads and judges a directory; the snapshots to their ends only if verify.
func (p *program) look(dir string, verify bool, m *meter) (*finding, error) {
	f := &finding{dir: dir, use: p.use(filepath.Join(dir, "lock"))}
	for i := 1; ; i++ {
		before := f.judgement()
		f.zxids, f.leftover, f.others = f.zxids[:0], nil, nil
		names, err := p.names(dir)
		if err != nil {
			return nil, err
		}
		total := map[string]int64{}
		for _, name := range names {
			if isOurs(name) && name != "lock" { // to open that may keep a member from starting
				if total[name], err = size(p.fs, filepath.Join(dir, name)); errors.Is(err, fs.ErrPermission) {
					return nil, fmt.Errorf("%w; run this as the user that the member runs as", err)
				}
			}
		}
		m.begin("judged", total)
		f.report, err = wal.Inspect(p.fs, dir, func(file string, offset int64, r *zab.Record) {
			m.at(file, offset)
			f.log(r)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if err := f.readSnapshots(p.fs, verify, m); err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if !f.damaged() || i == looks || i > 1 && f.judgement() == before {
			f.sort(p.fs, names)
			return f, nil
		}
		p.pause(100 * time.Millisecond) // so that a write under way is over
	}
}

// names lists the directory, and refuses one that holds nothing of a member.
func (p *program) names(dir string) ([]string, error) {
	names, err := p.fs.List(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no directory %s", dir)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w; run this as the user that the member runs as", err)
	case err != nil:
		if _, err := size(p.fs, dir); err == nil {
			return nil, fmt.Errorf("%s is a file; give the directory it is in", dir)
		}
		return nil, err
	}
	if slices.ContainsFunc(names, isOurs) {
		return names, nil
	}
	for _, name := range names {
		below, err := p.fs.List(filepath.Join(dir, name))
		if err == nil && slices.ContainsFunc(below, isOurs) {
			return nil, fmt.Errorf("%s is not the directory of a member; %s looks like one", dir, filepath.Join(dir, name))
		}
	}
	return nil, fmt.Errorf("%s is not the directory of a member: it has no mark.0, no mark.1 and no segment", dir)
}

// isOurs recognises the names that docs/storage.md lists.
func isOurs(name string) bool {
	if name == "lock" {
		return true
	}
	name = strings.TrimSuffix(name, ".tmp")
	if name == "mark.0" || name == "mark.1" || name == "repair" {
		return true
	}
	base, ok := strings.CutSuffix(name, ".log")
	if !ok || len(base) != 33 || base[16] != '-' {
		return false
	}
	return strings.Trim(base[:16]+base[17:], "0123456789abcdef") == ""
}

// sort tells apart the files that the report does not name.
func (f *finding) sort(fsys vfs.FS, names []string) {
	for _, name := range names {
		file := filepath.Join(f.dir, name)
		_, err := fsys.List(file)
		switch {
		case slices.Contains(f.report.Leftover, name):
			n, _ := size(fsys, file) // it may be gone by now
			f.leftover = append(f.leftover, fileRow{"leftover", name, n})
		case isOurs(name) && !strings.HasSuffix(name, ".tmp"), name == "repair.done":
		case name == snapshotsDir:
		case slices.ContainsFunc(f.report.Evidence, func(e wal.EvidenceReport) bool { return e.Dir == name }):
		case err == nil:
			f.others = append(f.others, name+"/")
		default:
			f.others = append(f.others, name)
		}
	}
}

func size(fsys vfs.FS, name string) (int64, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.Size()
}

// damaged is what -verify answers.
func (f *finding) damaged() bool {
	if f.unopened() != "" || slices.ContainsFunc(f.snapshots, func(s snapshotFound) bool { return s.state == snapDamaged }) {
		return true
	}
	if f.report.Recovery.Fresh {
		return false
	}
	s := f.report.Slots
	return f.report.Verdict.Kind == wal.Impaired || s[0].Fault != "" || s[1].Fault != ""
}

// judgement is all that a second look is compared by.
func (f *finding) judgement() string {
	text := fmt.Sprint(f.report.Verdict, f.report.Slots)
	for _, s := range f.snapshots {
		text += fmt.Sprintln(s.File, s.state, s.Fault)
	}
	return text
}
