package sim

import (
	"slices"
	"testing"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// corruptions take what holds and break it: the invariant of the name must say so. A check that cannot fail is worth nothing.
var corruptions = []struct {
	want, what string
	do         func(w *World, n *node)
}{
	{"inv/Z1", "another leader of the same epoch", func(w *World, n *node) {
		e := n.m.Zab().Epoch()
		w.leaders[e] = reign{n.id + 1, 1}
		n.watch.est = false
		w.changed(n, zab.Leading, e, true)
	}},
	{"inv/Z2", "a mark goes back", func(w *World, n *node) {
		m := n.image.mark
		m.Promised--
		m.Joined--
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z2", "an epoch promised twice", func(w *World, n *node) {
		e := n.disk.mark.Promised
		w.promises[promise{n.disk.mark.Incarnation, e}] = 9
		w.sent(n, &core.Send{To: 1, Message: &zab.AckEpoch{Epoch: e, Promise: true, Counts: true}})
	}},
	{"inv/Z2", "a promise that is not durable", func(w *World, n *node) {
		w.sent(n, &core.Send{To: 1, Message: &zab.AckEpoch{Epoch: n.disk.mark.Promised + 1, Promise: true, Counts: true}})
	}},
	{"inv/Z2", "an epoch opened before it is joined", func(w *World, n *node) {
		w.sent(n, &core.Send{To: 1, Message: &zab.NewLeader{Epoch: n.disk.mark.Joined + 1}})
	}},
	{"inv/Z4", "a counter beyond its end", func(w *World, n *node) {
		w.cfg.MaxCounter = 1
		l := n.image.last()
		w.issued(n, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: l + 1, Prev: l}})
	}},
	{"inv/Z20", "a member that readmits itself", func(w *World, n *node) {
		m := n.image.mark
		n.image.mark.Counts, m.Incarnation[0] = false, m.Incarnation[0]+1
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z20", "an epoch without promises", func(w *World, n *node) {
		m := n.image.mark
		n.image.mark.Joined--
		clear(w.backers)
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z22", "an epoch by the promise of a fresher member", func(w *World, n *node) {
		m := n.image.mark
		n.image.mark.Joined--
		clear(w.behind)
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z20", "ready and blank", func(w *World, n *node) {
		n.disk.mark.Counts = false
		n.out.Changed, n.out.Status.Ready = true, true
		w.readyByRight(n)
	}},
	{"inv/Z19", "an answer in a session of the past", func(w *World, n *node) {
		x := core.Send{To: 2, Message: &zab.Commit{}}
		n.watch.lead[1] = 2
		w.inSession(n, 2, &zab.Ack{Session: 1}, zab.Leading, n.id, 0, []core.Send{x})
	}},
	{"inv/Z21", "a voter shut out", func(w *World, n *node) {
		n.watch.above = 1 << 30
		for range 3 {
			w.shutsNobodyOut(n, zab.Leading, n.watch.epoch, true)
		}
	}},
	{"inv/E1", "a candidate whose voters are gone", func(w *World, n *node) {
		n.watch.hearing.clear()
		w.electedByRight(n, zab.Leading)
	}},
	{"inv/E1", "a leader that was never heard", func(w *World, n *node) {
		for _, f := range w.nodes {
			if f.watch.role == zab.Following {
				f.watch.hearing.clear()
				w.electedByRight(f, zab.Following)
			}
		}
	}},
	{"inv/Z3", "an entry above the promised epoch", func(w *World, n *node) {
		w.durable(n, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: zab.MakeZxid(9999, 1), Prev: n.disk.last()}})
	}},
	{"inv/Z4", "a gap in the log", func(w *World, n *node) {
		l := n.image.last()
		w.issued(n, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: l + 2, Prev: l}})
	}},
	{"inv/Z5", "another entry at a committed place", func(w *World, n *node) { w.log[len(w.log)-1].hash++; w.audit() }},
	{"inv/Z6", "an entry applied twice", func(w *World, n *node) {
		n.sm.delivered = []delivery{{zxid: w.lastCommitted()}}
		w.deliveries(n)
	}},
	{"inv/Z7", "an entry that nobody proposed", func(w *World, n *node) {
		f := w.nodes[n.idx%w.cfg.Voters+0]
		for _, m := range w.nodes {
			if m.watch.role == zab.Following {
				f = m
			}
		}
		l := f.image.last()
		w.issued(f, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: l + 1, Prev: l}})
	}},
	{"inv/Z9", "a leader without a committed entry", func(w *World, n *node) {
		n.image.entries = nil
		n.image.snap = nil
		n.watch.est = false
		delete(w.leaders, n.m.Zab().Epoch()+1)
		w.changed(n, zab.Leading, n.m.Zab().Epoch()+1, true)
	}},
	{"inv/Z10", "a commit that only one store holds", func(w *World, n *node) {
		for _, m := range w.nodes {
			if m != n {
				m.disk.entries, m.disk.snap, m.past = nil, nil, nil
			}
		}
		w.onDisks(n, w.lastCommitted(), 0)
	}},
	{"inv/Z10", "a commit that only one store has joined", func(w *World, n *node) {
		for _, m := range w.nodes {
			if m != n {
				m.disk.mark.Joined, m.past = 0, nil
			}
		}
		w.onDisks(n, w.lastCommitted(), 0)
	}},
	{"inv/DUR", "a fresh store without a committed entry", func(w *World, n *node) {
		n.disk.entries, n.disk.snap = nil, nil
		n.disk.mark.Joined += 5
		w.checkDurability()
	}},
	{"inv/Z11", "an ack ahead of the store", func(w *World, n *node) {
		w.sent(n, &core.Send{To: 1, Message: &zab.Ack{Zxid: n.disk.last() + 1}})
	}},
	{"inv/Z12", "a committed entry cut", func(w *World, n *node) {
		w.durable(n, &zab.Record{Kind: zab.RecordTrunc, Zxid: n.disk.last() - 1})
	}},
	{"inv/Z13", "the commit position goes back", func(w *World, n *node) {
		w.commits(n, n.watch.committed-1, &core.Tick{}, 0, zab.Leading, 0)
	}},
	{"inv/Z14", "a follower commits by itself", func(w *World, n *node) {
		for _, f := range w.nodes {
			if f.watch.role == zab.Following {
				w.commits(f, f.watch.committed+1, &core.Tick{}, 0, zab.Following, 0)
			}
		}
	}},
	{"inv/Z15", "a leader that hears nobody", func(w *World, n *node) {
		n.watch.ticks += 1000
		w.contact(n, zab.Leading, 1, true)
	}},
	{"inv/Z16", "another state at the same place", func(w *World, n *node) {
		w.digests[w.lastCommitted()]++
		n.watch.given--
		e := w.log[len(w.log)-1]
		n.sm.delivered = []delivery{{zxid: e.zxid, hash: e.hash, data: e.data, digest: n.sm.Digest()}}
		w.deliveries(n)
	}},
	{"inv/Z17", "another digest at the end", func(w *World, n *node) { n.sm.inner.sum++; w.audit() }},
	{"inv/C1", "an acknowledged write that is not there", func(w *World, n *node) {
		for _, k := range w.calls {
			if k.done && k.err == nil {
				delete(w.ref.byID, k.id)
			}
		}
		w.final()
	}},
	{"inv/C1", "a write committed twice", func(w *World, n *node) {
		for i := range slices.Backward(n.disk.entries) {
			e := n.disk.entries[i]
			if p, ok := parse(e.Data); ok && !p.open {
				if err := w.ref.commit(w.lastCommitted()+1, e.Data); err != nil {
					w.failWith(err)
				}
			}
		}
	}},
	{"inv/C2", "a write in the past of an answer", func(w *World, n *node) { replyAgain(w, n, func(k *call) { k.floor = 1 << 62 }) }},
	{"inv/C4", "answers out of order", func(w *World, n *node) {
		replyAgain(w, n, func(*call) { n.watch.lastTicket = 1 << 62 })
	}},
	{"inv/C3", "another result than the reference's", func(w *World, n *node) {
		replyAgain(w, n, func(k *call) { w.ref.byID[k.id].result.Version++ })
	}},
	{"inv/TICKET", "a ticket answered twice", func(w *World, n *node) { w.answered(n, core.Reply[any]{Ticket: 1 << 60}) }},
	{"inv/C5", "a read of something else", func(w *World, n *node) { v := *n.view; v.regs[0].value++; n.view = &v; w.read(n) }},
	{"inv/C12", "half of a pair", func(w *World, n *node) {
		for i := range w.ref.at[pairA] {
			w.ref.at[pairA][i].value.value++
		}
		v := *n.view
		v.regs[pairA].value++
		n.view = &v
		w.read(n)
	}},
	{"inv/C13", "a wrong count", func(w *World, n *node) { n.sm.inner.count++; w.audit() }},
}

// replyAgain gives the last good answer once more, after a change.
func replyAgain(w *World, n *node, change func(*call)) {
	for _, k := range slices.Backward(w.calls) {
		if k.done && k.err == nil && w.ref.byID[k.id] != nil {
			c := *k
			n.watch.lastTicket, n.watch.lastAnswer = 0, 0
			change(&c)
			n.calls[c.ticket] = &c
			w.answered(n, core.Reply[any]{Ticket: c.ticket, Result: w.ref.byID[c.id].resultBefore()})
			return
		}
	}
}

// resultBefore is the result as it was before replyAgain's change may have raised its version.
func (e *expected) resultBefore() Result {
	r := e.result
	if r.Version > 0 {
		r.Version--
	}
	return r
}

func TestCheckers(t *testing.T) {
	for _, c := range corruptions {
		t.Run(c.want+" "+c.what, func(t *testing.T) {
			seed := uint64(1)
			for newConfig(seed).Voters != 3 {
				seed++
			}
			w := newWorld(seed, Options{Actions: []Action{}})
			if o := w.run(); o.Err != nil {
				t.Fatal(o.Err)
			}
			defer func() {
				f, ok := recover().(failure)
				if !ok || invariant(f.err) != c.want {
					t.Errorf("flagged as %v, want %s", f.err, c.want)
				}
			}()
			c.do(w, w.leader())
		})
	}
}
