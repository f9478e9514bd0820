package sim

import (
	"slices"

	"github.com/ensemble-go/ensemble/zab"
)

// issued checks a record as it is handed over.
func (w *World) issued(n *node, r *zab.Record) {
	switch r.Kind {
	case zab.RecordEntry:
		e := &r.Entry
		last := n.image.last()
		if e.Prev != last || e.Zxid <= last {
			w.fail("inv/Z4", "member %d writes %v (after %v) behind %v", n.id, e.Zxid, e.Prev, last)
		}
		if e.Zxid.Epoch() == last.Epoch() && e.Zxid.Counter() != last.Counter()+1 || e.Zxid.Epoch() != last.Epoch() && e.Zxid.Counter() != 1 {
			w.fail("inv/Z4", "member %d writes %v behind %v: a gap", n.id, e.Zxid, last)
		}
		if most := w.cfg.MaxCounter; most != 0 && e.Zxid.Counter() > most {
			w.fail("inv/Z4", "member %d writes %v: the counter ends at %d", n.id, e.Zxid, most)
		}
		h := hashEntry(e)
		if old, ok := w.minted[e.Zxid]; ok && old != h {
			w.fail("inv/Z7", "member %d writes another %v than there is", n.id, e.Zxid)
		} else if !ok {
			w.minted[e.Zxid] = h
			// A step may propose and then end the epoch.
			z, epoch := n.m.Zab(), e.Zxid.Epoch()
			if (z.Role() != zab.Leading || z.Epoch() != epoch) && (n.watch.role != zab.Leading || n.watch.epoch != epoch) {
				w.fail("inv/Z7", "member %d writes %v, which no leader of that epoch proposed", n.id, e.Zxid)
			}
			if e.Kind == zab.EntryReadmit {
				w.cover("readmission")
			}
			if e.Kind == zab.EntryData {
				w.proposed(n, e)
			}
		}
		if e.Kind == zab.EntryReadmit {
			w.moment(n, atReadmit)
		}
	case zab.RecordTrunc:
		if n.watch.torn {
			w.cover("TRUNC after a DIFF that was cut short")
		}
		if z := n.sm.outstanding(); z > r.Zxid {
			w.fail("inv/Z16", "member %d cuts its log behind %v and still judges by %v", n.id, r.Zxid, z)
		}
	case zab.RecordMark:
		if m := n.image.mark; r.Mark.Promised < m.Promised || r.Mark.Joined < m.Joined {
			w.fail("inv/Z2", "member %d goes back from promised %d joined %d to %d, %d", n.id, m.Promised, m.Joined, r.Mark.Promised, r.Mark.Joined)
		}
		if r.Mark.Spoilt && !n.image.mark.Spoilt {
			w.cover("state given up")
			if n.watch.role == zab.Leading {
				w.cover("state given up by a leader")
			}
		}
		if r.Mark.Joined > r.Mark.Promised {
			w.fail("inv/Z2", "member %d joins %d and has promised %d only", n.id, r.Mark.Joined, r.Mark.Promised)
		}
		w.countsByRight(n, n.image.mark, r.Mark)
		w.joinsByRight(n, n.image.mark, r.Mark)
	}
	n.image.apply(r)
}

// durable makes a record durable and checks what becomes of the store.
func (w *World) durable(n *node, r *zab.Record) {
	last, mark := n.disk.last(), n.disk.mark
	counts := mark.Counts
	if r.Kind == zab.RecordMark && r.Mark.Spoilt && !n.disk.mark.Spoilt {
		p := n.disk // what it acknowledged counts as lost from now on, as by a wipe
		p.entries = slices.Clone(p.entries)
		n.past = &p
	}
	removed := n.disk.apply(r)
	d := &n.disk
	switch r.Kind {
	case zab.RecordEntry:
		if r.Entry.Prev != last {
			w.fail("inv/Z4", "store of %d: %v follows %v", n.id, r.Entry.Zxid, last)
		}
		if r.Entry.Zxid.Epoch() > d.mark.Promised {
			w.fail("inv/Z3", "store of %d: %v while promised is %d", n.id, r.Entry.Zxid, d.mark.Promised)
		}
		return
	case zab.RecordTrunc:
		w.moment(n, atCut)
		w.removedCommitted(n, removed, "TRUNC")
	case zab.RecordReset:
		w.moment(n, atCut)
		n.resetPos = r.Pos
		if counts {
			w.removedCommitted(n, removed, "RESET")
		}
		if _, ok := w.place(r.Snapshot.Zxid); !ok {
			w.fail("inv/Z16", "member %d installs a snapshot of %v, which is not committed", n.id, r.Snapshot.Zxid)
		}
	case zab.RecordMark:
		if r.Mark.Counts && !counts && d.mark.Born {
			w.cover("blank member counts again")
		}
		w.counting.born = w.counting.born || r.Mark.Born
		w.sameEnsemble(n, r.Mark)
		w.counting.promised = max(w.counting.promised, r.Mark.Promised)
		w.marked(n, mark, r.Mark)
	}
	w.checkDurability()
}

func (w *World) removedCommitted(n *node, removed *zab.Entry, by string) {
	if removed == nil {
		return
	}
	w.cover("proposal lost")
	if i, ok := w.place(removed.Zxid); ok && w.log[i-1].hash == hashEntry(removed) {
		w.fail("inv/Z12", "%s at member %d removes %v, which is committed", by, n.id, removed.Zxid)
	}
}
