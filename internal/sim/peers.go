package sim

import (
	"encoding/binary"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/internal/wire"
	"github.com/ensemble-go/ensemble/quorum"
)

// peerLink is a member's way to one other, as the shell has it.
type peerLink struct {
	id      quorum.ID
	link    *link.Link
	in      link.Output
	cutting bool    // its stream has just ended: what the machine said in it goes nowhere
	stream  *stream // nil: none is up
	hinted  bool    // the reset that is carried out was asked for by the transport
}

// initPeers begins with all links down.
func (n *node) initPeers(w *World) {
	n.peers, n.ensemble = make([]peerLink, len(w.nodes)), [16]byte{}
	for j := range n.peers {
		if j != n.idx {
			p := &n.peers[j]
			p.id = quorum.ID(j + 1)
			p.link = link.New(link.Config{
				Self: n.id, Name: "sim", StallTicks: max(2*w.cfg.SyncLimit, 20), LargestFrame: w.cfg.Frame, Nonce: w.nonce,
			}, p.id)
		}
	}
}

// nonce draws what the shell takes from a source that nobody can foresee.
func (w *World) nonce() (n link.Nonce) {
	binary.BigEndian.PutUint64(n[:], w.nonces.Uint64())
	binary.BigEndian.PutUint64(n[8:], w.nonces.Uint64())
	return n
}

// eachPeer does something with each link, as long as the member is up.
func (n *node) eachPeer(w *World, do func(*peerLink)) {
	for j := range n.peers {
		if p := &n.peers[j]; p.link != nil && n.steps() {
			do(p)
			n.linkDone(w, p)
		}
	}
}

// steps reports whether the machine may be stepped.
func (n *node) steps() bool { return n.up && n.out.Failed == nil }

// takeFrame gives a frame, or the news that the connection broke, to its link.
func (n *node) takeFrame(w *World, in *inbound) {
	p := &n.peers[in.from]
	if in.hint {
		p.hinted = true
		p.link.Reset(&p.in)
	} else {
		p.link.Receive(link.Class(in.class), in.frame, &p.in)
	}
	n.linkDone(w, p)
}

// linkDone carries out what a link wants.
func (n *node) linkDone(w *World, p *peerLink) {
	o := &p.in
	if o.Reset || o.Up {
		n.switchStream(w, p)
		if !n.up {
			return
		}
	}
	for _, f := range o.Frames {
		w.transmit(n, p.id, uint8(f.Class), f.Bytes)
	}
	if o.Reset && !o.Up {
		n.feed(w, &core.Lost{Peer: p.id}, p.id, nil)
	}
	if o.Up && n.steps() {
		n.feed(w, &core.Linked{Peer: p.id}, p.id, nil)
	}
	if o.Err != nil {
		w.fail("inv/LINK", "member %d refuses its peer: %v", n.id, o.Err)
	}
	for _, m := range o.Messages {
		if !n.steps() {
			break
		}
		n.receive(w, p, m)
	}
	p.hinted = false
	o.Clear()
}

// switchStream carries out what the machine has said so far, and ends one stream or begins another.
func (n *node) switchStream(w *World, p *peerLink) {
	switch o := &p.in; {
	case o.Reset && o.Up:
		w.cover("link replaced by its successor")
	case o.Reset && !p.hinted:
		w.cover("link reset by itself")
	}
	p.cutting = true
	n.carryOut(w)
	p.cutting = false
	if p.stream = nil; p.in.Up {
		p.stream = w.newStream(n, p.id)
	}
}

// receive decodes a message and steps the machine with it.
func (n *node) receive(w *World, p *peerLink, m link.Message) {
	if p.stream == nil {
		w.fail("inv/Z19", "member %d receives from %d, and no link is up", n.id, p.id)
	}
	if err := p.stream.takes(w.streams, uint8(m.Class), m.Bytes); err != nil {
		w.failWith(err)
	}
	msg, err := wire.Decode(m.Bytes[tagBytes:])
	if err != nil {
		w.fail("inv/WIRE", "member %d receives from %d: %v", n.id, p.id, err)
	}
	w.scratch, w.raw = core.Receive{From: p.id, Message: msg}, m.Bytes[tagBytes:]
	n.feed(w, &w.scratch, p.id, msg)
	w.raw = nil
}

// send encodes a message and puts its frames on their way.
func (w *World) send(n *node, s *core.Send) {
	to := int(s.To) - 1
	if to < 0 || to >= len(w.nodes) || to == n.idx {
		w.fail("inv/SEND", "member %d sends to %d", n.id, s.To)
	}
	p := &n.peers[to]
	if p.cutting || !p.link.Up() {
		return
	}
	b, err := wire.Append(w.buf[:tagBytes], s.Message)
	if err != nil {
		w.fail("inv/WIRE", "member %d sends to %d: %v", n.id, s.To, err)
	}
	w.buf = b
	p.stream.tag(uint8(s.Class), b)
	if err := p.link.Send(link.Class(s.Class), b, &w.sending); err != nil {
		w.fail("inv/LINK", "member %d sends %T to %d: %v", n.id, s.Message, s.To, err)
	}
	if len(w.sending.Frames) > 1 {
		w.cover("message in several frames")
	}
	for _, f := range w.sending.Frames {
		w.transmit(n, p.id, uint8(f.Class), f.Bytes)
	}
	w.sending.Clear()
}

// tellEnsemble tells the links the id of the ensemble, once the machine knows it. It reports whether that was news.
func (n *node) tellEnsemble(w *World) bool {
	if n.status.Ensemble == n.ensemble {
		return false
	}
	n.ensemble = n.status.Ensemble
	n.eachPeer(w, func(p *peerLink) { p.link.SetEnsemble(n.ensemble, &p.in) })
	return true
}
