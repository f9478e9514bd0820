package ensemble

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/internal/wire"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/zab"
)

// The one goroutine of a node. It waits, drains its queues through the machine into one Output, and carries that out:
//
//	frames ---> lanes ---.
//	callers --> queue ----+--> drain: links, machine.Step --> carryOut: tree and status published,
//	decoded --> loaded ---'       ^                              messages sent, calls answered
//	time -----> tick              '-- Persisted: without a directory, what is written is durable at once
//
// Inputs are stepped in the order Control, Tick (one at most), Log, Bulk, requests. A drain ends after drainBytes or drainTime, so that a heartbeat
// never waits long behind a burst.
const (
	drainBytes = 256 << 10
	drainTime  = time.Millisecond
	looks      = 32 // inputs between two looks at the clock
	leastCalls = 64 // calls that a drain takes whatever else there was
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

	issued, persisted zab.WriteID
	core              core.Status
	ensemble          zab.EnsembleID // that the links know of
	applied           Zxid
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
}

// peerLink is the way to one other member.
type peerLink struct {
	id      ID
	link    *link.Link
	in      link.Output
	cutting bool // its stream has just ended: what the machine said in it goes nowhere
	heard   time.Time
	err     string // the last refusal that was told
}

// initLoop makes the machine.
func (h *host) initLoop() {
	cfg := h.cfg
	// The machine draws from its seed what must never repeat from one run to the next, too: so a seed of the host's alone will not do.
	seed := cfg.Seed ^ randomSeed()
	cc := core.Config{
		Self: cfg.ID, Members: cfg.Members, Join: cfg.Join, InitLimit: cfg.InitLimit, SyncLimit: cfg.SyncLimit,
		MaxInFlight: 2 * mostFlight, // the shell counts
		MaxTail:     tailBytes, Window: windowBytes, ChunkSize: chunkBytes, Seed: seed,
	}
	random(cc.Incarnation[:])
	random(cc.Ensemble[:])
	h.sm = replica{core.NewZnodes(cfg.MaxData)}
	h.m = core.New[*datatree.Tree, core.Result](cc, core.Recovered{}, h.sm)
	h.tree.Store(h.sm.View())
	for _, m := range cfg.Members {
		if m.ID != cfg.ID {
			l := link.New(link.Config{Self: cfg.ID, Name: cfg.Name, StallTicks: max(2*cfg.SyncLimit, 20), Nonce: randomNonce}, m.ID)
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
	return h.loaded.empty()
}

// drain steps what waits, within bounds, and carries it out.
func (h *host) drain() {
	now := time.Now()
	h.bytes, h.count, h.expires = 0, 0, now.Add(drainTime)
	h.stats.turns.Add(1)

	for _, in := range h.loaded.take() {
		h.step(in)
	}
	h.frames(transport.Control, &h.control, now)
	if !now.Before(h.nextTick) && h.failed == nil {
		h.tick(now)
	}
	h.frames(transport.Log, &h.log, now)
	h.frames(transport.Bulk, &h.bulk, now)
	if h.core.Ready {
		h.requests(now)
	}
	h.settle()
	if took := time.Since(now); took > h.cfg.Tick {
		h.stats.stalls.Add(1)
		if h.cfg.Trace.Stalled != nil {
			h.cfg.Trace.Stalled(StallInfo{took})
		}
	}
	if idle := h.idle.Load(); idle != nil && h.inFlight.Load() <= 0 {
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
	h.m.Step(core.Time(time.Since(h.start)), in, &h.out)
	h.issued = max(h.issued, h.out.LastWrite)
	if h.out.Failed != nil {
		h.failed = h.out.Failed
	}
}

func (h *host) tick(now time.Time) {
	for i := range h.links {
		h.links[i].link.Tick(&h.links[i].in)
		h.linkDone(&h.links[i])
	}
	h.step(&core.Tick{Wall: now.UnixMilli()})
	h.nextTick = h.nextTick.Add(h.cfg.Tick)
	if !now.Before(h.nextTick) {
		h.nextTick = now.Add(h.cfg.Tick) // a pause is no reason to hurry
	}
	if !h.core.Ready {
		h.weed()
	}
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
		p.cutting = false
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
		msg, err := wire.Decode(m.Bytes)
		if err != nil {
			h.cfg.Logger.Warn("ensemble: malformed message", "member", h.cfg.ID, "peer", p.id, "err", err)
			o.Clear()
			p.link.Reset(o)
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
		ticket := h.slots.put(c)
		switch c.kind {
		case write:
			h.request = core.Request{Ticket: ticket, Payload: c.payload, Wall: wall}
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

// settle carries out all that the drain has led to.
func (h *host) settle() {
	for {
		if h.issued > h.persisted && h.failed == nil {
			h.persisted = h.issued
			h.step(&core.Persisted{Upto: h.persisted})
			continue
		}
		h.carryOut()
		if h.core.Ensemble != h.ensemble {
			h.ensemble = h.core.Ensemble
			h.cfg.Logger.Info("ensemble: belongs to an ensemble", "member", h.cfg.ID, "ensemble", fmt.Sprintf("%x", h.core.Ensemble))
			for i := range h.links {
				h.links[i].link.SetEnsemble(h.core.Ensemble, &h.links[i].in)
				h.linkDone(&h.links[i])
			}
			continue
		}
		if h.issued == h.persisted || h.failed != nil {
			return
		}
	}
}

// carryOut does what the Output says: state, then status, then messages and answers.
func (h *host) carryOut() {
	o := &h.out
	if n := len(o.Writes); n > 0 {
		h.logged(o)
	}
	if o.Published {
		h.tree.Store(o.State)
		if z := o.State.Zxid(); z != h.applied {
			h.applied = z
			h.waiters.wake(z)
			if h.cfg.Trace.Applied != nil {
				h.cfg.Trace.Applied(AppliedInfo{z, o.State.Len()})
			}
		}
	}
	if o.Changed {
		h.statusChanged(o.Status)
	}
	h.send(o.Sends)
	h.answer(o.Replies)
	for _, l := range o.Loads {
		h.load(l)
	}
	o.Reset()
}

func (h *host) logged(o *output) {
	info := LogInfo{}
	for i := range o.Writes {
		if r := &o.Writes[i]; r.Kind == zab.RecordEntry {
			if info.Entries == 0 {
				info.First = r.Entry.Zxid
			}
			info.Last = r.Entry.Zxid
			info.Entries++
			info.Bytes += len(r.Entry.Data)
		}
	}
	if info.Entries == 0 {
		return
	}
	h.stats.logged.Add(uint64(info.Entries))
	if h.cfg.Trace.Proposed != nil {
		h.cfg.Trace.Proposed(info)
	}
	if h.cfg.Trace.Persisted != nil {
		h.cfg.Trace.Persisted(info)
	}
}

func (h *host) send(sends []core.Send) {
	for i := range sends {
		s := &sends[i]
		p := h.peer(s.To)
		if p == nil || p.cutting || !p.link.Up() {
			continue
		}
		b, err := wire.Append(h.buf[:0], s.Message)
		if err != nil {
			h.failed = errors.Join(h.failed, fmt.Errorf("ensemble: encoding: %w", err))
			return
		}
		h.buf = b
		if err := p.link.Send(link.Class(s.Class), b, &h.sending); err != nil {
			h.cfg.Logger.Error("ensemble: message not sent", "member", h.cfg.ID, "peer", p.id, "bytes", len(b), "err", err)
			continue
		}
		for _, f := range h.sending.Frames {
			h.transmit(p.id, f)
		}
		h.sending.Clear()
	}
	if cap(h.buf) > 1<<20 {
		h.buf = nil
	}
}

// answer gives replies to their callers.
func (h *host) answer(replies []core.Reply[core.Result]) {
	if len(replies) == 0 {
		return
	}
	now, refused := time.Now(), 0
	for i := range replies {
		r := &replies[i]
		c := h.slots.take(r.Ticket)
		if c == nil {
			continue
		}
		h.stats.latency.add(now.Sub(c.begin))
		c.result, c.zxid, c.err = r.Result, r.Zxid, r.Err
		if r.Err != nil {
			refused++
			c.err = h.errorOf(c, r.Err)
		}
		h.inFlight.Add(-1)
		c.finish()
	}
	h.stats.replies.Add(uint64(len(replies)))
	h.stats.refused.Add(uint64(refused))
}

// errorOf makes the core's error the caller's.
func (h *host) errorOf(c *call, err error) error {
	switch {
	case errors.Is(err, core.ErrOverloaded):
		return ErrOverloaded
	case errors.Is(err, core.ErrNotLeading):
		return ErrNotLeading
	case h.failed != nil:
		return c.ended(h.failed)
	}
	return err
}

// ended is the error of a call that the end of the node leaves without an answer.
func (c *call) ended(why error) error {
	err := error(ErrClosed)
	if why != nil {
		err = errors.Join(err, why)
	}
	if c.kind == write && c.state.Load() != waiting {
		err = errors.Join(err, ErrUncertain)
	}
	return err
}

// statusChanged publishes what the machine says of itself.
func (h *host) statusChanged(s core.Status) {
	old := h.core
	h.core = s
	tr := h.cfg.Trace
	if s.Role != old.Role || s.Leader != old.Leader || s.Epoch != old.Epoch {
		if s.Role == Looking && old.Role != Looking {
			h.stats.elections.Add(1)
		}
		h.cfg.Logger.Info("ensemble: role", "member", h.cfg.ID, "role", s.Role, "leader", s.Leader, "epoch", s.Epoch)
		if tr.RoleChanged != nil {
			tr.RoleChanged(RoleChange{old.Role, s.Role, s.Leader, s.Epoch})
		}
	}
	if tr.PeerChanged != nil {
		for i, p := range s.Peers {
			if i < len(old.Peers) && p.Linked != old.Peers[i].Linked || i >= len(old.Peers) && p.Linked {
				tr.PeerChanged(PeerChange{Peer: p.ID, Reachable: p.Linked})
			}
		}
	}
	if s.Session != old.Session {
		h.session.Store(&Session{client{h}, SessionID(s.Session)})
	}
	if s.Ready && !old.Ready {
		h.cfg.Logger.Info("ensemble: ready", "member", h.cfg.ID, "zxid", s.Applied)
		if tr.Synced != nil {
			tr.Synced(SyncedInfo{s.Leader, s.Epoch, s.Applied})
		}
		if !h.serves.Load() {
			h.serves.Store(true)
			close(h.served)
		}
	}
	h.publish(Status{
		ID: h.cfg.ID, Leader: s.Leader, Role: s.Role, Ready: s.Ready, Reason: reasonOf(s), Epoch: s.Epoch,
		Logged: s.Logged, Committed: s.Committed, Applied: s.Applied, Peers: h.peerStatus(s),
	})
}

func reasonOf(s core.Status) Reason {
	switch {
	case s.Ready:
		return 0
	case s.Reason == core.Synchronising:
		return Synchronising
	case s.Reason == core.Blank:
		return Blank
	}
	return NoQuorum
}

func (h *host) peerStatus(s core.Status) []PeerStatus {
	list := make([]PeerStatus, 0, len(h.links))
	for _, p := range s.Peers {
		x := PeerStatus{ID: p.ID, Role: Stopped, Reachable: p.Linked}
		if p.Linked {
			x.Role = Role(p.State) // the values are the same
		}
		if l := h.peer(p.ID); l != nil {
			x.Heard = l.heard
		}
		if s.Role == Leading && s.Logged > p.Acked && s.Logged.Epoch() == p.Acked.Epoch() {
			x.Lag = uint64(s.Logged - p.Acked)
		}
		list = append(list, x)
	}
	return list
}

// load decodes a snapshot beside the loop.
func (h *host) load(l core.Load) {
	h.loaded.begin()
	go func() {
		state, err := core.NewZnodes(h.cfg.MaxData).Decode(l.Snapshot.Chunks) // not of h.sm, which goes on meanwhile
		h.loaded.put(&core.Loaded{ID: l.ID, State: state, Err: err})
		h.wakeUp()
	}()
}

// loads is what came of snapshots.
type loads struct {
	mu    sync.Mutex
	list  []*core.Loaded
	group sync.WaitGroup
}

func (l *loads) begin() { l.group.Add(1) }

func (l *loads) put(x *core.Loaded) {
	l.mu.Lock()
	l.list = append(l.list, x)
	l.mu.Unlock()
	l.group.Done()
}

func (l *loads) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list) == 0
}

func (l *loads) take() []*core.Loaded {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
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
	rest = append(h.calls.list[h.calls.next:], rest...)
	rest = h.slots.all(rest)
	for _, c := range rest {
		c.err = c.ended(h.failed)
		h.inFlight.Add(-1)
		c.finish()
	}
	if h.tr != nil {
		if err := h.tr.Close(); err != nil {
			h.cfg.Logger.Warn("ensemble: closing the transport", "member", h.cfg.ID, "err", err)
		}
	}
	h.loaded.group.Wait()
	if h.failed != nil {
		h.cfg.Logger.Error("ensemble: node has failed", "member", h.cfg.ID, "err", h.failed)
	}
	s := h.cell.Load().Status
	s.Role, s.Leader, s.Ready, s.Reason = Stopped, 0, false, Ended
	h.publish(s)
	close(h.done)
}

// slots finds the call of a ticket.
type slots struct {
	list []slot
	free []uint32
}

type slot struct {
	call *call
	turn uint32 // of the slot, so that no ticket comes twice
}

func (s *slots) put(c *call) uint64 {
	var i uint32
	if n := len(s.free); n > 0 {
		i = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		i = uint32(len(s.list))
		s.list = append(s.list, slot{})
	}
	x := &s.list[i]
	x.turn++
	x.call = c
	return uint64(x.turn)<<32 | uint64(i)
}

func (s *slots) take(ticket uint64) *call {
	i := uint32(ticket)
	if int(i) >= len(s.list) || s.list[i].turn != uint32(ticket>>32) {
		return nil
	}
	c := s.list[i].call
	s.list[i].call = nil
	if c != nil {
		s.free = append(s.free, i)
	}
	return c
}

// all appends what has no answer.
func (s *slots) all(to []*call) []*call {
	for _, x := range s.list {
		if x.call != nil {
			to = append(to, x.call)
		}
	}
	return to
}
