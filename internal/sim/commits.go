package sim

import (
	"sort"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// commits checks that what a member takes for committed is the one history, and lengthens that if it is a leader.
func (w *World) commits(n *node, c zab.Zxid, input core.Input, from quorum.ID, was zab.Role, followed quorum.ID) {
	v, z := &n.watch, n.m.Zab()
	if c < v.committed {
		w.fail("inv/Z13", "member %d goes back from committed %v to %v", n.id, v.committed, c)
	}
	if v.at < 0 {
		i, ok := w.place(v.committed)
		if !ok {
			w.fail("inv/Z5", "member %d begins at %v, which is not committed", n.id, v.committed)
		}
		v.at, v.given = i, i
	}
	if c == v.committed {
		return
	}
	if _, ok := input.(*core.Receive); ok && z.Role() == zab.Following && was == zab.Following && z.Leader() != from && followed != from {
		w.fail("inv/Z19", "member %d follows %d and learns a commit position from %d", n.id, z.Leader(), from)
	}
	if i, ok := w.place(c); ok { // known: the same entries must be here
		if c > n.image.base() {
			e, here := n.image.find(c)
			if !here {
				w.fail("inv/Z6", "member %d takes %v for committed and does not have it", n.id, c)
			}
			if hashEntry(&e) != w.log[i-1].hash {
				w.fail("inv/Z5", "member %d has another %v than is committed", n.id, c)
			}
		}
		v.at, v.committed = i, c
		return
	}
	if last := w.lastCommitted(); c < last {
		w.fail("inv/Z5", "member %d commits %v, which is not in the history that ends at %v", n.id, c, last)
	}
	if z.Role() != zab.Leading && was != zab.Leading {
		w.fail("inv/Z14", "member %d takes %v for committed, which no leader has committed", n.id, c)
	}
	w.extend(n, c)
	v.at, v.committed = len(w.log), c
}

// extend appends to the one history what a leader commits.
func (w *World) extend(n *node, c zab.Zxid) {
	last := w.lastCommitted()
	if !n.image.holds(last) {
		w.fail("inv/Z5", "leader %d commits %v and does not have %v, which is committed", n.id, c, last)
	}
	es := n.image.entries
	i := sort.Search(len(es), func(i int) bool { return es[i].Zxid > last })
	for ; i < len(es) && es[i].Zxid <= c; i++ {
		e := &es[i]
		if e.Zxid <= last || e.Prev != last {
			w.fail("inv/Z8", "%v is committed behind %v", e.Zxid, last)
		}
		last = e.Zxid
		if e.Kind == zab.EntryReadmit {
			w.readmits[life{e.Member, e.Incarnation}] = true
			w.onDisks(n, e.Zxid, e.Member)
			w.moment(n, atReadmitted)
		}
		if e.Zxid.Epoch() != n.m.Zab().Epoch() {
			w.cover("uncommitted entry of an old leader committed")
		}
		w.log = append(w.log, committed{e.Zxid, hashEntry(e), e.Kind == zab.EntryData})
		w.mix(hashEntry(e))
		if e.Kind == zab.EntryData {
			if err := w.ref.commit(e.Zxid, e.Data); err != nil {
				w.failWith(err)
			}
			w.sessionCommitted(e.Zxid, e.Data)
		}
	}
	if last != c {
		w.fail("inv/Z6", "leader %d commits %v, its log has %v there", n.id, c, last)
	}
	w.onDisks(n, c, 0)
	w.weighed(c)
	w.checkDurability()
	w.glimpse(imageOfCommit)
	w.moment(n, atCommit)
}

// deliveries checks what a step has applied.
func (w *World) deliveries(n *node) {
	v := &n.watch
	if n.drive.keeping != nil {
		w.cover("applied while a snapshot is written")
	}
	for i := range n.sm.delivered {
		d := &n.sm.delivered[i]
		if d.install {
			i, ok := w.place(d.zxid)
			if !ok || i < v.given {
				w.fail("inv/Z16", "member %d installs the state of %v after it has applied %d entries, the snapshot has %d", n.id, d.zxid, v.given, i)
			}
			v.jumpFrom, v.jumpTo = 0, d.zxid
			if v.given > 0 {
				v.jumpFrom = w.log[v.given-1].zxid
			}
			v.given = i
			w.lostAll(n)
		} else {
			if d.zxid > n.m.Zab().Committed() {
				w.fail("inv/Z14", "member %d applies %v, committed is %v", n.id, d.zxid, n.m.Zab().Committed())
			}
			if v.given >= len(w.log) || w.log[v.given].zxid != d.zxid {
				w.fail("inv/Z6", "member %d applies %v as entry %d of the history", n.id, d.zxid, v.given)
			}
			if e := w.log[v.given]; e.data != d.data || d.data && e.hash != d.hash {
				w.fail("inv/Z7", "member %d applies other bytes at %v", n.id, d.zxid)
			}
			v.given++
			if !n.disk.holds(d.zxid) {
				w.fail("inv/Z14", "member %d applies %v, which its store does not hold", n.id, d.zxid)
			}
			w.appliedTo(n, d.zxid)
			if err := w.ref.delivered(d); err != nil {
				w.failWith(err)
			}
			w.gone(n, d)
		}
		if old, ok := w.digests[d.zxid]; ok && old != d.digest {
			w.fail("inv/Z16", "member %d has digest %x at %v, another has %x", n.id, d.digest, d.zxid, old)
		}
		w.digests[d.zxid] = d.digest
	}
	clear(n.sm.delivered)
	n.sm.delivered = n.sm.delivered[:0]
	w.nothingMore(n)
}
