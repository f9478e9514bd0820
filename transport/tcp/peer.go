package tcp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// peer is another member, or a stranger that is connected. The rules by which its connections are chosen are in the documentation of the package.
type peer struct {
	t      *Transport
	id     quorum.ID
	queues [transport.Classes]queue
	wake   chan struct{} // of keep

	// Guarded by t.mu.
	member  bool
	addr    string // "" if it is not to be dialled
	kept    bool   // keep runs
	news    bool   // there is a reason to dial now
	dial    *dial  // under way
	bundle  *bundle
	heard   run // of the peer
	crossed bool
}

// run is a run of a transport and the greatest number among its dials that is used or void.
type run struct{ run, dial uint64 }

// dial is an attempt to make a bundle.
type dial struct {
	cancel    context.CancelFunc
	committed bool // the hello is about to be sent
	crossed   bool // a hello of the peer was refused for it
	number    uint64
}

// bundle is the connections to one peer.
type bundle struct {
	p       *peer
	dialled bool
	name    run // of the dial that made it
	begin   time.Time
	cancel  context.CancelFunc // ends the making of its other connections, if we dialled

	// Guarded by t.mu.
	conns [transport.Classes]*conn
	lost  bool
	cause error // why it was broken off, if it was by us
}

var (
	errCrossed  = errors.New("given up for the peer's own dial")
	errReplaced = errors.New("the peer has dialled anew")
	errFull     = errors.New("more is waiting to be sent than the queue holds")
	errHalf     = errors.New("not all connections were made in time")
	errClosed   = errors.New("closed")
)

// giveUpDial is called with t.mu held.
func (p *peer) giveUpDial() {
	if p.dial != nil {
		p.dial.cancel()
		p.dial = nil
	}
}

func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *peer) clear() {
	for i := range p.queues {
		p.queues[i].clear()
	}
}

// commit decides that the dial may say hello.
func (p *peer) commit(d *dial) error {
	t := p.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.dial != d || t.state != started {
		return errCrossed
	}
	t.dials++
	d.committed, d.number = true, t.dials
	return nil
}

// won makes a bundle of a dial whose hello was admitted by a peer in that run.
func (p *peer) won(d *dial, c *conn, theirs run) error {
	t := p.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.dial != d || t.state != started {
		return errCrossed
	}
	p.dial, p.heard, p.crossed = nil, theirs, false
	p.bundle = &bundle{p: p, dialled: true, name: run{t.run, d.number}, begin: time.Now(), cancel: d.cancel}
	p.bundle.put(c)
	return nil
}

// admit decides about an authenticated hello. If it is admitted, c is part of a bundle, and old, if not nil, is to be lost first. The number of
// our latest dial goes into the answer.
func (t *Transport) admit(g *greeting, c *conn) (v verdict, old *bundle, dials uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := run{g.run, g.dial}
	p := t.peers[g.from]
	switch {
	case t.state != started:
		return ending, nil, 0
	case g.class != transport.Control:
		if p == nil || p.bundle == nil || p.bundle.dialled || p.bundle.name != name || p.bundle.conns[g.class] != nil {
			return stale, nil, t.dials
		}
		p.bundle.put(c)
		return admitted, nil, t.dials
	case p == nil && t.strangers() >= t.limits.strangers:
		return strangers, nil, t.dials
	case p == nil:
		p = t.peer(g.from)
		defer t.publish()
	}
	if p.heard.run == g.run && g.dial <= p.heard.dial {
		return stale, nil, t.dials
	}
	p.heard = name
	if d := p.dial; d != nil && d.committed && !d.crossed && t.self > p.id {
		d.crossed, p.crossed = true, true
		return crossed, nil, t.dials
	}
	p.giveUpDial()
	p.crossed = false
	if old = p.bundle; old != nil {
		old.lost, old.cause = true, errReplaced
		p.clear()
	}
	p.bundle = &bundle{p: p, name: name, begin: time.Now()}
	p.bundle.put(c)
	return admitted, old, t.dials
}

// strangers is called with mu held.
func (t *Transport) strangers() (n int) {
	for _, p := range t.peers {
		if !p.member {
			n++
		}
	}
	return n
}

// put is called with t.mu held.
func (b *bundle) put(c *conn) {
	c.b = b
	b.conns[c.class] = c
	b.p.queues[c.class].give(c)
}

// attach adds a connection to a bundle that we dialled.
func (b *bundle) attach(c *conn) error {
	t := b.p.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.lost || t.state != started {
		return errReplaced
	}
	b.put(c)
	return nil
}

func (b *bundle) complete() bool {
	b.p.t.mu.Lock()
	defer b.p.t.mu.Unlock()
	for _, c := range b.conns {
		if c == nil {
			return false
		}
	}
	return true
}

// ends is called with t.mu held.
func (b *bundle) ends(open []net.Conn) []net.Conn {
	for _, c := range b.conns {
		if c != nil {
			open = append(open, c.raw)
		}
	}
	return open
}

// lose ends the bundle because of err. Only the first call counts.
func (b *bundle) lose(err error) {
	p, t := b.p, b.p.t
	t.mu.Lock()
	if b.lost {
		t.mu.Unlock()
		return
	}
	b.lost = true
	if b.cause != nil {
		err = b.cause
	}
	p.bundle = nil // a bundle that is replaced is lost already
	p.clear()
	if time.Since(b.begin) > t.limits.longest {
		p.news = true
	}
	t.mu.Unlock()
	b.bury(err)
	t.mu.Lock()
	t.forget(p)
	t.mu.Unlock()
	p.poke()
}

// bury closes the connections of a lost bundle and tells of it.
func (b *bundle) bury(err error) {
	t := b.p.t
	t.mu.Lock()
	open := b.ends(nil)
	silent := t.state != started
	t.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
	for _, c := range open {
		c.Close()
	}
	if silent {
		return
	}
	t.say(slog.LevelInfo, b.p.id, "peer is lost", slog.Any("err", err))
	t.handler.Lost(b.p.id)
}

// overflow breaks off the bundle whose queue is full, or drops what waits for a bundle that is not there.
func (p *peer) overflow(class transport.Class) {
	if class == transport.Control {
		return
	}
	t := p.t
	t.mu.Lock()
	b := p.bundle
	if b == nil {
		p.queues[class].clear()
		t.mu.Unlock()
		return
	}
	var open []net.Conn
	if b.cause == nil {
		b.cause = errFull
		open = b.ends(nil)
	}
	t.mu.Unlock()
	for _, c := range open { // their goroutines do the rest
		c.Close()
	}
}
