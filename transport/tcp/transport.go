package tcp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// Transport is a transport.Transport over TCP.
type Transport struct {
	cfg     Config
	limits  limits
	notices notices

	// Set by Start.
	self      quorum.ID
	run       uint64
	handler   transport.Handler
	serverTLS *tls.Config
	listener  net.Listener
	gate      gate
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	wait      sync.WaitGroup

	known atomic.Pointer[map[quorum.ID]*peer] // a copy of peers, for Send; nil before Start and after Close

	// mu guards what decides about connections. Nothing is waited for and nobody is called while it is held.
	mu    sync.Mutex
	state state
	hosts hosts
	peers map[quorum.ID]*peer
	dials uint64
}

type state uint8

const (
	fresh state = iota
	started
	closed
)

var _ transport.Transport = (*Transport)(nil)

// New returns a transport for one member. What is wrong with the config is said by Start.
func New(cfg Config) *Transport {
	t := &Transport{cfg: cfg, limits: usual}
	if t.cfg.Dialer == nil {
		t.cfg.Dialer = new(net.Dialer)
	}
	t.notices.log = cfg.Logger
	if cfg.Logger == nil {
		t.notices.log = slog.New(slog.DiscardHandler)
	}
	return t
}

// Start is part of transport.Transport. It listens. With TLS it refuses a certificate among Certificates that names another member.
func (t *Transport) Start(self quorum.ID, h transport.Handler) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state {
	case started:
		return transport.ErrStarted
	case closed:
		return transport.ErrClosed
	}
	if err := t.cfg.check(); err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	if self == 0 {
		return fmt.Errorf("tcp: %w: 0", transport.ErrID)
	}
	if err := t.ours(self); err != nil {
		return err
	}
	l := t.cfg.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", t.cfg.Listen); err != nil {
			return fmt.Errorf("tcp: %w", err)
		}
	}
	var run [8]byte
	rand.Read(run[:])
	t.self, t.handler, t.listener, t.run = self, h, l, binary.BigEndian.Uint64(run[:])
	if !t.cfg.Insecure {
		t.serverTLS = serverConfig(t.cfg.TLS, t.cfg.Roots)
	}
	t.gate.init(t.limits.waiting)
	t.notices.again = t.limits.again
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.peers = make(map[quorum.ID]*peer)
	t.publish()
	t.state = started
	t.wait.Go(t.accept)
	return nil
}

// ours looks at the certificates that are there before the first connection.
func (t *Transport) ours(self quorum.ID) error {
	if t.cfg.Insecure || t.cfg.Identify != nil {
		return nil
	}
	for i := range t.cfg.TLS.Certificates {
		leaf, err := leafOf(&t.cfg.TLS.Certificates[i])
		if err != nil {
			return fmt.Errorf("tcp: TLS: %w", err)
		}
		id, ok, err := named(leaf)
		if err != nil {
			return fmt.Errorf("tcp: TLS: %w", err)
		}
		if ok && id != self {
			return fmt.Errorf("tcp: %w: the certificate is that of member %d, not %d", transport.ErrID, id, self)
		}
	}
	return nil
}

// Addr returns the address on which the transport listens, or nil before Start.
func (t *Transport) Addr() net.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener == nil {
		return nil
	}
	return t.listener.Addr()
}

// SetPeers is part of transport.Transport. An address is host:port, as [Dialer] takes it. A peer with a new address is dialled anew only
// when its connections are lost. One without an address is not dialled, and is answered when it dials. A member that is left out keeps its
// connections while it likes.
func (t *Transport) SetPeers(addrs map[quorum.ID]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != started {
		return
	}
	t.hosts = hostsOf(addrs)
	for id, p := range t.peers {
		if _, ok := addrs[id]; !ok {
			p.member, p.addr = false, ""
			p.giveUpDial()
			p.poke()
			t.forget(p)
		}
	}
	for id, addr := range addrs {
		if id == t.self || id == 0 {
			continue
		}
		p := t.peer(id)
		p.member = true
		if addr != p.addr {
			p.addr, p.news = addr, true
			p.giveUpDial()
			p.poke()
		}
		if !p.kept {
			p.kept = true
			t.wait.Go(p.keep)
		}
	}
	t.publish()
}

// peer returns the peer of that id, a new one if need be. It is called with mu held.
func (t *Transport) peer(id quorum.ID) *peer {
	p := t.peers[id]
	if p == nil {
		p = &peer{t: t, id: id, wake: make(chan struct{}, 1)}
		for c := range p.queues {
			p.queues[c].max = t.limits.queue[c]
			p.queues[c].oldest = transport.Class(c) == transport.Control
			p.queues[c].wake = make(chan struct{}, 1)
		}
		t.peers[id] = p
	}
	return p
}

// forget drops a peer that is neither a member nor connected. It is called with mu held.
func (t *Transport) forget(p *peer) {
	if !p.member && p.bundle == nil && t.peers[p.id] == p {
		delete(t.peers, p.id)
		p.clear()
		t.publish()
	}
}

// publish is called with mu held.
func (t *Transport) publish() {
	known := make(map[quorum.ID]*peer, len(t.peers))
	for id, p := range t.peers {
		known[id] = p
	}
	t.known.Store(&known)
}

// Send is part of transport.Transport. Frames wait for a connection that is being made, and are dropped when that fails.
func (t *Transport) Send(to quorum.ID, class transport.Class, frame []byte) {
	known := t.known.Load()
	if known == nil || class >= transport.Classes || len(frame) > transport.MaxFrame {
		return
	}
	if p := (*known)[to]; p != nil && !p.queues[class].put(frame) {
		p.overflow(class)
	}
}

// Close is part of transport.Transport. It closes the listener, the host's own too.
func (t *Transport) Close() error {
	t.mu.Lock()
	was := t.state
	t.state = closed
	var open []net.Conn
	if was == started {
		t.known.Store(nil)
		for _, p := range t.peers {
			p.giveUpDial()
			if p.bundle != nil {
				open = p.bundle.ends(open)
			}
		}
	}
	t.mu.Unlock()
	switch {
	case was == started:
		t.cancel()
		t.listener.Close()
		t.gate.shut()
		for _, c := range open {
			c.Close()
		}
	case was == fresh && t.cfg.Listener != nil:
		t.cfg.Listener.Close()
	}
	t.wait.Wait()
	return nil
}

func (t *Transport) say(level slog.Level, peer quorum.ID, what string, attrs ...slog.Attr) {
	t.notices.say(level, t.self, peer, what, attrs...)
}
