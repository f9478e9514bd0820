package wal

import (
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Recovery is what a directory held. With Verdict.Kind Impaired there is no history: Mark says what could be read of it, with the ids in any case
// if anything tells them, Seen and Pos how far it once went at least. If it was repaired, there is Evidence, and Mark is that of the new log.
type Recovery struct {
	Verdict  Verdict
	Fresh    bool   // there was nothing: the memory begins now
	Evidence string // name in the directory of that with the damaged files; "": it was not repaired
	Refused  string // why it was not, though Options.Repair says so
	Aside    int    // directories of evidence that are there

	Mark    zab.Mark    // without an Incarnation as long as none was ever written
	Reset   *Reset      // the last RESET that is still in the log; nil: none
	Base    zab.Zxid    // what the first of Entries follows
	Entries []zab.Entry // in force, after Reset; those before a position given to Retain may be missing. Their Data share large buffers.
	Places  []Place     // of some of Entries, every 64 KiB of log and at the beginning of each segment
	Pos     uint64      // of the last record
	Acked   uint64      // position that was known to be acknowledged
	Seen    zab.Zxid    // greatest zxid in any record, dead ones included
}

// Place says which record an entry is.
type Place struct {
	Zxid zab.Zxid
	Pos  uint64
}

// Open locks, judges and opens a directory, and makes a new one of an empty one. One that is nobody's becomes that of Options.Member. What it returns is durable, in the directory as it is now:
// of a clean stop nothing is written but the mark; after any other stop, what no later write proves durable is written anew.
//
// An Impaired directory is left as it is and not opened: the Log is nil and so is the error. With Options.Repair it is set aside instead, if it may be, and a
// new log begins; a repair that a crash has cut short goes on where it was. Errors are ErrLocked of vfs, *IdentityError,
// *VersionError, those of Options.Judge, and *FailedError if the directory could not be made ready.
func Open(fsys vfs.FS, o Options) (*Log, Recovery, error) {
	if err := o.complete(); err != nil {
		return nil, Recovery{}, errors.Join(err, o.unlock())
	}
	if o.Lock == nil {
		var err error
		if o.Lock, err = Lock(fsys, o.Dir); err != nil {
			return nil, Recovery{}, err
		}
	}
	l := &Log{fs: fsys, opt: o, lock: o.Lock}
	rec, opened, err := l.open()
	if err != nil {
		l.release()
		return nil, Recovery{}, err
	}
	if !opened {
		return nil, rec, o.unlock()
	}
	return l, rec, nil
}

// open judges the directory and makes it ready, unless it is Impaired and stays as it is.
func (l *Log) open() (rec Recovery, opened bool, err error) {
	o := &l.opt
	names, err := l.fs.List(o.Dir)
	if err == nil && slices.Contains(names, markerDone) {
		v := Verdict{Kind: Impaired, Where: markerDone, Why: "this is not a member's directory, but what one has set aside as evidence"}
		return Recovery{Verdict: v, Mark: zab.Mark{Member: o.Member}}, false, nil
	}
	if err == nil && slices.Contains(names, markerName) {
		m, why, err := readMarker(l.fs, o.Dir, markerName, o.version)
		switch {
		case err != nil:
			return Recovery{}, false, err
		case m == nil:
			why = "a repair was under way, and its marker cannot be used: " + why
		default:
			if err := o.owns(m.member, m.name, m.ensemble); err != nil {
				return Recovery{}, false, err
			}
			why = "a repair is under way"
		}
		if m == nil || !o.Repair {
			return Recovery{Verdict: Verdict{Kind: Impaired, Where: markerName, Why: why}, Mark: zab.Mark{Member: o.Member}}, false, nil
		}
		return l.repair(m)
	}
	im := &image{fs: l.fs, dir: o.Dir, newest: o.version}
	if err := im.scan(o.identify); err != nil {
		return Recovery{}, false, err
	}
	rec = im.recovery()
	rec.Mark.Member = o.Member
	if o.Judge != nil {
		if err := o.Judge(&rec); err != nil {
			return Recovery{}, false, err
		}
	}
	if rec.Verdict.Kind == Impaired {
		if !o.Repair {
			return rec, false, nil
		}
		if rec.Refused = im.irreparable(); rec.Refused != "" {
			return rec, false, nil
		}
		m := l.plan(&rec, names)
		if err := l.announce(m, names); err != nil {
			return Recovery{}, false, err
		}
		return l.repair(m)
	}
	l.adopt(im)
	return rec, true, l.ready(im)
}

// makeDir makes the directory durable, unless it is in use already.
func makeDir(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err == nil && (slices.Contains(names, slotNames[0]) || slices.Contains(names, slotNames[1])) {
		return nil
	}
	return vfs.MakeDir(fsys, dir)
}

func (im *image) recovery() Recovery {
	r := Recovery{Verdict: im.verdict, Aside: len(im.aside), Fresh: im.fresh(), Pos: im.hist.pos, Seen: im.seen}
	r.Mark.Member, _, r.Mark.Ensemble = im.identity()
	if im.mark != nil {
		r.Mark, r.Acked = im.mark.mark, im.mark.acked
	}
	if im.marked { // what is here is of two logs
		im.impair(markerName, -1, "a repair is under way")
		r.Verdict, r.Fresh = im.verdict, false
	}
	if im.verdict.Kind == Impaired {
		r.Pos = max(r.Pos, r.Acked)
		return r
	}
	r.Reset, r.Base, r.Entries = im.hist.reset, im.hist.base, im.entries
	for _, p := range im.hist.points {
		r.Places = append(r.Places, Place{p.zxid, p.pos})
	}
	return r
}

// adopt takes over what was found.
func (l *Log) adopt(im *image) {
	l.hist, l.segments, l.batch = im.hist, im.path, im.batch
	l.wanted, l.noted = im.hist.pos, l.opt.Now()
	if im.mark != nil {
		l.slot = *im.mark
		l.slot.mark.Member = l.opt.Member // it was this, or nobody's
	} else {
		l.slot = slot{mark: zab.Mark{Member: l.opt.Member}, name: l.opt.Name}
	}
	for _, s := range im.all {
		l.number, l.batch = max(l.number, s.number), max(l.batch, s.batch)
	}
	n := len(l.segments)
	switch t := im.tail.from; {
	case n == 0:
	case l.segments[n-1].number == t.number:
		s := l.segments[n-1]
		s.end, s.chain, s.last = t.end, t.chain, im.tail.pos
	default: // the last is superseded
		l.segments = l.segments[:n-1]
	}
}

// ready makes durable what was found, and the directory ready for more.
func (l *Log) ready(im *image) error {
	for _, name := range im.temps {
		if err := l.fs.Remove(l.path(name)); err != nil {
			return l.fail("remove "+name, err)
		}
	}
	for _, name := range im.aside { // the marker may be there and not durably so; then it would come back
		if mutant.On("aside-marker-returns") {
			break
		}
		if err := l.fs.SyncDir(l.path(name)); err != nil {
			return l.fail("sync "+name, err)
		}
	}
	if err := l.renewMark(im); err != nil {
		return err
	}
	k := &l.slot.mark
	stands := k.Ensemble == zab.EnsembleID{}
	for _, s := range l.segments {
		stands = stands || s.ensemble == k.Ensemble && s.member == k.Member
	}
	unclean := im.verdict.Unclean && len(im.path) > 0 && !mutant.On("wal-page-cache-trusted")
	if unclean || !stands {
		t := im.tail
		if err := l.start(t.from, t.pos, t.base, t.unproven, 0); err != nil {
			return err
		}
	}
	for _, name := range im.dead {
		if err := l.fs.Remove(l.path(name)); err != nil {
			return l.fail("remove "+name, err)
		}
	}
	if len(im.dead) > 0 {
		if err := l.syncDir(); err != nil {
			return err
		}
	}
	if len(im.tail.unproven) == 0 || l.slot.acked >= l.hist.pos {
		return nil
	}
	// What was carried is durable, so later damage to it is no torn write; and a file system that went down while it said yes
	// to the above says no to this.
	s := l.slot
	s.acked = l.hist.pos
	return l.writeMark(s)
}
