package wal

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// MostEvidence is how many directories of evidence there may be. Another repair waits until somebody has removed one.
const MostEvidence = 3

// irreparable tells why an Impaired directory must stay as it is; "" if it may be set aside.
func (im *image) irreparable() string {
	n := len(im.aside)
	switch {
	case im.unread != nil:
		return "it cannot be told what is stored: " + im.unread.Error()
	case im.damaged > 0 && im.whole == 0:
		return "nothing of it could be read"
	case n >= MostEvidence:
		return fmt.Sprintf("there are %d directories %s* already: look into them, see to the disk, and remove them first", n, evidencePrefix)
	}
	return ""
}

// plan returns the marker of a repair that begins. That the ensemble was born is shown by the mark, by any record, or by what Judge knows. If nothing tells which
// ensemble it is, and anything was ever recorded here, the state is given up all the same: such a member must not take part in a birth.
func (l *Log) plan(rec *Recovery, names []string) *marker {
	m := &marker{member: l.opt.Member, name: l.opt.Name, why: rec.Verdict.Where + ": " + rec.Verdict.Why}
	for m.id == 0 {
		m.id = l.opt.Random()
	}
	switch none := (zab.EnsembleID{}); {
	case rec.Mark.Ensemble == none:
		m.spoilt = (rec.Mark.Spoilt || slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, segmentSuffix) })) && !mutant.On("aside-nobodys-born")
	case rec.Mark.Born || rec.Seen > 0 || rec.Pos > 0:
		m.ensemble, m.born, m.spoilt = rec.Mark.Ensemble, true, true
	}
	return m
}

// announce makes the marker. From when its name is durable on, the directory is not judged until the repair has come to its end.
func (l *Log) announce(m *marker, names []string) error {
	if mutant.On("aside-unmarked") {
		return nil
	}
	if temp := markerName + tempSuffix; slices.Contains(names, temp) {
		if err := l.fs.Remove(l.path(temp)); err != nil {
			return l.fail("remove "+temp, err)
		}
	}
	return l.create(markerName, m.encode(l.opt.version)[:], headerSize)
}

func (l *Log) syncMarker() error {
	if mutant.On("aside-marker-unsynced") {
		return nil
	}
	return l.syncDir()
}

// repair does what is still to be done of a repair: a crash may have ended it at any step. If what it finds is none of its doing, the Log
// is not to be used, and the verdict says why.
func (l *Log) repair(m *marker) (Recovery, bool, error) {
	if err := l.syncMarker(); err != nil { // that of an earlier run may be there and not durably so
		return Recovery{}, false, err
	}
	names, err := l.fs.List(l.opt.Dir)
	if err != nil {
		return Recovery{}, false, l.fail("list "+l.opt.Dir, err)
	}
	if !slices.Contains(names, m.evidence()) {
		if err := l.setAside(m, names); err != nil {
			return Recovery{}, false, err
		}
	}
	if mutant.On("aside-marker-early") {
		if err := l.conclude(m); err != nil {
			return Recovery{}, false, err
		}
	}
	im := &image{fs: l.fs, dir: l.opt.Dir, newest: l.opt.version}
	if err := im.scan(l.opt.identify); err != nil {
		return Recovery{}, false, err
	}
	if !im.fresh() && (im.verdict.Kind == Impaired || im.mark == nil || im.mark.mark != m.mark() || im.hist.pos != 0) {
		v := Verdict{Kind: Impaired, Where: markerName, Why: "a repair was under way, and what is here now is not of its making"}
		return Recovery{Verdict: v, Mark: m.mark()}, false, nil
	}
	l.adopt(im)
	l.slot.mark = m.mark()
	if mutant.On("aside-counts") {
		l.slot.mark.Counts = true
	}
	if err := l.ready(im); err != nil {
		return Recovery{}, false, err
	}
	if !mutant.On("aside-marker-early") {
		if err := l.conclude(m); err != nil {
			return Recovery{}, false, err
		}
	}
	where, why, _ := strings.Cut(m.why, ": ")
	return Recovery{Verdict: Verdict{Kind: Impaired, Where: where, Why: why}, Mark: l.slot.mark, Evidence: m.evidence(), Aside: len(im.aside)}, true, nil
}

// setAside moves everything that belongs to the damaged log out of the way, the marks first: what is left without them is no log.
func (l *Log) setAside(m *marker, names []string) error {
	part := m.evidence() + evidencePart
	if mutant.On("aside-straight") {
		part = m.evidence()
	}
	if err := l.fs.MkdirAll(l.path(part)); err != nil {
		return l.fail("make "+part, err)
	}
	if err := l.syncMarker(); err != nil {
		return err
	}
	var marks, rest []string
	for _, name := range names {
		base := strings.TrimSuffix(name, tempSuffix)
		_, _, segment := parseSegmentName(base)
		switch {
		case slices.Contains(slotNames[:], base):
			marks = append(marks, name)
		case segment, slices.Contains(l.opt.Aside, name):
			rest = append(rest, name)
		}
	}
	for _, name := range append(marks, rest...) {
		if err := l.fs.Rename(l.path(name), l.path(filepath.Join(part, name))); err != nil {
			return l.fail("set aside "+name, err)
		}
	}
	if !mutant.On("aside-evidence-unsynced") {
		if err := l.fs.SyncDir(l.path(part)); err != nil {
			return l.fail("sync "+part, err)
		}
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	if part == m.evidence() {
		return nil
	}
	if err := l.fs.Rename(l.path(part), l.path(m.evidence())); err != nil {
		return l.fail("rename "+part, err)
	}
	return l.syncDir()
}

// conclude ends the repair: what the marker says stays beside the evidence.
func (l *Log) conclude(m *marker) error {
	if mutant.On("aside-unmarked") {
		return nil
	}
	if err := l.fs.Rename(l.path(markerName), l.path(filepath.Join(m.evidence(), markerDone))); err != nil {
		return l.fail("rename "+markerName, err)
	}
	if err := l.fs.SyncDir(l.path(m.evidence())); err != nil {
		return l.fail("sync "+m.evidence(), err)
	}
	return l.syncDir()
}
