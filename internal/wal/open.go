package wal

import (
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Recovery is what a directory held. With Verdict.Kind Impaired there is no history: Mark says what could be read of it, with the ids in any case
// if anything tells them, Seen and Pos how far it once went at least.
type Recovery struct {
	Verdict Verdict
	Fresh   bool // there was nothing: the memory begins now

	Mark    zab.Mark    // without an Incarnation as long as none was ever written
	Reset   *Reset      // the last RESET that is still in the log; nil: none
	Base    zab.Zxid    // what the first of Entries follows
	Entries []zab.Entry // in force, after Reset; those before a position given to Retain may be missing. Their Data share large buffers.
	Pos     uint64      // of the last record
	Acked   uint64      // position that was known to be acknowledged
	Seen    zab.Zxid    // greatest zxid in any record, dead ones included
}

// Open locks, judges and opens a directory, and makes a new one of an empty one. One that is nobody's becomes that of Options.Member. What it returns is durable, in the directory as it is now:
// of a clean stop nothing is written but the mark; after any other stop, what no later write proves durable is written anew.
//
// An Impaired directory is left as it is and not opened: the Log is nil and so is the error. Errors are ErrLocked of vfs, *IdentityError,
// *VersionError, and *FailedError if the directory could not be made ready.
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
	im := &image{fs: fsys, dir: o.Dir, newest: o.version}
	if err := im.scan(o.identify); err != nil {
		return nil, Recovery{}, errors.Join(err, o.unlock())
	}
	rec := im.recovery()
	rec.Mark.Member = o.Member
	if rec.Verdict.Kind == Impaired {
		return nil, rec, o.unlock()
	}
	l := &Log{fs: fsys, opt: o, lock: o.Lock}
	l.adopt(im)
	if err := l.ready(im); err != nil {
		l.release()
		return nil, Recovery{}, err
	}
	return l, rec, nil
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
	r := Recovery{Verdict: im.verdict, Fresh: im.fresh(), Pos: im.hist.pos, Seen: im.seen}
	r.Mark.Member, _, r.Mark.Ensemble = im.identity()
	if im.mark != nil {
		r.Mark, r.Acked = im.mark.mark, im.mark.acked
	}
	if im.verdict.Kind == Impaired {
		r.Pos = max(r.Pos, r.Acked)
		return r
	}
	r.Reset, r.Base, r.Entries = im.hist.reset, im.hist.base, im.entries
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
