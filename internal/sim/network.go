package sim

import (
	"github.com/ensemble-go/ensemble/quorum"
)

// pair is what two members have between them: a best-effort way for frames in each direction, and a connection in the sense of a transport, whose end
// may be told to one side, to both, or to none.
type pair struct {
	a, b   int // a < b
	cut    [2]int
	number uint64     // of the connection
	broken uint64     // what was sent on this connection or an earlier one is lost
	until  Time       // nothing is carried before: the transport dials
	floor  [2][3]Time // when the last frame of the direction and class arrives
	past   [2][pastFrames]parcel
	sent   [2]int
}

// pastFrames is how many frames of a direction are kept, to be repeated later.
const pastFrames = 64

// parcel is a frame that was sent.
type parcel struct {
	class uint8
	bytes []byte
}

func (p *pair) end(node int) int {
	if node == p.a {
		return 0
	}
	return 1
}

// ends are the members at which the directions begin.
func (p *pair) ends() [2]int { return [2]int{p.a, p.b} }

func (w *World) pair(i, j int) *pair { return w.pairs[min(i, j)*len(w.nodes)+max(i, j)] }

func (w *World) delay() Time {
	d := between(w.net, w.cfg.NetMin, w.cfg.NetMax)
	if w.cfg.NetSlow > 0 && w.net.IntN(1000) < w.cfg.NetSlow {
		d += between(w.net, 0, w.cfg.NetLate)
	}
	return d
}

// in reports whether a chance of so many in 100 000 comes about. There is none after the faults.
func (w *World) in(chance int) bool {
	return chance > 0 && w.healed == 0 && w.net.IntN(100_000) < chance
}

// transmit puts a frame on its way. Its bytes are the link's.
func (w *World) transmit(n *node, to quorum.ID, class uint8, bytes []byte) {
	p := w.pair(n.idx, int(to)-1)
	dir := p.end(n.idx)
	x := parcel{class, w.keep(bytes)}
	p.past[dir][p.sent[dir]%pastFrames] = x
	p.sent[dir]++
	switch {
	case p.cut[dir] > 0, w.now < p.until, w.in(w.cfg.FrameLoss):
		return
	case class == 0 && w.in(100*w.cfg.CtlLoss):
		return
	}
	w.fly(p, dir, x, w.in(w.cfg.FrameSwap))
	if w.in(w.cfg.FrameTwice) {
		w.fly(p, dir, x, true)
	}
	if w.in(w.cfg.FrameOld) {
		w.repeat(p, dir)
	}
}

// fly lets a frame arrive after those sent before it, or loose: whenever it likes.
func (w *World) fly(p *pair, dir int, x parcel, loose bool) {
	at := w.now + w.delay()
	if loose {
		at += between(w.net, 0, 2*w.cfg.Tick)
	} else {
		at = max(at, p.floor[dir][x.class])
		p.floor[dir][x.class] = at
	}
	w.push(event{at: at, kind: evFrame, node: int32(p.ends()[1-dir]), dir: uint8(dir), cls: x.class, a: p.number, pair: p, bytes: x.bytes})
}

// repeat sends some of the frames once more that were sent before, perhaps on a connection that is no more, or by a former run.
func (w *World) repeat(p *pair, dir int) {
	have := min(p.sent[dir], pastFrames)
	for range min(have, 1+w.net.IntN(8)) {
		w.cover("old frame repeated")
		w.fly(p, dir, p.past[dir][w.net.IntN(have)], true)
	}
}

// keep copies bytes to memory that is never used again.
func (w *World) keep(bytes []byte) []byte {
	if len(bytes) > cap(w.slab)-len(w.slab) {
		w.slab = make([]byte, 0, max(len(bytes), 32<<10))
	}
	start := len(w.slab)
	w.slab = append(w.slab, bytes...)
	return w.slab[start:len(w.slab):len(w.slab)]
}

// arrive takes a frame to a member, whichever run of it there is now.
func (w *World) arrive(e *event) {
	n := w.nodes[e.node]
	if !n.up || e.a <= e.pair.broken {
		return
	}
	n.put(w, inbound{lane: lane(e.cls), from: e.pair.ends()[e.dir], class: e.cls, frame: e.bytes})
}

func lane(class uint8) uint8 {
	switch class {
	case 0:
		return laneControl
	case 1:
		return laneLog
	}
	return laneBulk
}

// reset breaks the connection of a pair. If it is hard, what is on its way is lost and it takes a while until there is another. The ends are told at
// different times, or not at all.
func (w *World) reset(p *pair, hard bool) {
	p.number++
	if hard {
		p.broken = p.number - 1
		w.dial(p)
	}
	for end := range p.ends() {
		at := w.now + w.delay()
		switch w.net.IntN(5) {
		case 0:
			at += between(w.net, 0, w.cfg.Tick)
		case 1:
			at += between(w.net, 0, 4*w.cfg.Tick)
		case 2:
			if w.healed == 0 {
				continue
			}
		}
		w.hint(p, end, at)
	}
}

// dial lets nothing through until there is a new connection.
func (w *World) dial(p *pair) {
	at := w.now + between(w.net, w.cfg.DialMin, w.cfg.DialMax)
	for tries := 0; tries < 3 && w.healed == 0 && w.net.IntN(1000) < w.cfg.Refuse; tries++ {
		at += between(w.net, w.cfg.DialMin, w.cfg.DialMax)
	}
	p.until = max(p.until, at)
}

// hint tells one end that its connection broke.
func (w *World) hint(p *pair, end int, at Time) {
	n := w.nodes[p.ends()[end]]
	w.push(event{at: at, kind: evHint, node: int32(n.idx), run: n.run, pair: p})
}

func (w *World) hinted(e *event) {
	n := w.nodes[e.node]
	if n.up && n.run == e.run {
		n.put(w, inbound{lane: laneControl, from: e.pair.ends()[1-e.pair.end(n.idx)], hint: true})
	}
}

// connect begins another connection of a pair while the one before is still in use: what was sent on that arrives too, and some of it twice.
func (w *World) connect(p *pair) {
	w.cover("duplicate connection")
	w.reset(p, false)
	for dir := range p.ends() {
		w.repeat(p, dir)
	}
}

// dropLinks ends all connections of a member that is gone.
func (w *World) dropLinks(n *node) {
	for j := range w.nodes {
		if j != n.idx {
			w.reset(w.pair(n.idx, j), w.net.IntN(2) == 0) // or what left before goes on arriving
		}
	}
}
