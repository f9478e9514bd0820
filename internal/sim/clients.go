package sim

import (
	"errors"
	"slices"

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
	kind   int
	id     uint64 // of the op
	client int
	from   quorum.ID
	run    uint32
	ticket uint64
	floor  zab.Zxid // the greatest position that anybody had been told when it was made
	epoch  uint32   // of its member then
	handed bool     // to the machine
	lost   bool     // its member's run ended first
	done   bool
	err    error
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
	w.calls = append(w.calls, k)
	n.put(w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.Request{Ticket: k.ticket, Payload: randomOp(w.load, k.id), Wall: w.wallClock(n)}})
}

func (w *World) newCall(n *node, kind int) *call {
	n.ticket++
	k := &call{kind: kind, from: n.id, run: n.run, ticket: n.ticket, floor: w.told, client: -1, epoch: n.status.Epoch}
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
	if n.view.zxid < n.watch.toldHere {
		w.fail("inv/C5", "member %d shows %v after it has answered a call at %v", n.id, n.view.zxid, n.watch.toldHere)
	}
	if err := w.ref.check(n.view); err != nil {
		w.failWith(err)
	}
}

// answered checks a reply.
func (w *World) answered(n *node, r core.Reply[any]) {
	k := n.calls[r.Ticket]
	if k == nil {
		w.fail("inv/TICKET", "member %d answers ticket %d, which does not wait for an answer", n.id, r.Ticket)
	}
	delete(n.calls, r.Ticket)
	k.done, k.err = true, r.Err
	if k.client >= 0 {
		n.clients[k.client].waits = false
	}
	switch k.kind {
	case callTransfer:
		return
	case callSync:
		if r.Err == nil {
			w.cover("sync")
			if r.Zxid < k.floor {
				w.fail("inv/C6", "sync at member %d gives %v, but %v had been answered before it began", n.id, r.Zxid, k.floor)
			}
			if n.view == nil || n.view.zxid < r.Zxid {
				w.fail("inv/C6", "sync at member %d gives %v, which is not applied there", n.id, r.Zxid)
			}
		}
		return
	}
	if r.Err != nil && !slices.Contains(verdicts[:], r.Err) {
		w.cover("call refused")
		return
	}
	if r.Err != nil {
		w.cover("verdict refused")
	}
	e := w.ref.byID[k.id]
	if e == nil {
		w.fail("inv/C1", "request %d is answered at member %d (%v, %v) and not committed", k.id, n.id, r.Result, r.Err)
	}
	if e.err != r.Err {
		w.fail("inv/C3", "request %d committed at %v is answered %v, the reference says %v", k.id, e.zxid, r.Err, e.err)
	}
	res, ok := r.Result.(Result)
	if r.Err == nil && (!ok || res != e.result) {
		w.fail("inv/C3", "request %d committed at %v is answered %+v, the reference says %+v", k.id, e.zxid, r.Result, e.result)
	}
	if e.zxid <= k.floor {
		w.fail("inv/C2", "request %d is committed at %v, but %v had been answered before it was made", k.id, e.zxid, k.floor)
	}
	if k.ticket <= n.watch.lastTicket || e.zxid <= n.watch.lastAnswer {
		w.fail("inv/C4", "member %d answers ticket %d (%v) after ticket %d (%v)", n.id, k.ticket, e.zxid, n.watch.lastTicket, n.watch.lastAnswer)
	}
	n.watch.lastTicket, n.watch.lastAnswer = k.ticket, e.zxid
	if n.view == nil || n.view.zxid < e.zxid {
		w.fail("inv/C5", "member %d answers %v before it shows it", n.id, e.zxid)
	}
	n.watch.toldHere = max(n.watch.toldHere, e.zxid)
	w.told = max(w.told, e.zxid)
	if k.epoch != 0 && n.status.Epoch != k.epoch {
		w.cover("call answered across a change of leader")
	}
}

// final judges every call once nothing can happen any more.
func (w *World) final() {
	for _, k := range w.calls {
		e := w.ref.byID[k.id]
		switch {
		case k.lost:
			w.cover("call unknown after a crash")
		case !k.done:
			w.fail("inv/TICKET", "request %d of member %d is never answered", k.id, k.from)
		case e != nil && k.err != nil && e.err != k.err && errors.Is(k.err, core.ErrOverloaded):
			w.fail("inv/C1", "request %d was refused with %v and is committed at %v", k.id, k.err, e.zxid)
		case e == nil && k.err == nil:
			w.fail("inv/C1", "request %d was acknowledged and is not in the log", k.id)
		}
	}
}

func (w *World) failWith(err error) { panic(failure{err}) }
