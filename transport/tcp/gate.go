package tcp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// gate bounds the connections that are accepted and not yet admitted. When it is full a newcomer is let in at the expense of another: the oldest
// one of the address that has most of them. So who holds connections without a word, or makes them by the thousand, is in his own way first, and a member
// that needs some milliseconds gets through. Those that have shown a certificate of the CA are closed last.
type gate struct {
	max  int
	left chan struct{}

	mu     sync.Mutex
	in     []*visitor // the oldest first
	closed bool
}

type visitor struct {
	raw     net.Conn
	from    string
	proven  atomic.Bool // has a certificate of the CA
	evicted atomic.Bool
}

func (g *gate) init(limit int) {
	g.max, g.left = limit, make(chan struct{}, 1)
}

// enter lets a connection in, and reports whether others were closed for it. It waits for them to be gone.
func (g *gate) enter(raw net.Conn) (v *visitor, crowded bool) {
	v = &visitor{raw: raw, from: origin(raw.RemoteAddr())}
	g.mu.Lock()
	for len(g.in) >= g.max && !g.closed {
		crowded = true
		victim := g.victim()
		g.mu.Unlock()
		if victim != nil {
			victim.raw.Close()
		}
		<-g.left
		g.mu.Lock()
	}
	closed := g.closed
	g.in = append(g.in, v)
	g.mu.Unlock()
	if closed {
		raw.Close()
	}
	return v, crowded
}

// victim chooses who is to be closed, unless somebody is already. It is called with mu held.
func (g *gate) victim() *visitor {
	many := make(map[string]int)
	unproven := 0
	for _, v := range g.in {
		if v.evicted.Load() {
			return nil
		}
		if !v.proven.Load() {
			unproven++
			many[v.from]++
		}
	}
	var victim *visitor
	for _, v := range g.in {
		if v.proven.Load() && unproven > 0 {
			continue
		}
		if victim == nil || many[v.from] > many[victim.from] {
			victim = v
		}
	}
	victim.evicted.Store(true)
	return victim
}

func (g *gate) leave(v *visitor) {
	g.mu.Lock()
	for i := range g.in {
		if g.in[i] == v {
			g.in = append(g.in[:i], g.in[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	select {
	case g.left <- struct{}{}:
	default:
	}
}

// shut closes all that are in, and all that come later.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	in := append([]*visitor(nil), g.in...)
	g.mu.Unlock()
	for _, v := range in {
		v.raw.Close()
	}
	select {
	case g.left <- struct{}{}:
	default:
	}
}

// origin is what counts as one address: of IPv6 the network, as one host has all of it.
func origin(a net.Addr) string {
	if a == nil {
		return ""
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.String()
	}
	return ip.String()
}
