package sim

import (
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// Lanes of the queue of inputs, in the order in which the shell steps them.
const (
	lanePersisted uint8 = iota
	laneControl
	laneTick
	laneLog
	laneBulk
	laneMore
	laneRequest
	lanes
)

// inbound waits for a member to step it.
type inbound struct {
	lane   uint8
	class  uint8
	hint   bool // the connection to from broke
	from   int
	frame  []byte
	msg    core.Input // nil: a frame or a hint
	ticket uint64     // of a request
}

// node is one member: its machine, its store and the shell around both.
type node struct {
	id     quorum.ID
	idx    int
	inc    zab.Incarnation
	run    uint32 // grows with every start
	up     bool
	paused bool
	off    bool // it stays down until it is switched on
	calm   Time // nothing that its sessions may suffer from has happened since
	wrote  Time // making of the newest write that it has answered with success
	drift  int
	wall   int64 // offset of the wall clock, in ms

	m     *machine
	sm    *observed
	out   output
	disk  store // what is durable, and what is on its way: what drive must hold
	drive drive
	image store  // what was issued
	past  *store // what the last lost disk held, of a memory that counted

	places   durable.Places
	prior    *store       // disk before the last flush of this run,
	batch    []zab.Record // and what that was about
	lastPos  uint64       // first position of its last batch,
	lastAt   time.Duration
	longTick Time
	resetPos uint64 // of the last RESET that is known

	peers []peerLink
	inbox [lanes][]inbound
	drain bool

	crashIn int // outputs to go until a crash in the middle of one; 0: none
	after   int // what follows that crash

	receives reception
	status   core.Status
	ensemble zab.EnsembleID // that the links know of
	view     *datatree.View
	shown    zab.Zxid         // by this member, in any of its runs: the newest state while it was ready
	held     []*datatree.View // by readers who take their time
	holder   *holder          // of this run's session
	serves   map[uint64]*seat
	clients  []caller
	calls    map[uint64]*call
	ticket   uint64
	watch    watch
}

func (n *node) put(w *World, in inbound) {
	n.inbox[in.lane] = append(n.inbox[in.lane], in)
	if n.paused || n.drain {
		return
	}
	n.drain = true
	if w.cfg.LoopDelay == 0 {
		n.work(w)
		return
	}
	w.push(event{at: w.now + between(w.sched, 0, w.cfg.LoopDelay), kind: evDrain, node: int32(n.idx), run: n.run})
}

// work drains the queue into one Output and carries it out.
func (n *node) work(w *World) {
	n.drain = false
	if !n.up || n.paused {
		return
	}
	n.out.Reset()
	for l := range n.inbox {
		if !n.steps() {
			break
		}
		box := n.inbox[l]
		n.inbox[l] = nil
		for i := range box {
			if !n.steps() {
				break
			}
			n.step(w, &box[i])
		}
		if cap(box) <= 64 && n.inbox[l] == nil {
			clear(box)
			n.inbox[l] = box[:0]
		}
	}
	n.settle(w)
}

// settle carries out all that a drain has led to.
func (n *node) settle(w *World) {
	for n.up {
		more := n.out.More
		n.carryOut(w)
		if !n.up {
			return
		}
		if more {
			n.more(w)
		}
		if !n.tellEnsemble(w) {
			return
		}
	}
}

// more has the machine go on when what else waits has had its turn.
func (n *node) more(w *World) {
	w.cover("applied in several steps")
	if len(n.inbox[laneMore]) > 0 {
		return
	}
	n.inbox[laneMore] = append(n.inbox[laneMore], inbound{lane: laneMore, msg: &core.Continue{}})
	if !n.paused && !n.drain {
		n.drain = true
		w.push(event{at: w.now + between(w.sched, 0, w.cfg.LoopDelay), kind: evDrain, node: int32(n.idx), run: n.run})
	}
}

// step gives one input to the machine, or what it is to the links to these.
func (n *node) step(w *World, in *inbound) {
	if in.msg == nil {
		n.takeFrame(w, in)
		return
	}
	if k := n.calls[in.ticket]; k != nil {
		k.handed, k.handedAt = true, w.now
	}
	if in.lane == laneTick {
		in.msg.(*core.Tick).Now = time.Duration(w.now)
		n.eachPeer(w, func(p *peerLink) { p.link.Tick(&p.in) })
		if !n.steps() {
			return
		}
	}
	n.feed(w, in.msg, 0, in.msg)
}

// feed steps the machine once and checks what it did.
func (n *node) feed(w *World, input core.Input, from quorum.ID, msg any) {
	w.steps++
	w.record(n, input, from, msg)
	writes, sends := len(n.out.Writes), len(n.out.Sends)
	answers := len(n.out.Replies)
	n.m.Step(input, &n.out)
	switch x := input.(type) {
	case *core.Request:
		w.taken(n, x, n.out.Replies[answers:])
	case *core.SyncRequest:
		for _, r := range n.out.Replies[answers:] {
			if r.Ticket == x.Ticket {
				w.overloaded(n, callSync, &r)
			}
		}
	case *core.GiveUp:
		w.gaveUp(n, x)
	}
	for i := writes; i < len(n.out.Writes); i++ {
		w.issued(n, &n.out.Writes[i])
	}
	w.stepped(n, input, from, msg, len(n.out.Writes)-writes, n.out.Sends[sends:])
	w.recorded(n, len(n.out.Writes)-writes, len(n.out.Sends)-sends)
}

// carryOut does what the output says, or only a part of it and then crashes.
func (n *node) carryOut(w *World) {
	out := &n.out
	if k := len(out.Writes); k > 0 && out.Writes[k-1].ID != out.LastWrite {
		w.fail("inv/WRITES", "member %d: LastWrite is %d, the last record has %d", n.id, out.LastWrite, out.Writes[k-1].ID)
	}
	writes, sends, news, replies := out.Writes, out.Sends, out.News, out.Replies
	crash := false
	if n.crashIn > 0 && len(writes)+len(sends) > 0 {
		if n.crashIn--; n.crashIn == 0 {
			crash = true
			writes = writes[:w.sched.IntN(len(writes)+1)]
			sends = sends[:w.sched.IntN(len(sends)+1)]
			if w.sched.IntN(2) == 0 {
				news, replies = nil, nil
			}
		}
	}
	if out.Changed {
		if s := &out.Status; s.Ready != n.status.Ready || s.Epoch != n.status.Epoch || s.Leader != n.status.Leader {
			w.disturbed(n)
		}
		n.status = out.Status
	}
	if out.Published {
		w.publish(n, out.State)
	}
	w.noWayBack(n)
	if len(writes) > 0 {
		n.disk.pending = append(n.disk.pending, writes...)
		for i := range writes {
			n.places.Note(&writes[i])
		}
		w.flush(n)
	}
	for i := range sends {
		w.sendsRight(n, sends[i].To, sends[i].Message) // now that nothing joins them any more
		w.send(n, &sends[i])
	}
	w.sessionNews(n, news)
	for _, r := range replies {
		w.answered(n, r)
	}
	w.offLoop(n, out)
	failed := out.Failed
	if crash {
		w.count(fCrashMiddle)
		w.cover("crash in the middle of an output")
		w.down(n, n.after)
		return
	}
	if failed != nil {
		if !n.watch.broken {
			w.fail("inv/END", "member %d ended by itself: %v", n.id, failed)
		}
		for _, k := range n.calls {
			if k.handed {
				w.fail("inv/TICKET", "member %d ended and leaves ticket %d unanswered", n.id, k.ticket)
			}
		}
		w.down(n, 0)
		return
	}
	out.Reset()
}

// flush starts making durable what is pending, unless that is under way.
func (w *World) flush(n *node) {
	if n.disk.flying > 0 || len(n.disk.pending) == 0 || n.drive.stuck {
		return
	}
	n.disk.flying = len(n.disk.pending)
	at := w.now + between(w.disk, w.cfg.DiskMin, w.cfg.DiskMax)
	if w.healed == 0 && w.cfg.DiskStall > 0 && w.disk.IntN(1000) < w.cfg.DiskStall {
		at += between(w.disk, 0, 20*w.cfg.Tick)
	}
	if at < n.drive.stalled {
		at = n.drive.stalled
		w.cover("flush on a stalled disk")
	}
	w.push(event{at: at, kind: evFlushed, node: int32(n.idx), run: n.run})
}

func (w *World) flushed(n *node) {
	k := n.disk.flying
	batch := n.disk.pending[:k]
	if !n.drive.model() && !w.written(n, batch) {
		return
	}
	upto := batch[k-1].ID
	for i := range batch {
		w.durable(n, &batch[i])
	}
	rest := copy(n.disk.pending, n.disk.pending[k:])
	clear(n.disk.pending[rest:])
	n.disk.pending, n.disk.flying = n.disk.pending[:rest], 0
	w.flush(n)
	n.put(w, inbound{lane: lanePersisted, msg: &core.Persisted{Upto: upto}})
}

// What follows a crash.
const (
	thenRestart = 0
	thenWipe    = 1
	thenNoPower = 2 // it came by a loss of power; then as thenRestart
)

// down crashes a member. What was not told durable may survive up to any record: the log is started again here and says how far, since the checks of
// the others need to know.
func (w *World) down(n *node, then int) {
	if !n.up {
		return
	}
	n.up, n.paused, n.crashIn = false, false, 0
	w.observeCrash(n)
	w.hangUpAll(n)
	n.drive.stalled = 0
	w.fall(n, then == thenNoPower)
	if then == thenWipe && w.mayLose(n) {
		w.losing(n)
		w.count(fWipe)
		w.cover("wipe")
		w.loseDisk(n, zab.Mark{})
	}
	n.m, n.view, n.held, n.status = nil, nil, nil, core.Status{}
	n.inbox = [lanes][]inbound{}
	for _, c := range n.calls {
		c.lost = true
	}
	n.calls, n.serves = nil, nil
	w.dropLinks(n)
	at := w.now + between(w.sched, 0, 2*w.cfg.Tick)
	if w.sched.IntN(4) == 0 {
		at += between(w.sched, 0, 40*w.cfg.Tick)
	}
	if w.healed != 0 {
		at = w.now + between(w.sched, 0, 2*w.cfg.Tick)
	}
	w.push(event{at: at, kind: evRestart, node: int32(n.idx), run: n.run})
}

// mayWipe reports whether the voters that count for certain are a quorum without n, or nothing depends on a memory yet.
func (w *World) mayWipe(n *node) bool {
	if w.left != 0 && !w.isLeft(n) {
		return false // no other of those that serve is to spare
	}
	if n.idx >= w.cfg.Voters {
		return true
	}
	born := false
	for _, m := range w.nodes {
		born = born || m.disk.mark.Born || m.disk.mark.Promised > 0 || slices.ContainsFunc(m.disk.pending, func(r zab.Record) bool { return r.Kind == zab.RecordMark && r.Mark.Born })
	}
	if !born {
		return true
	}
	return w.verifier.Contains(func(id quorum.ID) bool {
		return id != n.id && w.nodes[id-1].disk.mark.Counts && !w.nodes[id-1].spoilt()
	})
}

// restart begins a run with what the store has.
func (w *World) restart(n *node) {
	if n.up || n.off {
		return
	}
	w.count(-1)
	rec := w.recovered(n)
	n.up, n.run = true, n.run+1
	n.drain = false
	n.receives = reception{}
	n.calls, n.serves = map[uint64]*call{}, map[uint64]*seat{}
	d := &n.disk
	n.image = store{mark: d.mark, snap: d.snap, entries: slices.Clone(d.entries), pos: d.pos}
	inc := n.inc
	if d.mark.Incarnation != (zab.Incarnation{}) {
		inc = w.incarnation() // the memory has one; this names the run
	}
	var ensemble zab.EnsembleID
	for i := range ensemble {
		ensemble[i] = byte(w.sched.Uint32())
	}
	cfg := core.Config{
		Self: n.id, Members: w.cfg.members(), InitLimit: w.cfg.InitLimit, SyncLimit: w.cfg.SyncLimit, MaxInFlight: w.cfg.MaxInFlight,
		MaxTail: w.cfg.MaxTail, ReadsLog: w.cfg.ReadsLog, Window: w.cfg.Window, MaxApply: w.cfg.MaxApply, ChunkSize: w.cfg.ChunkSize, MaxCounter: w.cfg.MaxCounter, DigestEvery: w.cfg.DigestEvery, Incarnation: inc, Ensemble: ensemble,
		Seed: w.sched.Uint64(), Run: zab.Incarnation{1, byte(n.id), byte(n.run), byte(n.run >> 8), byte(n.run >> 16)},
	}
	if w.cfg.expires() {
		cfg.Tick, cfg.Timeout = time.Duration(w.cfg.Tick), uint32(w.cfg.Own/ms)
	}
	h := &holder{id: n.id, run: n.run, line: &line{}}
	n.holder = h
	n.sm = &observed{Znodes: core.NewZnodes(w.maxData), self: n.id, mayBe: func() bool { return w.mayWipe(n) }, opens: func(run zab.Incarnation) { w.ref.bearers[run] = h }, judged: w.ref.judged}
	if w.cfg.Guests > 0 {
		var secret session.Key
		for i := range secret {
			secret[i] = byte(w.visiting.Uint32())
		}
		n.sm.SetSecret(secret)
	}
	if w.began != nil {
		w.began(n)
	}
	n.m = core.New(cfg, rec, n.sm)
	base := zab.Zxid(0)
	if rec.Snapshot != nil {
		base = rec.Snapshot.Zxid
	}
	n.watch.began(n, base)
	n.places, n.longTick, n.resetPos = n.drive.found.Places, w.tick(n), 0
	if r := n.drive.rec.Reset; r != nil {
		n.resetPos = r.Pos
	}
	n.out.Reset()
	w.push(event{at: w.now + w.tick(n), kind: evTick, node: int32(n.idx), run: n.run})
	n.initPeers(w)
	n.eachPeer(w, func(p *peerLink) { p.link.Open(&p.in) })
	for i := range n.clients {
		n.clients[i] = caller{}
		w.push(event{at: w.now + between(w.load, 0, w.cfg.Think), kind: evClient, node: int32(n.idx), run: n.run, a: uint64(i)})
	}
}

// tick is the length of a tick of n in virtual time.
func (w *World) tick(n *node) Time { return w.cfg.Tick * 1000 / Time(1000+n.drift) }

func (w *World) ticked(n *node) {
	w.push(event{at: w.now + w.tick(n), kind: evTick, node: int32(n.idx), run: n.run})
	if w.acked(n); !n.up {
		return
	}
	if w.cfg.KeepEvery > 0 && w.load.IntN(w.cfg.KeepEvery) == 0 {
		w.beginSnapshot(n)
	}
	if len(n.inbox[laneTick]) == 0 { // at most one at a time, however long the pause was
		n.watch.ticks++
		w.checkQueues(n)
		n.put(w, inbound{lane: laneTick, msg: &core.Tick{Wall: w.wallClock(n)}})
	}
}

func (w *World) wallClock(n *node) int64 {
	if w.wall != nil {
		return w.wall()
	}
	return 1_700_000_000_000 + int64(w.now/ms) + n.wall
}
