package tcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
	"github.com/ensemble-go/ensemble/transport/transporttest"
)

// together lets the first two dials return at the same time, and counts the connections that are open.
type together struct {
	first atomic.Int32
	both  chan struct{}
	open  atomic.Int32
}

func (d *together) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	switch d.first.Add(1) {
	case 1:
		select {
		case <-d.both:
		case <-ctx.Done():
		}
	case 2:
		close(d.both)
	}
	d.open.Add(1)
	return &counted{Conn: c, open: &d.open}, nil
}

type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// Both sides dial at once: they come to the same bundle, nothing else stays open, and nobody is told of a loss.
func TestBothDial(t *testing.T) {
	rounds := 1000
	if testing.Short() || raceEnabled {
		rounds = 100
	}
	overtaken := 0
	for range rounds {
		d := &together{both: make(chan struct{})}
		cfg := plain()
		cfg.Dialer = d
		a, b := start(t, 1, cfg, nil), start(t, 2, cfg, nil)
		acquaint(a, b)
		a.Send(2, transport.Log, []byte("early")) // nothing fails, so it waits and arrives
		b.Send(1, transport.Bulk, []byte("early"))
		a.until("the same bundle on both sides", func() bool { return a.settled(2) == b.settled(1) })
		a.until("the end of the other", func() bool { return d.open.Load() == transport.Classes })
		b.until("the frame that waited", func() bool { return b.has("1 log early") })
		a.until("the frame that waited", func() bool { return a.has("2 bulk early") })
		if n := a.losses(2) + b.losses(1); n > 0 {
			t.Fatalf("Lost is called %d times; the logs:\n%s\n%s", n, a.logs, b.logs)
		}
		a.Close()
		b.Close()
		overtaken += a.logs.count("overtaken") + b.logs.count("overtaken")
	}
	t.Logf("%d rounds, %d hellos overtaken", rounds, overtaken)
	if overtaken == 0 {
		t.Error("no round in which both said hello")
	}
}

// What the acceptor says to a sequence of hellos.
func TestHellos(t *testing.T) {
	m := start(t, 1, plain(), nil)
	hi := func(v verdict, class transport.Class, from, to quorum.ID, runNo, dialNo uint64) *caller {
		t.Helper()
		c := call(t, m, nil)
		c.must(v, greeting{class: class, from: from, to: to, run: runNo, dial: dialNo})
		return c
	}
	hi(wrongMember, transport.Control, 2, 3, 7, 1).closed()
	hi(wrongMember, transport.Control, 1, 1, 7, 1).closed()
	hi(stale, transport.Log, 2, 1, 7, 1).closed() // no bundle
	first := hi(admitted, transport.Control, 2, 1, 7, 5)
	hi(stale, transport.Control, 2, 1, 7, 5).closed() // a repeat
	hi(stale, transport.Control, 2, 1, 7, 4).closed()
	hi(stale, transport.Log, 2, 1, 7, 4).closed() // another bundle's
	hi(stale, transport.Log, 2, 1, 8, 5).closed()
	hi(stale, transport.Log, 3, 1, 7, 5).closed()
	hi(admitted, transport.Log, 2, 1, 7, 5)
	hi(stale, transport.Log, 2, 1, 7, 5).closed() // there is one
	hi(admitted, transport.Bulk, 2, 1, 7, 5)
	m.settled(2)
	if n := m.losses(2); n > 0 {
		t.Fatalf("Lost is called %d times", n)
	}
	second := hi(admitted, transport.Control, 2, 1, 7, 6) // the peer has no bundle any more
	first.closed()
	m.until("a loss", func() bool { return m.losses(2) == 1 })
	third := hi(admitted, transport.Control, 2, 1, 6, 1) // a new life
	second.closed()
	m.until("another loss", func() bool { return m.losses(2) == 2 })
	c := call(t, m, nil)
	old := greeting{version: 0, kind: hello, from: 2, to: 1, run: 6, dial: 2}
	var a greeting
	if _, err := c.Write(old.append(nil)); err != nil || a.read(c) != nil || a.verdict != wrongVersion {
		t.Fatalf("version 0 is answered by %+v", a)
	}
	c.closed()
	third.Close()
	m.until("the last loss", func() bool { return m.losses(2) == 3 })
}

// A version that is to come: it names a higher version and says more. We answer with ours.
func TestHelloOfLaterVersion(t *testing.T) {
	m := start(t, 1, plain(), nil)
	c := call(t, m, nil)
	g := greeting{version: 9, kind: hello, from: 2, to: 1, run: 1, dial: 1}
	b := g.append(nil)
	b[len(magic)+3] += 5
	if _, err := c.Write(append(b, "xtras"...)); err != nil {
		t.Fatal(err)
	}
	var a greeting
	if err := a.read(c); err != nil || a.verdict != admitted || a.version != version {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := c.Write([]byte("\x00\x00\x00\x02hi")); err != nil {
		t.Fatal(err)
	}
	m.until("the frame", func() bool { return m.has("2 control hi") })
}

// proxy forwards connections until it is frozen: then the two sides are cut off and neither is told.
type proxy struct {
	net.Listener
	frozen chan struct{}
}

func newProxy(t testing.TB, target string) *proxy {
	p := &proxy{listen(t), make(chan struct{})}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		p.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	pipe := func(to, from net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			select {
			case <-p.frozen:
				return
			default:
			}
			if err != nil {
				to.Close()
				return
			}
			to.Write(buf[:n])
		}
	}
	wait.Go(func() {
		for {
			in, err := p.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			wait.Go(func() { pipe(in, out) })
			wait.Go(func() { pipe(out, in) })
		}
	})
	return p
}

// A peer loses power: our side of the connections stays as it was. When it is back it is heard at once, not when keep-alive finds out.
func TestPeerBackBeforeItIsMissed(t *testing.T) {
	long := func(l *limits) { l.silence, l.keepAlive, l.stall = time.Hour, time.Hour, time.Hour }
	one, two := start(t, 1, plain(), long), start(t, 2, plain(), long)
	p := newProxy(t, two.addr())
	one.SetPeers(map[quorum.ID]string{1: one.addr(), 2: p.Addr().String()})
	one.reaches(two, transport.Log)
	close(p.frozen)
	two.Close()
	if one.losses(2) != 0 {
		t.Fatal("the loss is noticed; the test shows nothing")
	}
	again := start(t, 2, plain(), long)
	again.SetPeers(map[quorum.ID]string{1: one.addr(), 2: again.addr()})
	again.reaches(one, transport.Log)
	one.reaches(again, transport.Log)
	if n := one.losses(2); n != 1 {
		t.Fatalf("Lost is called %d times", n)
	}
}

// The larger id's dial hangs after its hello, and it has refused the smaller one's. It makes room.
func TestHangingDialMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := new(pipes)
		defer network.deaf().Close()
		one, two := start(t, 1, network.config(1, network), nil), start(t, 2, network.config(2, network), nil)
		begin := time.Now()
		two.SetPeers(map[quorum.ID]string{1: "deaf", 2: "2"})
		synctest.Wait() // it has said hello
		one.SetPeers(map[quorum.ID]string{1: "1", 2: "2"})
		one.reaches(two, transport.Control)
		two.reaches(one, transport.Control)
		if took := time.Since(begin); took > 2*usual.longest {
			t.Errorf("it took %v", took)
		}
		if two.logs.count("overtaken") == 0 {
			t.Error("nothing was refused; the test shows nothing")
		}
		one.Close()
		two.Close()
	})
}

// The suite, over pipes in bubbles: the host's own network, without buffers. (Without any, TLS cannot shake hands.)
func TestSuiteInBubble(t *testing.T) {
	for _, test := range transporttest.Tests() {
		if test.Name == "NoReceiveAfterClose" || test.Name == "NoGoroutineLeft" {
			continue // the senders of the one never wait, so that time would stand still; the other counts goroutines outside of the bubble
		}
		t.Run(test.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.Run(t, func(t testing.TB, ids []quorum.ID) map[quorum.ID]transporttest.Endpoint {
					network := new(pipes)
					eps := map[quorum.ID]transporttest.Endpoint{}
					for _, id := range ids {
						eps[id] = transporttest.Endpoint{Transport: New(network.config(id, network)), Addr: fmt.Sprint(id)}
					}
					return eps
				})
			})
		})
	}
}

// inBubble has two members over pipes.
func inBubble(t *testing.T, edit func(*limits), f func(t *testing.T, network *pipes, one, two *member)) {
	synctest.Test(t, func(t *testing.T) {
		network := new(pipes)
		one, two := start(t, 1, network.config(1, network), edit), start(t, 2, network.config(2, network), edit)
		f(t, network, one, two)
		one.Close()
		two.Close()
	})
}

// Idle connections stay for ever, and one that has gone silent is lost.
func TestKeepAlive(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, network *pipes, one, two *member) {
		acquaint(one, two)
		name := one.settled(2)
		<-time.After(24 * time.Hour)
		if one.settled(2) != name || one.losses(2)+two.losses(1) > 0 {
			t.Fatalf("an idle bundle was lost:\n%s", one.logs)
		}
	})
	inBubble(t, nil, func(t *testing.T, network *pipes, one, two *member) {
		begin := time.Now()
		for _, c := range network.bundle(t, one) { // a peer that reads, and is silent
			go io.Copy(io.Discard, c)
		}
		one.until("the loss", func() bool { return one.losses(2) == 1 })
		if took := time.Since(begin); took < usual.silence || took > usual.silence+time.Second {
			t.Errorf("lost after %v", took)
		}
		if one.logs.count("nothing came for 15s") != 1 {
			t.Errorf("the log:\n%s", one.logs)
		}
	})
}

// A bundle that does not become complete is lost.
func TestHalfABundle(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, network *pipes, one, two *member) {
		raw, err := network.DialContext(t.Context(), "", "1")
		if err != nil {
			t.Fatal(err)
		}
		c := calling(t, raw, nil)
		c.must(admitted, greeting{from: 2, to: 1, run: 1, dial: 1})
		begin := time.Now()
		var wait sync.WaitGroup
		defer wait.Wait()
		wait.Go(func() {
			for {
				if _, err := raw.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil { // alive
					return
				}
				<-time.After(time.Second)
			}
		})
		c.closed()
		if took := time.Since(begin); took > usual.handshake+usual.keepAlive {
			t.Errorf("closed after %v", took)
		}
		one.until("the loss", func() bool { return one.losses(2) == 1 })
	})
}

// A dead peer is dialled with pauses that grow to a second, and no faster.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		cfg := plain()
		cfg.Listener = new(pipes).listen("1")
		cfg.Dialer = dialFunc(func() (net.Conn, error) { dials.Add(1); return nil, errors.New("no route") })
		m := start(t, 1, cfg, nil)
		m.SetPeers(map[quorum.ID]string{1: "1", 2: "2"})
		<-time.After(time.Minute)
		n := dials.Load()
		if n < 60 || n > 150 {
			t.Errorf("%d dials in a minute", n)
		}
		if got := m.logs.count("cannot connect"); got > 2 {
			t.Errorf("%d lines in the log in a minute", got)
		}
		m.SetPeers(map[quorum.ID]string{1: "1", 2: "2"}) // nothing new
		synctest.Wait()
		if d := dials.Load(); d != n {
			t.Error("dialled without news")
		}
		m.SetPeers(map[quorum.ID]string{1: "1", 2: "elsewhere"})
		synctest.Wait()
		if d := dials.Load(); d != n+1 {
			t.Error("a new address is not dialled at once")
		}
		m.SetPeers(map[quorum.ID]string{1: "1"})
		n = dials.Load()
		<-time.After(time.Minute)
		if d := dials.Load(); d != n {
			t.Error("a peer that was left out is dialled")
		}
		m.Close()
	})
}

type dialFunc func() (net.Conn, error)

func (f dialFunc) DialContext(context.Context, string, string) (net.Conn, error) { return f() }

// New certificates are used from the next connection on, and nothing is lost by that.
func TestReload(t *testing.T) {
	ca := tcptest.NewCA(t)
	certs := newRotating(ca)
	a, b := start(t, 1, certs.config(1), nil), start(t, 2, certs.config(2), nil)
	acquaint(a, b)
	a.reaches(b, transport.Log)
	former := certs.seen(b, 1)
	certs.renew()
	a.reaches(b, transport.Log)
	if n := a.losses(2) + b.losses(1); n > 0 {
		t.Fatalf("new certificates lost %d connections", n)
	}
	if certs.seen(b, 1) != former {
		t.Fatal("the connection was made anew")
	}
	c := start(t, 3, certs.config(3), nil) // a third member connects under the new ones
	acquaint(a, b, c)
	c.reaches(a, transport.Log)
	b.Close()
	b = start(t, 2, certs.config(2), nil)
	acquaint(a, b, c)
	b.reaches(a, transport.Log)
	a.reaches(b, transport.Log)
	if now := certs.seen(b, 1); now == former || now != certs.serial(1) {
		t.Fatalf("connected under certificate %v, not the new one %v", now, certs.serial(1))
	}
}

// deafAfter lets the first connection through, and leads the next two where nothing is ever answered.
type deafAfter struct {
	*pipes
	dials atomic.Int32
}

func (d *deafAfter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if n := d.dials.Add(1); n == 2 || n == 3 {
		addr = "deaf"
	}
	return d.pipes.DialContext(ctx, network, addr)
}

// The first connection of a bundle is lost while the others hang: nobody waits for these.
func TestLostBeforeItIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &deafAfter{pipes: new(pipes)}
		defer network.deaf().Close()
		one, two := start(t, 1, network.config(1, network), nil), start(t, 2, network.config(2, network), nil)
		begin := time.Now()
		one.SetPeers(map[quorum.ID]string{1: "1", 2: "2"})
		synctest.Wait()
		if network.dials.Load() != 3 {
			t.Fatalf("%d dials", network.dials.Load())
		}
		two.Close()
		two = start(t, 2, network.config(2, network), nil)
		one.reaches(two, transport.Log)
		if took := time.Since(begin); took > 2*usual.longest {
			t.Errorf("it took %v", took)
		}
		one.Close()
		two.Close()
	})
}
