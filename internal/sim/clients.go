package sim

import (
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

var errDisk = errors.New("sim: the disk failed")

// caller is one client: it makes one call after the other.
type caller struct{ waits bool }

// Kinds of calls.
const (
	callWrite = iota
	callSync
	callTransfer
)

// call is a ticket and what became of it.
type call struct {
	kind       int
	id         uint64 // of the request
	req        *request
	answer     func(reply) // told instead of comparing with the reference, which does not judge it
	want       *expected   // once it is committed
	client     int
	guest      *guest // that has made it, if one has
	order      uint64 // of the guest's writes, from 1
	from       quorum.ID
	run        uint32
	ticket     uint64
	session    uint64 // that it is made on; 0: the member's own
	generation uint32
	handedAt   Time      // to the machine
	afterLoss  bool      // it brings a session from a member that is down
	floor      zab.Zxid  // the greatest position that anybody had been told when it was made; of a Sync, that was committed
	leader     quorum.ID // of its member then
	handed     bool      // to the machine
	lost       bool      // its member's run ended first
	done       bool
	err        error
}

// history is what the clients did and saw.
type history struct {
	calls  []*call // writes
	lastID uint64
	told   zab.Zxid // the greatest position that anybody was told
	limitC int
}

func newHistory(limit int) history { return history{limitC: limit} }

// clientTurn lets a client make its next call, or read.
func (w *World) clientTurn(n *node, i int) {
	w.push(event{at: w.now + between(w.load, w.cfg.Think/2, w.cfg.Think*3/2), kind: evClient, node: int32(n.idx), run: n.run, a: uint64(i)})
	c := &n.clients[i]
	if w.quiet || c.waits || w.limitC > 0 && len(w.calls) >= w.limitC {
		return
	}
	x := w.load.IntN(100)
	switch {
	case x < w.cfg.Reads:
		w.read(n)
		return
	case x < w.cfg.Reads+w.cfg.Syncs:
		k := w.newCall(n, callSync)
		k.client, c.waits = i, true
		n.put(w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.SyncRequest{Ticket: k.ticket}})
		return
	}
	k := w.newCall(n, callWrite)
	k.client, c.waits = i, true
	w.lastID++
	k.id = w.lastID
	k.req = w.work.draw(k.id)
	w.calls = append(w.calls, k)
	n.put(w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.Request{Ticket: k.ticket, Payload: k.req.payload, Wall: w.wallClock(n)}})
}

func (w *World) newCall(n *node, kind int) *call {
	n.ticket++
	k := &call{kind: kind, from: n.id, run: n.run, ticket: n.ticket, floor: w.told, client: -1, leader: n.status.Leader}
	if kind == callSync {
		k.floor = max(k.floor, w.lastCommitted()) // whether anybody was told or not
	}
	n.calls[k.ticket] = k
	return k
}

func (w *World) transfer(n *node, to quorum.ID) {
	k := w.newCall(n, callTransfer)
	n.put(w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.TransferRequest{Ticket: k.ticket, To: to}})
}

// read checks what a member shows its readers.
func (w *World) read(n *node) {
	if n.view == nil {
		return
	}
	w.cover("read")
	if n.view.Zxid() < n.watch.toldHere {
		w.fail("inv/C5", "member %d shows %v after it has answered a call at %v", n.id, n.view.Zxid(), n.watch.toldHere)
	}
	switch w.load.IntN(16) {
	case 0:
		if len(n.held) < mostHeld && !slices.Contains(n.held, n.view) {
			n.held = append(n.held, n.view)
		}
	case 1:
		w.reread(n)
	case 2, 3:
		if err := w.ref.check(n.view); err != nil {
			w.failWith(err)
		}
	case 4:
		if err := checkTree(n.view); err != nil {
			w.failWith(err)
		}
		w.checkDue(n)
		w.checkSessions(n)
	case 5, 6, 7:
		if w.cfg.ACLs {
			w.glanceAs(n)
		}
	default:
		w.glance(n)
	}
}

// mostHeld is how many views the slow readers of a member hold.
const mostHeld = 2

// glance looks at a few paths, in the view and, as the readers of a node do, in the tree itself.
func (w *World) glance(n *node) {
	for range 2 {
		if err := w.ref.point(n.view, w.work.path()); err != nil {
			w.failWith(err)
		}
	}
	t, path := n.sm.Tree(), w.work.path()
	got, ok := t.Get(path)
	at := &got
	if !ok {
		at = nil
	}
	if err := w.ref.compare(path, t.Zxid(), at); err != nil {
		w.failWith(err)
	}
	if err := checkPair(n.view); err != nil {
		w.failWith(err)
	}
}

// reread checks that a view which was held for a while still shows the state that it was taken of, and lets go of it.
func (w *World) reread(n *node) {
	if len(n.held) == 0 {
		return
	}
	v := n.held[0]
	n.held = n.held[1:]
	if v != n.view {
		w.cover("view held")
	}
	if err := w.ref.check(v); err != nil {
		w.failWith(err)
	}
	if v != n.view {
		v.Release()
	}
}

// publish shows a new state to a member's readers.
func (w *World) publish(n *node, v *datatree.View) {
	if old := n.view; old != nil {
		if v.Zxid() < old.Zxid() && v.Zxid() != 0 {
			w.fail("inv/C4", "member %d publishes %v after %v", n.id, v.Zxid(), old.Zxid())
		}
		if !slices.Contains(n.held, old) {
			old.Release()
		}
	}
	n.view, n.sm.unseen = v, nil
}

// taken numbers the requests that a machine has taken, as it does itself.
func (w *World) taken(n *node, x *core.Request, answers []reply) {
	for _, r := range answers {
		if r.Ticket == x.Ticket && r.Zxid == 0 {
			w.overloaded(n, callWrite, &r)
			return
		}
	}
	l := w.ref.lineOf(n.holder, x.Session, x.Generation)
	l.calls = append(l.calls, n.calls[x.Ticket])
}

// answered checks a reply.
func (w *World) answered(n *node, r reply) {
	k := n.calls[r.Ticket]
	if k == nil {
		w.fail("inv/TICKET", "member %d answers ticket %d, which does not wait for an answer", n.id, r.Ticket)
	}
	delete(n.calls, r.Ticket)
	k.done, k.err = true, r.Err
	if k.client >= 0 {
		n.clients[k.client].waits = false
	}
	if k.answer != nil {
		k.answer(r)
		return
	}
	if k.kind == callWrite && r.Zxid == 0 && n.out.Failed == nil {
		w.ref.lineOf(n.holder, k.session, k.generation).drop(k)
	}
	switch k.kind {
	case callTransfer:
		return
	case callSync:
		if r.Err == nil {
			w.cover("sync")
			if r.Zxid < k.floor {
				w.fail("inv/C6", "sync at member %d gives %v, but %v had been committed before it began", n.id, r.Zxid, k.floor)
			}
			if n.view == nil || n.view.Zxid() < r.Zxid {
				w.fail("inv/C6", "sync at member %d gives %v, which is not applied there", n.id, r.Zxid)
			}
		}
		return
	}
	if k.req != nil && k.req.act != 0 {
		w.acted(n, k, r)
		return
	}
	if !isVerdict(r.Err) {
		w.cover("call refused")
		return
	}
	if r.Err == nil {
		n.wrote = max(n.wrote, k.handedAt)
	} else {
		w.cover("verdict refused")
	}
	e := k.want
	if e == nil {
		w.fail("inv/C1", "request %d is answered at member %d (%v, %v) and not committed", k.id, n.id, r.Result, r.Err)
	}
	recalled := zab.Zxid(0)
	if e.zxid > n.watch.jumpFrom && e.zxid <= n.watch.jumpTo {
		w.cover("answer recalled from a window")
		recalled = n.watch.jumpTo
	}
	if e.index >= 0 {
		w.cover("multi refused")
	}
	w.coverKinds(e)
	if err := e.compare(&r, recalled, &w.ref.past); err != nil {
		w.fail("inv/C3", "request %d committed at %v: %v", k.id, e.zxid, err)
	}
	w.inOrder(n, k, e.zxid)
	if l := n.status.Leader; k.leader != 0 && l != 0 && l != k.leader { // a leader that renews its epoch is the same
		w.cover("call answered across a change of leader")
	}
	if k.guest != nil {
		w.guestAnswered(k, e.zxid, r.Err)
	}
}

// inOrder checks when a member answers a call that was committed at z: behind those before it, and when it shows what was done.
func (w *World) inOrder(n *node, k *call, z zab.Zxid) {
	v := &n.watch
	if z <= k.floor {
		w.fail("inv/C2", "request %d is committed at %v, but %v had been answered before it was made", k.id, z, k.floor)
	}
	if k.ticket <= v.lastTicket[k.session] || z <= v.lastAnswer[k.session] {
		w.fail("inv/C4", "member %d answers ticket %d (%v) after ticket %d (%v) of session %x", n.id, k.ticket, z, v.lastTicket[k.session], v.lastAnswer[k.session], k.session)
	}
	v.lastTicket[k.session], v.lastAnswer[k.session] = k.ticket, z
	if n.view == nil || n.view.Zxid() < z {
		w.fail("inv/C5", "member %d answers %v before it shows it", n.id, z)
	}
	v.toldHere = max(v.toldHere, z)
	w.told = max(w.told, z)
}

// coverKinds counts what the operations of an answered request were about.
func (w *World) coverKinds(e *expected) {
	switch e.err {
	case nil:
	case datatree.ErrNoAuth:
		w.cover("refused by an ACL")
	case datatree.ErrInvalidACL:
		w.cover("invalid ACL")
	case datatree.ErrQuotaExceeded:
		w.cover("refused by a quota")
	}
	for _, op := range e.request.ops {
		switch o := op.(type) {
		case datatree.ReapOp:
			if e.err == nil {
				w.cover("reaped")
			} else {
				w.cover("not reaped")
			}
		case datatree.SetACLOp:
			w.coverOf(e, "ACL set")
		case datatree.CreateOp:
			if o.Parents {
				w.coverOf(e, "parents made")
			}
			if o.TTL > 0 {
				w.coverOf(e, "TTL given")
			}
		case datatree.DeleteOp:
			if o.Recursive {
				w.coverOf(e, "subtree deleted")
			}
		}
	}
}

func (w *World) coverOf(e *expected, name string) {
	if e.err == nil {
		w.cover(name)
	}
}

// final judges every call once nothing can happen any more.
func (w *World) final() {
	for _, k := range w.calls {
		e := k.want
		switch {
		case k.lost:
			w.cover("call unknown after a crash")
		case !k.done:
			w.fail("inv/TICKET", "request %d of member %d is never answered", k.id, k.from)
		case k.req != nil && k.req.act != 0 && k.done && (k.err == nil || e != nil && e.zxid != 0 && k.req.act != actClose):
			// judged when it was answered
		case e != nil && !isVerdict(k.err) && !errors.Is(k.err, core.ErrUncertain):
			w.fail("inv/C1", "request %d was refused with %v and is committed at %v", k.id, k.err, e.zxid)
		case e == nil && k.err == nil:
			w.fail("inv/C1", "request %d was acknowledged and is not in the log", k.id)
		}
	}
}

func (w *World) failWith(err error) { panic(failure{err}) }
