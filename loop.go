package ensemble

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/byid"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/internal/wire"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/zab"
)

// The one goroutine of a node. It waits, drains its queues through the machine into one Output, and carries that out:
//
//	frames ---> lanes ---.
//	callers --> queue ----+--> drain: links, machine.Step --> carryOut: tree and status published,
//	read, taken -> loaded '       ^                              messages sent, calls answered
//	writer ---> news              |   Writes to the writer, and at times a snapshot to be kept
//	time -----> tick              '-- Persisted: without a directory, what is written is durable at once
//
// Inputs are stepped in the order Persisted, loaded, Control, Tick (one at most), Log, Bulk, what is left to be applied, requests. A drain ends after drainBytes or drainTime, so that a heartbeat
// never waits long behind a burst.
const (
	drainBytes = 256 << 10
	applyBytes = drainBytes // that one step applies: a start from a long log has many, and answers between them
	drainTime  = time.Millisecond
	looks      = 32 // inputs between two looks at the clock
	leastCalls = 64 // calls that a drain takes whatever else there was
	manyCalls  = 16 // in flight: a loop that was woken lets others run first
)

type (
	machine = core.Machine[*datatree.Tree, core.Result]
	output  = core.Output[*datatree.Tree, core.Result]
)

// loop is what only the node's goroutine touches.
type loop struct {
	m     *machine
	sm    replica
	out   output
	links []peerLink

	control, log, bulk taken[frame]
	calls              taken[*call]
	slots              slots
	open               byid.Map[served] // sessions that this node serves
	left               *Session         // the last of the node's own that leaveEnded gave up
	began              time.Time        // from when the machine counts

	more              bool // the machine has more to apply
	issued, persisted zab.WriteID
	unproven          []logged // handed to the writer, and to be told to the trace when it is durable
	places            durable.Places
	grown             int64         // bytes of the log that were applied since the last snapshot
	pause             time.Duration // before a snapshot is tried again; 0: the last did not fail
	retryAt           time.Time
	core              core.Status
	damage            *DamageInfo // to be told to the trace
	waited            int         // ticks impaired, without a leader
	hasServed         bool
	ensemble          zab.EnsembleID // that the links know of
	applied           Zxid
	toldCommitted     Zxid // to the trace
	reaper            reaper
	nextTick          time.Time
	timer             *time.Timer
	failed            error

	// Of one drain.
	bytes, count int
	expires      time.Time

	// Inputs and buffers that are used again and again.
	receive core.Receive
	request core.Request
	buf     []byte
	sending link.Output
	decoder wire.Decoder
}

// peerLink is the way to one other member.
type peerLink struct {
	id      ID
	link    *link.Link
	in      link.Output
	cutting bool // its stream has just ended: what the machine said in it goes nowhere
	broken  bool // its stream lacks a message and has to end
	heard   time.Time
	err     string // the last refusal that was told
}

// initLoop makes the machine. It begins with what was found and with the state of its snapshot, and may say that it cannot.
func (h *host) initLoop(f durable.Found, state *core.Znodes, tail int) {
	cfg := h.cfg
	cc := core.Config{
		Self: cfg.ID, Members: cfg.Members, Join: cfg.Join, InitLimit: cfg.InitLimit, SyncLimit: cfg.SyncLimit,
		MaxInFlight: 2 * mostFlight, // the shell counts
		MaxTail:     cmp.Or(tail, tailBytes), ReadsLog: h.writer != nil, Window: windowBytes, MaxApply: applyBytes, ChunkSize: chunkBytes, Seed: cfg.Seed,
	}
	var secret session.Key
	random(secret[:])
	cc.Tick, cc.Timeout = cfg.Tick, cfg.granted(cfg.SessionTimeout)
	h.began = time.Now()
	h.leases.began = h.began
	random(cc.Run[:])
	random(cc.Incarnation[:])
	random(cc.Ensemble[:])
	h.sm = replica{state}
	h.sm.SetSecret(secret)
	h.m = core.New[*datatree.Tree, core.Result](cc, f.Recovered, h.sm)
	h.places = f.Places
	h.tree.Store(h.sm.View())
	h.watches.feed = h.sm.Tree().Feed(cfg.WatchBuffer, cfg.WatchHistory)
	members := derivedID("membership", "", cfg.Members, nil)
	for _, m := range cfg.Members {
		if m.ID != cfg.ID {
			l := link.New(link.Config{Self: cfg.ID, Name: cfg.Name, Members: members, StallTicks: max(2*cfg.SyncLimit, 20), Nonce: randomNonce}, m.ID)
			h.links = append(h.links, peerLink{id: m.ID, link: l})
		}
	}
}

// run is the goroutine.
func (h *host) run() {
	now := time.Now()
	h.timer = time.NewTimer(h.cfg.Tick)
	defer h.timer.Stop()
	h.nextTick = now
	for i := range h.links {
		h.links[i].link.Open(&h.links[i].in)
		h.linkDone(&h.links[i])
	}
	if h.damage != nil && h.cfg.Trace.Damaged != nil {
		h.cfg.Trace.Damaged(*h.damage)
	}
	for h.failed == nil && h.wait() {
		h.drain()
	}
	h.end()
}

// wait returns when there is something to do. It reports false when the node is to be closed.
func (h *host) wait() bool {
	select {
	case <-h.stop:
		return false
	default:
	}
	if !h.idleNow() {
		return true
	}
	h.sleeping.Store(true)
	if !h.idleNow() { // something was put before anybody could see that we sleep
		h.sleeping.Store(false)
		return true
	}
	h.timer.Reset(time.Until(h.nextTick))
	ok := true
	select {
	case <-h.wake:
	case <-h.timer.C:
	case <-h.stop:
		ok = false
	}
	h.sleeping.Store(false)
	if ok && h.inFlight.calls() >= manyCalls {
		runtime.Gosched() // the callers that are about to call join this turn
	}
	return ok
}

// idleNow reports whether no queue holds anything.
func (h *host) idleNow() bool {
	if !h.control.empty() || !h.log.empty() || !h.bulk.empty() || h.core.Ready && !h.calls.empty() {
		return false
	}
	for i := range h.lanes {
		l := &h.lanes[i]
		l.mu.Lock()
		n := len(l.frames)
		l.mu.Unlock()
		if n > 0 {
			return false
		}
	}
	if h.core.Ready {
		h.queue.mu.Lock()
		n := len(h.queue.list)
		h.queue.mu.Unlock()
		if n > 0 {
			return false
		}
	}
	if h.writer != nil {
		if upto, err := h.writer.news(); upto > h.persisted || err != nil {
			return false
		}
		if h.keeper.waits() {
			return false
		}
	}
	return !h.more && h.loaded.empty() && !h.backups.waits() && h.watches.waiting.Load() == 0
}

// drain steps what waits, within bounds, and carries it out.
func (h *host) drain() {
	now := time.Now()
	h.bytes, h.count, h.expires = 0, 0, now.Add(drainTime)
	h.stats.turns.Add(1)

	h.persist()
	for _, in := range h.loaded.take() {
		h.step(in)
	}
	h.frames(transport.Control, &h.control, now)
	ticked := !now.Before(h.nextTick) && h.failed == nil
	if ticked {
		h.tick(now)
	}
	h.frames(transport.Log, &h.log, now)
	h.frames(transport.Bulk, &h.bulk, now)
	if h.more {
		h.more = false
		h.step(&core.Continue{})
	}
	if h.core.Ready {
		h.requests(now)
	}
	h.settle()
	h.serveWatches()
	h.keep()
	h.backUp()
	if ticked && h.failed == nil {
		h.stats.serves(h.m.Zab().Served())
		h.statusChanged(h.m.Status()) // what moves all the time, such as how far the peers are
	}
	if took := time.Since(now); took > h.cfg.Tick {
		h.stats.stalls.Add(1)
		if h.cfg.Trace.Stalled != nil {
			h.cfg.Trace.Stalled(StallInfo{took})
		}
	}
	if idle := h.idle.Load(); idle != nil && h.inFlight.calls() <= int64(h.reaper.flying) {
		select {
		case <-*idle:
		default:
			close(*idle)
		}
	}
}

// full reports whether the drain has had its share.
func (h *host) full(size int) bool {
	h.bytes += size
	h.count++
	return h.bytes >= drainBytes || h.count%looks == 0 && time.Now().After(h.expires)
}

func (h *host) step(in core.Input) {
	if h.failed != nil {
		return
	}
	h.stats.steps.Add(1)
	h.m.Step(in, &h.out)
	h.issued = max(h.issued, h.out.LastWrite)
	if h.out.Failed != nil {
		h.failed = h.out.Failed
		if errors.Is(h.failed, core.ErrSuperseded) {
			h.failed = fmt.Errorf("ensemble: %w: %w", ErrSuperseded, ErrSessionExpired)
		}
	}
}

func (h *host) tick(now time.Time) {
	for i := range h.links {
		h.links[i].link.Tick(&h.links[i].in)
		h.linkDone(&h.links[i])
	}
	h.step(&core.Tick{Wall: now.UnixMilli(), Now: now.Sub(h.began)})
	h.reap(now)
	h.watches.feed.Tidy()
	h.nextTick = h.nextTick.Add(h.cfg.Tick)
	if !now.Before(h.nextTick) {
		h.nextTick = now.Add(h.cfg.Tick) // a pause is no reason to hurry
	}
	if !h.core.Ready {
		h.weed()
	}
	h.alone()
}

// frames gives what has arrived in one class to the links, and what they make of it to the machine.
func (h *host) frames(class transport.Class, t *taken[frame], now time.Time) {
	if t.empty() {
		h.lanes[class].take(t)
	}
	for !t.empty() && h.failed == nil {
		f := t.pop()
		p := h.peer(f.from)
		if p == nil {
			continue
		}
		if f.hint {
			p.link.Reset(&p.in)
		} else {
			p.heard = now
			p.link.Receive(link.Class(class), f.bytes, &p.in)
		}
		h.linkDone(p)
		if h.full(len(f.bytes) + frameBytes) {
			return
		}
	}
}

func (h *host) peer(id ID) *peerLink {
	for i := range h.links {
		if h.links[i].id == id {
			return &h.links[i]
		}
	}
	return nil
}

// linkDone carries out what a link wants.
func (h *host) linkDone(p *peerLink) {
	o := &p.in
	if o.Reset || o.Up {
		p.cutting = true
		h.carryOut()
		p.cutting, p.broken = false, false
	}
	for _, f := range o.Frames {
		h.transmit(p.id, f)
	}
	if o.Reset && !o.Up {
		h.step(&core.Lost{Peer: p.id})
	}
	if o.Up {
		p.err = ""
		h.step(&core.Linked{Peer: p.id})
	}
	if o.Err != nil && o.Err.Error() != p.err {
		p.err = o.Err.Error()
		h.cfg.Logger.Warn("ensemble: peer refused", "member", h.cfg.ID, "peer", p.id, "err", o.Err)
		if h.cfg.Trace.PeerChanged != nil {
			h.cfg.Trace.PeerChanged(PeerChange{Peer: p.id, Err: o.Err})
		}
	}
	for _, m := range o.Messages {
		msg, err := h.decoder.Decode(m.Bytes)
		if err != nil {
			h.cfg.Logger.Warn("ensemble: malformed message", "member", h.cfg.ID, "peer", p.id, "err", err)
			o.Clear()
			p.link.Fault(o)
			h.linkDone(p)
			return
		}
		h.receive = core.Receive{From: p.id, Message: msg}
		h.step(&h.receive)
	}
	o.Clear()
}

func (h *host) transmit(to ID, f link.Frame) {
	h.stats.framesSent.Add(1)
	h.stats.bytesSent.Add(uint64(len(f.Bytes)))
	h.tr.Send(to, transport.Class(f.Class), f.Bytes)
}

// requests steps calls. They stay in the queue until the node can serve: then one whose caller has gone was never handed to anybody.
func (h *host) requests(now time.Time) {
	wall, taken := now.UnixMilli(), 0
	for h.failed == nil {
		if h.calls.empty() {
			if h.queue.take(&h.calls); h.calls.empty() {
				break
			}
		}
		c := h.calls.pop()
		if !c.state.CompareAndSwap(waiting, handed) {
			continue
		}
		taken++
		if c.kind == giveUp || c.kind == leaveOff {
			x := &core.GiveUp{Last: c.kind == leaveOff}
			if c.s != nil {
				x.Session, x.Generation = uint64(c.s.id), c.s.generation
			}
			h.step(x)
			continue
		}
		if c.s == nil {
			h.leaveEnded()
		}
		ticket := h.slots.put(c)
		switch c.kind {
		case write, opening:
			h.request = core.Request{Ticket: ticket, Payload: c.payload, Wall: wall}
			if c.kind == opening {
				c.handed = now
			} else if c.s != nil {
				h.request.Session, h.request.Generation = uint64(c.s.id), c.s.generation
			}
			h.step(&h.request)
		case syncing:
			h.step(&core.SyncRequest{Ticket: ticket})
		case transfer:
			h.step(&core.TransferRequest{Ticket: ticket, To: c.to})
		}
		if h.full(len(c.payload)+frameBytes) && taken >= leastCalls {
			break
		}
	}
	if taken > 0 {
		h.stats.requests.Add(uint64(taken))
		h.stats.batch.add(time.Duration(taken))
	}
}

// leaveEnded gives up the node's own session if its Context has ended: a call on it that comes before the word of that, whose caller may have seen the end, is
// for the next one.
func (h *host) leaveEnded() {
	if s := h.session.Load(); s != h.left && s.id != 0 && s.ending.Load() != nil {
		h.left = s
		h.step(&core.GiveUp{Session: uint64(s.id), Generation: s.generation})
	}
}

// weed drops calls whose callers have gone, while no call can be stepped.
func (h *host) weed() {
	rest := h.calls.list[:0:0]
	for _, c := range h.calls.list[h.calls.next:] {
		if c.state.Load() == waiting {
			rest = append(rest, c)
		}
	}
	h.queue.mu.Lock()
	list := h.queue.list
	h.queue.list = nil
	h.queue.mu.Unlock()
	for _, c := range list {
		if c.state.Load() == waiting {
			rest = append(rest, c)
		}
	}
	h.calls = taken[*call]{list: rest}
}

// end answers everybody and lets go of everything.
func (h *host) end() {
	h.refusing.Store(true)
	h.serves.Store(false)
	h.err = h.failed
	h.queue.mu.Lock()
	h.queue.closed = true
	rest := h.queue.list
	h.queue.list = nil
	h.queue.mu.Unlock()
	queued := append(h.calls.list[h.calls.next:], rest...)
	for i, c := range h.slots.all(queued) {
		err := c.ended(h.failed) // it depends on whether the call was handed over, which the claim makes one forget
		ours := c.claim()
		if ours || i >= len(queued) { // who leaves the queue counts itself out
			h.inFlight.leave(c)
		}
		if ours {
			c.err = err
			c.signal()
		}
	}
	for _, s := range h.open.Sorted() {
		s.end(closedErrOf(h.failed))
	}
	h.leases.stop()
	if h.tr != nil {
		if err := h.tr.Close(); err != nil {
			h.cfg.Logger.Warn("ensemble: closing the transport", "member", h.cfg.ID, "err", err)
		}
	}
	h.receiver.close()
	h.loaded.group.Wait()
	if h.writer != nil {
		h.keeper.end(closedErrOf(h.failed))
		if err := errors.Join(h.receiver.closeFile(), h.writer.close()); err != nil && h.failed == nil {
			h.cfg.Logger.Error("ensemble: closing the directory", "member", h.cfg.ID, "err", err)
		}
	}
	h.backups.end(closedErrOf(h.failed))
	if h.failed != nil {
		h.cfg.Logger.Error("ensemble: node has failed", "member", h.cfg.ID, "err", h.failed)
	}
	s := h.cell.Load().Status
	s.Role, s.Leader, s.Ready, s.Reason = Stopped, 0, false, Ended
	h.publish(s)
	h.watches.end()
	close(h.done)
}
