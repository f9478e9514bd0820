package sim

import (
	"encoding/binary"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// What sessions must not do: see corruptions.
var sessionCorruptions = []corruption{
	{"inv/C9", "an ephemeral outlives its session", func(w *World, n *node) {
		x := hired(w, n, 300)
		expire(w, x)
		z := w.lastCommitted() + 2
		failing(w, w.ref.compare("/e", z, &datatree.Znode{Path: "/e", Zxid: z, Stat: datatree.Stat{EphemeralOwner: x.id}}))
	}},
	{"inv/C9", "an ephemeral is gone before its session", func(w *World, n *node) {
		x := hired(w, n, 300)
		w.ref.take(w.lastCommitted()+1, []change{{"/e", &znode{stat: datatree.Stat{EphemeralOwner: x.id}}}})
		failing(w, w.ref.compare("/e", w.lastCommitted()+1, nil))
	}},
	{"inv/C9", "an ephemeral is left by the transaction that ends its session", func(w *World, n *node) {
		own, _ := n.sm.Own(n.id)
		b, err := datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: "/e", Mode: datatree.Ephemeral}}, false, maxData)
		failing(w, err)
		z := w.lastCommitted() + 1
		txn, ok := n.sm.Znodes.Prepare(z, 0, core.Call{Name: core.Name{Session: own.ID, Generation: own.Generation, Sequence: own.Last + 1}, Low: own.Last + 1, Payload: b})
		if !ok {
			panic("no transaction")
		}
		if _, err := n.sm.Znodes.Apply(z, txn); err != nil {
			panic(err)
		}
		w.gone(n, &delivery{zxid: z + 1, outcome: core.Outcome[core.Result]{Closed: own.ID}})
	}},
	{"inv/C9", "a create after the end of its session", func(w *World, n *node) {
		x := hired(w, n, 300)
		x.calls = append(x.calls, &call{req: &request{ops: []datatree.Op{datatree.CreateOp{Path: "/e", Mode: datatree.Ephemeral}}}})
		expire(w, x)
		failing(w, w.ref.commit(w.lastCommitted()+2, callOf(w, x.id, 0, 1)))
	}},
	{"inv/C9", "a session ends twice", func(w *World, n *node) {
		x := hired(w, n, 300)
		expire(w, x)
		expire(w, x)
	}},
	{"inv/C9", "a session ends with a write of another", func(w *World, n *node) {
		x, y := hired(w, n, 300), hired(w, n, 300)
		x.calls = append(x.calls, &call{req: &request{multi: true}})
		txn := callOf(w, x.id, 0, 1)
		txn[0] = 6 // a move
		failing(w, w.ref.commit(w.lastCommitted()+2, binary.AppendUvarint(txn, y.id)))
	}},
	{"inv/C9", "a member does not know a session", func(w *World, n *node) {
		hired(w, n, 300)
		w.checkSessions(n)
	}},
	{"inv/C9", "a member does not know a session at the end", func(w *World, n *node) {
		hired(w, n, 300)
		w.auditTree(n)
	}},
	{"inv/C9", "a session whose end nobody has decided is told to have ended", func(w *World, n *node) {
		x := hired(w, n, 300)
		sit(w, n, x)
		w.sessionNews(n, []core.SessionNews{{What: core.SessionExpired, Session: x.id}})
	}},
	{"inv/C10", "a session expires before its timeout", func(w *World, n *node) {
		x := hired(w, n, 300)
		w.lasts(sit(w, n, x), w.now-299*ms)
		expire(w, x)
	}},
	{"inv/C10", "by the clock of its leader, which is fast", func(w *World, n *node) {
		x := hired(w, n, 300)
		w.lasts(sit(w, n, x), w.now-310*ms)
		n.drift = -50
		expire(w, x)
	}},
	{"inv/C10", "a session is confirmed that has expired", func(w *World, n *node) {
		x := hired(w, n, 300)
		a := sit(w, n, x)
		expire(w, x)
		w.lasts(a, w.now-100*ms)
	}},
	{"inv/C10", "a silent session never ends", func(w *World, n *node) {
		hired(w, n, 300).by = &holder{id: n.id}
		for range 300*ms/w.cfg.Tick + 3 + slack + 2 {
			w.checkSilence(n)
		}
	}},
	{"inv/C10", "a session whose client has stopped to renew it never ends", func(w *World, n *node) {
		sit(w, n, hired(w, n, 300)).givenUp = true
		for range 300*ms/w.cfg.Tick + 3 + slack + 2 {
			w.checkSilence(n)
		}
	}},
	{"inv/C10", "a session lapses that is renewed at a member that is connected", func(w *World, n *node) {
		w.lapse(&event{msg: settledIn(w, n)})
	}},
	{"inv/C10", "a session is ended that is renewed at a member that is connected", func(w *World, n *node) {
		expire(w, w.ref.sessions[settledIn(w, n).session])
	}},
	{"inv/C10", "a session ends that silence does not end", func(w *World, n *node) { expire(w, hired(w, n, 0)) }},
	{"inv/C10", "two hold the same", func(w *World, n *node) {
		for _, g := range w.guests[:2] {
			x := hired(w, n, 300)
			g.session, g.at, g.locks = x.id, sit(w, n, x), map[string]bool{lockPath(0): true}
			g.at.guest, g.at.until = g, w.now+1
		}
		w.oneHolder(w.guests[0].at)
	}},
	{"inv/C10", "two generations of a session are confirmed", func(w *World, n *node) {
		x := hired(w, n, 300)
		a := sit(w, n, x)
		x.attached = []Time{w.now - 20*ms, w.now - 10*ms}
		w.lasts(a, w.now-5*ms)
	}},
	{"inv/C1", "a window is lost: what was decided is decided again", func(w *World, n *node) {
		x := hired(w, n, 300)
		k := &call{req: &request{ops: []datatree.Op{datatree.CheckOp{Path: "/"}}}}
		x.calls = append(x.calls, k)
		failing(w, w.ref.commit(w.lastCommitted()+1, callOf(w, x.id, 0, 1)))
		failing(w, w.ref.commit(w.lastCommitted()+2, callOf(w, x.id, 0, 1)))
	}},
	{"inv/C4", "a write of a former generation is decided", func(w *World, n *node) {
		x := hired(w, n, 300)
		x.calls = append(x.calls, &call{req: &request{}})
		x.generation = 1
		failing(w, w.ref.commit(w.lastCommitted()+1, callOf(w, x.id, 0, 1)))
	}},
	{"inv/C4", "a client's writes change their order with its member", func(w *World, n *node) {
		x := hired(w, n, 300)
		x.calls = append(x.calls, &call{order: 1, req: &request{}})
		x.order = 2
		failing(w, w.ref.commit(w.lastCommitted()+1, callOf(w, x.id, 0, 1)))
	}},
	{"inv/C7", "a session comes to a member that is behind it", func(w *World, n *node) {
		g, x := w.guests[0], hired(w, n, 300)
		g.asks, g.seen = w.newCall(n, callWrite), n.view.Zxid()+1
		g.asks.guest, g.asks.req = g, &request{act: actCreate}
		w.sessionNews(n, []core.SessionNews{{What: core.SessionAttached, Session: x.id, Timeout: 300, Ticket: g.asks.ticket}})
	}},
	{"inv/C7", "a session reads what is older than it has seen", func(w *World, n *node) {
		g, x := w.guests[0], hired(w, n, 300)
		g.session, g.at, g.seen = x.id, sit(w, n, x), n.view.Zxid()+1
		w.look(g)
	}},
	{"inv/C3", "a wrong password opens a session", func(w *World, n *node) {
		x, y := hired(w, n, 300), hired(w, n, 300)
		x.calls = append(x.calls, &call{req: &request{act: actResume, about: y.id}})
		txn := callOf(w, x.id, 0, 1)
		txn[0] = 6 // a move
		failing(w, w.ref.commit(w.lastCommitted()+2, binary.AppendUvarint(txn, y.id)))
	}},
}

// hired is a session of a client at a member, as if it had been committed last.
func hired(w *World, n *node, timeout uint32) *tenure {
	z := w.lastCommitted() + zab.Zxid(len(w.ref.sessions))<<20 // nobody has this one
	w.ref.begin(z, timeout, false, n.holder, &line{})
	x := w.ref.sessions[uint64(z)]
	x.since = 0
	return x
}

// sit has a member serve it.
func sit(w *World, n *node, x *tenure) *seat {
	a := &seat{n: n, run: n.run, session: x.id, timeout: Time(x.timeout) * ms}
	n.serves[x.id] = a
	return a
}

// settledIn has a member serve a session for so long, and everybody be connected, that it must last.
func settledIn(w *World, n *node) *seat {
	a := sit(w, n, hired(w, n, uint32(100*w.cfg.Tick/ms)))
	w.healed, a.began = 1, 0
	for _, m := range w.nodes {
		m.calm = 0
	}
	return a
}

// expire commits the end of a session, which the leader proposes now.
func expire(w *World, x *tenure) {
	z := w.lastCommitted() + 1
	txn := binary.AppendUvarint(binary.AppendUvarint([]byte{4}, x.id), uint64(w.ref.time)) // an end
	n := w.leader()
	w.proposed(n, &zab.Entry{Zxid: z, Data: txn})
	failing(w, w.ref.commit(z, txn))
	w.sessionCommitted(z, txn)
}

// callOf is a transaction that decides a call, with verdict 0.
func callOf(w *World, session uint64, generation uint32, sequence uint64) []byte {
	txn := []byte{1}
	for _, v := range [...]uint64{session, uint64(generation), sequence, sequence, uint64(w.ref.time), 0} {
		txn = binary.AppendUvarint(txn, v)
	}
	return txn
}
