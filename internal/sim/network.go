package sim

import (
	"github.com/ensemble-go/ensemble/internal/core"
)

// conn is one connection of a pair. End 0 is at the lower member, and direction 0 begins there.
type conn struct {
	id    uint64
	pair  *pair
	open  [2]bool    // the end was told Linked and nothing since
	over  [2]bool    // the end is done with it
	dead  bool       // nothing is carried any more
	holed [2]bool    // something was swallowed on the way
	floor [2][3]Time // when the last message of the direction and class arrives
}

// pair is what two members have between them.
type pair struct {
	a, b    int // a < b
	cut     [2]int
	cur     *conn
	dialing bool
}

func (p *pair) end(node int) int {
	if node == p.a {
		return 0
	}
	return 1
}

func (w *World) pair(i, j int) *pair { return w.pairs[min(i, j)*len(w.nodes)+max(i, j)] }

// dial sees to it that a pair without a connection gets one in time.
func (w *World) dial(p *pair) {
	if p.dialing {
		return
	}
	p.dialing = true
	w.push(event{at: w.now + between(w.net, w.cfg.DialMin, w.cfg.DialMax), kind: evDial, node: int32(p.a), a: uint64(p.b)})
}

func (w *World) dialed(p *pair) {
	p.dialing = false
	if c := p.cur; c != nil && !c.dead && !c.over[0] && !c.over[1] {
		return
	}
	a, b := w.nodes[p.a], w.nodes[p.b]
	if !a.up || !b.up {
		return // the restart dials
	}
	if p.cut[0]+p.cut[1] > 0 || w.healed == 0 && w.net.IntN(1000) < w.cfg.Refuse {
		w.dial(p)
		return
	}
	w.connect(p)
}

// connect opens a connection; a live one is replaced.
func (w *World) connect(p *pair) {
	if old := p.cur; old != nil && !old.dead {
		w.cover("duplicate connection")
		old.dead = old.dead || w.net.IntN(2) == 0 // otherwise each end hears from it until it has the new one
	}
	w.connID++
	c := &conn{id: w.connID, pair: p}
	p.cur = c
	for end, i := range [2]int{p.a, p.b} {
		at := w.now + 2*w.delay()
		if w.net.IntN(8) == 0 {
			at += between(w.net, 0, w.cfg.Tick)
		}
		for cls := range c.floor[0] {
			c.floor[1-end][cls] = at // what comes to this end comes after its Linked
		}
		w.push(event{at: at, kind: evLinked, node: int32(i), run: w.nodes[i].run, conn: c})
	}
}

// reset ends a connection: its ends learn it at different times, the later one perhaps only from the next connection.
func (w *World) reset(c *conn, hard bool) {
	if c == nil || c.dead && hard {
		return
	}
	if hard {
		c.dead = true
	}
	for end, i := range [2]int{c.pair.a, c.pair.b} {
		if c.over[end] || !w.nodes[i].up {
			continue
		}
		at := w.now + w.delay()
		switch w.net.IntN(4) {
		case 0:
			at += between(w.net, 0, w.cfg.Tick)
		case 1:
			at += between(w.net, 0, 4*w.cfg.Tick)
		}
		w.push(event{at: at, kind: evLost, node: int32(i), run: w.nodes[i].run, conn: c})
	}
}

func (w *World) delay() Time {
	d := between(w.net, w.cfg.NetMin, w.cfg.NetMax)
	if w.cfg.NetSlow > 0 && w.net.IntN(1000) < w.cfg.NetSlow {
		d += between(w.net, 0, w.cfg.NetLate)
	}
	return d
}

// carry puts a message on its way.
func (w *World) carry(n *node, s *core.Send) {
	to := int(s.To) - 1
	if to < 0 || to >= len(w.nodes) || to == n.idx {
		w.fail("inv/SEND", "member %d sends to %d", n.id, s.To)
	}
	c := n.link[to]
	if c == nil || c.dead {
		return
	}
	dir := c.pair.end(n.idx)
	if c.pair.cut[dir] > 0 {
		if s.Class != core.Control {
			c.holed[dir] = true
		}
		return
	}
	if s.Class == core.Control && w.healed == 0 && w.cfg.CtlLoss > 0 && w.net.IntN(1000) < w.cfg.CtlLoss {
		return
	}
	msg := s.Message
	if c.holed[dir] && s.Class != core.Control {
		msg = nil // a gap
	}
	at := max(w.now+w.delay(), c.floor[dir][s.Class])
	c.floor[dir][s.Class] = at
	w.push(event{at: at, kind: evDeliver, node: int32(to), run: w.nodes[to].run, dir: uint8(dir), cls: uint8(s.Class), conn: c, msg: msg})
}

// arrive takes what a connection brought to a member.
func (w *World) arrive(e *event) {
	n, c := w.nodes[e.node], e.conn
	end := c.pair.end(n.idx)
	if c.dead || c.over[end] || !n.up || n.run != e.run {
		return
	}
	if e.msg == nil {
		w.reset(c, true)
		return
	}
	if !c.open[end] {
		w.fail("inv/Z19", "model: a message arrives at %d before Linked", n.id)
	}
	peer := c.pair.a
	if end == 0 {
		peer = c.pair.b
	}
	n.put(w, inbound{lane: lane(e.cls), from: peer, conn: c, msg: e.msg})
}

func lane(cls uint8) uint8 {
	if cls == uint8(core.Control) {
		return laneControl
	}
	return laneLog
}

// linkEvent takes Linked or Lost to a member.
func (w *World) linkEvent(e *event) {
	n, c := w.nodes[e.node], e.conn
	end := c.pair.end(n.idx)
	if !n.up || n.run != e.run || c.over[end] {
		return
	}
	peer := c.pair.a
	if end == 0 {
		peer = c.pair.b
	}
	if e.kind == evLinked {
		if c.dead || c.pair.cur != c {
			c.over[end] = true
			w.dial(c.pair)
			return
		}
		c.open[end] = true
		n.put(w, inbound{lane: laneControl, from: peer, conn: c, link: linkUp})
		return
	}
	c.over[end] = true
	if c.open[end] {
		n.put(w, inbound{lane: laneControl, from: peer, conn: c, link: linkDown})
	}
	w.dial(c.pair)
}

// dropLinks ends all connections of a member that is gone.
func (w *World) dropLinks(n *node) {
	for j := range w.nodes {
		if j == n.idx {
			continue
		}
		if c := w.pair(n.idx, j).cur; c != nil {
			c.over[c.pair.end(n.idx)] = true
			hard := w.net.IntN(2) == 0
			w.reset(c, hard) // or what left before goes on arriving
		}
		n.link[j] = nil
	}
}
