package main

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble"
)

// way is the bytes that go from one member to another, whoever of them has dialled.
type way struct{ from, to ensemble.ID }

// rule is what happens to what goes a way.
type rule struct {
	hold   bool          // nothing arrives until the rule has gone: a silent network, whose bytes are sent again when it is back
	refuse bool          // of the way from dialler to acceptor: new connections are closed
	delay  time.Duration // everything arrives that much later
}

// network is the proxies, one for each ordered pair of dialler and acceptor.
type network struct {
	ctx context.Context

	mu      sync.Mutex
	rules   map[way]rule
	changed chan struct{} // closed when the rules change
	targets map[ensemble.ID]string
	pairs   map[*pair]bool
	proxies map[way]net.Listener
	hits    int // what the rules and the cuts of now have done
}

// pair is a connection through a proxy.
type pair struct {
	route    way // dialler, acceptor
	dialler  net.Conn
	acceptor net.Conn

	// Guarded by network.mu.
	half bool
	cut  map[way]int // bytes that still go this way until the connection is cut
}

func newNetwork(ctx context.Context, n int) (*network, error) {
	w := &network{ctx: ctx, rules: map[way]rule{}, changed: make(chan struct{}), targets: map[ensemble.ID]string{}, pairs: map[*pair]bool{}, proxies: map[way]net.Listener{}}
	for from := ensemble.ID(1); from <= ensemble.ID(n); from++ {
		for to := ensemble.ID(1); to <= ensemble.ID(n); to++ {
			if from == to {
				continue
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				w.close()
				return nil, err
			}
			w.proxies[way{from, to}] = l
			go w.accept(way{from, to}, l)
		}
	}
	return w, nil
}

func (w *network) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.proxies {
		l.Close()
	}
	for p := range w.pairs {
		p.dialler.Close()
		p.acceptor.Close()
	}
}

// addr is where from reaches to.
func (w *network) addr(from, to ensemble.ID) string { return w.proxies[way{from, to}].Addr().String() }

// target tells where a member listens.
func (w *network) target(id ensemble.ID, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[id] = addr
}

// set replaces all rules; those of ways that are not named are gone.
func (w *network) set(rules map[way]rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules, w.hits = rules, 0
	close(w.changed)
	w.changed = make(chan struct{})
	for p := range w.pairs {
		if rules[p.route].refuse {
			w.end(p)
			w.hits++
		}
	}
}

// effects is how often something happened to a connection since the rules were set.
func (w *network) effects() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits
}

func (w *network) end(p *pair) {
	if !p.half {
		p.dialler.Close()
		p.acceptor.Close()
	}
}

// between calls do for each connection between two members, and returns how many there are.
func (w *network) between(a, b ensemble.ID, do func(*pair)) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits = 0
	for p := range w.pairs {
		if (p.route == way{a, b} || p.route == way{b, a}) && !p.half {
			do(p)
			n++
		}
	}
	return n
}

// lose ends the connections between two members. They may connect again at once.
func (w *network) lose(a, b ensemble.ID) int { return w.between(a, b, w.end) }

// cutAfter ends each of the connections between two members when n more bytes have gone a way: in the middle of a frame, as good as always.
func (w *network) cutAfter(v way, n func() int) int {
	return w.between(v.from, v.to, func(p *pair) { p.cut = map[way]int{v: n()} })
}

// halve ends the connections between two members for one of them only; the other is not told, and hears nothing more.
func (w *network) halve(told, other ensemble.ID) int {
	return w.between(told, other, func(p *pair) {
		p.half = true
		if p.route.from == told {
			p.dialler.Close()
		} else {
			p.acceptor.Close()
		}
	})
}

func (w *network) accept(v way, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go w.connect(v, c)
	}
}

func (w *network) connect(v way, c net.Conn) {
	w.mu.Lock()
	target, refuse := w.targets[v.to], w.rules[v].refuse
	if refuse {
		w.hits++
	}
	w.mu.Unlock()
	if refuse || target == "" {
		c.Close()
		return
	}
	up, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		c.Close()
		return
	}
	p := &pair{route: v, dialler: c, acceptor: up}
	w.mu.Lock()
	w.pairs[p] = true
	if w.rules[v].refuse || w.ctx.Err() != nil { // meanwhile
		w.end(p)
	}
	w.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { w.pump(p, v, c, up) })
	both.Go(func() { w.pump(p, way{v.to, v.from}, up, c) })
	both.Wait()
	w.mu.Lock()
	delete(w.pairs, p)
	w.mu.Unlock()
	c.Close()
	up.Close()
}

// chunk is bytes on their way.
type chunk struct {
	b   []byte
	due time.Time
}

// pump moves what goes one way.
func (w *network) pump(p *pair, v way, src, dst net.Conn) {
	queue := make(chan chunk, 64)
	var write sync.WaitGroup
	write.Go(func() {
		broken := false
		for c := range queue {
			broken = broken || !w.deliver(p, v, dst, c)
		}
		w.mu.Lock()
		w.end(p)
		w.mu.Unlock()
	})
	for {
		b := make([]byte, 16<<10)
		n, err := src.Read(b)
		if n > 0 {
			w.mu.Lock()
			r := w.rules[v]
			if r.delay > 0 {
				w.hits++
			}
			w.mu.Unlock()
			queue <- chunk{b[:n], time.Now().Add(r.delay)}
		}
		if err != nil {
			break
		}
	}
	close(queue)
	write.Wait()
}

// deliver writes a chunk when it may arrive.
func (w *network) deliver(p *pair, v way, dst net.Conn, c chunk) bool {
	if d := time.Until(c.due); d > 0 {
		time.Sleep(d)
	}
	counted := false
	for {
		w.mu.Lock()
		r, changed := w.rules[v], w.changed
		if r.hold && !counted {
			counted = true
			w.hits++
		}
		b, cut := c.b, false
		if left, ok := p.cut[v]; ok && !r.hold {
			if cut = left <= len(b); cut {
				b = b[:left]
				w.hits++
			}
			p.cut[v] = left - len(b)
		}
		w.mu.Unlock()
		if r.hold {
			select {
			case <-changed:
				continue
			case <-w.ctx.Done():
				return false
			}
		}
		_, err := dst.Write(b)
		if cut {
			w.mu.Lock()
			w.end(p)
			w.mu.Unlock()
		}
		return err == nil && !cut
	}
}
