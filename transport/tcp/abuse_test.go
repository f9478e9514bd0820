package tcp

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

const (
	mostMemory     = 64 << 20
	mostGoroutines = 200
)

// load watches what the process uses while it is abused.
type load struct {
	t          *testing.T
	goroutines int // before
	memory     uint64
	most       int
	mostMemory uint64
}

func newLoad(t *testing.T) *load {
	l := &load{t: t}
	l.memory, l.goroutines = heap(), runtime.NumGoroutine()
	return l
}

// heap is what is reachable, and the stacks.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func (l *load) look() {
	l.most = max(l.most, runtime.NumGoroutine()-l.goroutines)
}

func (l *load) weigh() {
	l.look()
	if now := heap(); now > l.memory {
		l.mostMemory = max(l.mostMemory, now-l.memory)
	}
}

func (l *load) judge(what string) {
	l.t.Helper()
	l.weigh()
	l.t.Logf("%s: at most %d goroutines and %.1f MiB more than before", what, l.most, float64(l.mostMemory)/(1<<20))
	if l.most > mostGoroutines || l.mostMemory > mostMemory {
		l.t.Errorf("that is more than %d goroutines or %d bytes", mostGoroutines, mostMemory)
	}
}

// bothWays runs a test on members in plain text and with TLS.
func bothWays(t *testing.T, f func(t *testing.T, config func(quorum.ID) Config)) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) { f(t, secured(t, secure)) })
	}
}

// clientHello is what a TLS client sends first.
func clientHello() []byte {
	here, there := net.Pipe()
	defer there.Close()
	go tls.Client(here, &tls.Config{ServerName: "somewhere"}).Handshake()
	buf := make([]byte, 16<<10)
	n, _ := there.Read(buf)
	return buf[:n]
}

// Whatever is sent to the port by those who speak another protocol, the connection is closed at once, members are served, and the log says so once.
func TestGarbage(t *testing.T) {
	random := make([]byte, 1<<16)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	rest := greeting{version: version, kind: hello, from: 2, to: 1, run: 1, dial: 1}
	wellFormed := func(edit func(b []byte)) []byte {
		b := rest.append(nil)
		edit(b)
		return b
	}
	garbage := map[string][]byte{
		"random":        random,
		"HTTP":          []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
		"TLS":           clientHello(),
		"zeros":         make([]byte, 4096),
		"ones":          slices.Repeat([]byte{0xff}, 4096),
		"SSH":           []byte("SSH-2.0-OpenSSH_9.6\r\n"),
		"almost":        []byte("ensemblE\x00\x01\x00\x23"),
		"long greeting": []byte("ensemble\x00\x01\xff\xff" + string(random)),
		"no greeting":   []byte("ensemble\x00\x01\x00\x00"),
		"no kind":       wellFormed(func(b []byte) { b[headBytes] = 0 }),
		"an answer":     wellFormed(func(b []byte) { b[headBytes] = byte(answer) }),
		"no class":      wellFormed(func(b []byte) { b[headBytes+1] = transport.Classes }),
		"from nobody":   wellFormed(func(b []byte) { clear(b[headBytes+3 : headBytes+11]) }),
		"to nobody":     wellFormed(func(b []byte) { clear(b[headBytes+11 : headBytes+19]) }),
	}
	bothWays(t, func(t *testing.T, config func(quorum.ID) Config) {
		one, two := start(t, 1, config(1), nil), start(t, 2, config(2), nil)
		acquaint(one, two)
		one.reaches(two, transport.Log)
		name := one.settled(2)
		const times = 20
		for what, bytes := range garbage {
			if what == "TLS" && one.cfg.TLS != nil {
				continue // that is no garbage there; TestSlowTLS
			}
			for range times {
				c := call(t, one, nil)
				c.Write(bytes)
				begin := time.Now()
				c.closed()
				if took := time.Since(begin); took >= usual.handshake {
					t.Errorf("%s: closed after %v", what, took)
				}
			}
		}
		if one.settled(2) != name || one.losses(2) > 0 {
			t.Error("the members have lost each other")
		}
		one.reaches(two, transport.Log)
		if n := one.logs.count("connection refused"); n != 1 {
			t.Errorf("%d lines in the log about %d connections:\n%s", n, times*len(garbage), one.logs)
		}
	})
}

// flood opens n connections to m that say nothing, from another address of this machine if it has one.
func flood(t *testing.T, m *member, n int, each func()) []net.Conn {
	t.Helper()
	dialer := &net.Dialer{Timeout: patience}
	if runtime.GOOS == "linux" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	conns := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	for range n {
		c, err := dialer.Dial("tcp", m.addr())
		if err != nil {
			t.Fatalf("after %d connections: %v", len(conns), err)
		}
		conns = append(conns, c)
		if each != nil {
			each()
		}
	}
	return conns
}

// idle is how many idle connections this process can hold.
func idle(t *testing.T) int {
	n := 10_000
	if most := openFiles(t) - 1000; n > most {
		t.Logf("only %d files can be open: scaled to %d connections", most+1000, most)
		n = most
	}
	return n
}

func TestIdleConnections(t *testing.T) {
	bothWays(t, func(t *testing.T, config func(quorum.ID) Config) {
		n := idle(t)
		one, two := start(t, 1, config(1), nil), start(t, 2, config(2), nil)
		acquaint(one, two)
		one.reaches(two, transport.Log)
		name := one.settled(2)
		l := newLoad(t)
		i := 0
		conns := flood(t, one, n, func() {
			if i++; i%10 == 0 {
				l.look()
			}
			if i%2000 == 0 {
				l.weigh()
				one.reaches(two, transport.Control)
				two.reaches(one, transport.Log)
			}
		})
		three := start(t, 3, config(3), nil) // while all of them are there
		acquaint(one, two, three)
		three.reaches(one, transport.Log)
		l.judge(fmt.Sprintf("%d idle connections", len(conns)))
		if one.settled(2) != name || one.losses(2) > 0 {
			t.Error("the members have lost each other")
		}
		one.gate.mu.Lock()
		in := len(one.gate.in)
		one.gate.mu.Unlock()
		if in > usual.waiting {
			t.Errorf("%d are waiting", in)
		}
		if n := one.logs.count("too many connections"); n != 1 {
			t.Errorf("%d lines in the log about too many connections", n)
		}
		if n := strings.Count(one.logs.String(), "\n"); n > 20 {
			t.Errorf("%d lines in the log:\n%s", n, one.logs)
		}
		for i, c := range conns[:len(conns)-usual.waiting] { // the others have their time
			c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.EAGAIN) {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
	})
}

// Connections that are closed as soon as they are made, as fast as can be.
func TestConnectAndClose(t *testing.T) {
	bothWays(t, func(t *testing.T, config func(quorum.ID) Config) {
		one, two := start(t, 1, config(1), nil), start(t, 2, config(2), nil)
		acquaint(one, two)
		one.reaches(two, transport.Log)
		name := one.settled(2)
		l := newLoad(t)
		const n, callers = 10_000, 4
		var wait sync.WaitGroup
		var failed atomic.Int32
		for range callers {
			wait.Go(func() {
				for range n / callers {
					c, err := net.Dial("tcp", one.addr())
					if err != nil {
						failed.Add(1)
						continue
					}
					c.(*net.TCPConn).SetLinger(0) // or the ports are used up
					c.Close()
				}
			})
		}
		over := make(chan struct{})
		go func() { wait.Wait(); close(over) }()
		for done := false; !done; {
			select {
			case <-over:
				done = true
			default:
				l.look()
				one.reaches(two, transport.Control)
			}
		}
		if f := failed.Load(); f > n/10 {
			t.Errorf("%d of %d connections could not be made", f, n)
		}
		three := start(t, 3, config(3), nil)
		acquaint(one, two, three)
		three.reaches(one, transport.Log)
		l.judge(fmt.Sprintf("%d connections made and closed", n))
		if one.settled(2) != name || one.losses(2) > 0 {
			t.Error("the members have lost each other")
		}
		if n := strings.Count(one.logs.String(), "\n"); n > 20 {
			t.Errorf("%d lines in the log:\n%s", n, one.logs)
		}
	})
}

// A byte now and then does not prolong the time for the handshake.
func TestSlowHandshake(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, network *pipes, one, two *member) {
		g := greeting{version: version, kind: hello, from: 2, to: 1, run: 1, dial: 1}
		begin := time.Now()
		var wait sync.WaitGroup
		for range 10 {
			raw, err := network.DialContext(t.Context(), "", "1")
			if err != nil {
				t.Fatal(err)
			}
			wait.Go(func() {
				defer raw.Close()
				for i, b := range g.append(nil) {
					if _, err := raw.Write([]byte{b}); err != nil {
						if took := time.Since(begin); took < usual.handshake || took > usual.handshake+time.Second {
							t.Errorf("closed after %d bytes and %v", i, took)
						}
						return
					}
					<-time.After(time.Second)
				}
				t.Error("a hello that took 47 seconds was read")
			})
		}
		wait.Wait()
		synctest.Wait()
		if n := one.logs.count("connection refused"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// The same with TLS, where the slow bytes are those of a ClientHello, and a second one stops when it has shaken hands.
func TestSlowTLS(t *testing.T) {
	ca := tcptest.NewCA(t)
	one := start(t, 1, Config{TLS: ca.Config(1)}, func(l *limits) { l.handshake = 300 * time.Millisecond })
	slow, proven := call(t, one, nil), call(t, one, ca.Config(2))
	if err := proven.Conn.(*tls.Conn).Handshake(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, b := range clientHello() {
		if _, err := slow.Write([]byte{b}); err != nil {
			break
		}
		if <-tick.C; time.Since(begin) > patience {
			t.Fatal("it is not closed")
		}
	}
	slow.closed()
	proven.closed()
}

// Those who have a certificate and have said hello are not in the way of newcomers, and newcomers from an address that has few go before those from one that has many.
func TestGate(t *testing.T) {
	var g gate
	g.init(4)
	enter := func(from string) *visitor {
		here, there := net.Pipe()
		t.Cleanup(func() { there.Close() })
		v, _ := g.enter(fromConn{here, from})
		go func() {
			buf := make([]byte, 1)
			there.Read(buf) // fails when it is closed
			g.leave(v)
		}()
		return v
	}
	a1, b1, a2 := enter("10.0.0.1:1"), enter("10.0.0.2:1"), enter("10.0.0.1:2")
	c1 := enter("10.0.0.3:1")
	b2 := enter("10.0.0.2:2") // full: a has most, and a1 is its oldest
	if !a1.evicted.Load() || a2.evicted.Load() || b1.evicted.Load() || c1.evicted.Load() {
		t.Fatal("not the oldest of the most frequent")
	}
	b1.proven.Store(true)
	b2.proven.Store(true)
	a2.proven.Store(true)
	d1 := enter("10.0.0.4:1") // only c1 has shown nothing
	if !c1.evicted.Load() || d1.evicted.Load() {
		t.Fatal("not the one without a certificate")
	}
	d1.proven.Store(true)
	e1 := enter("[2001:db8::1]:1")
	if !b1.evicted.Load() {
		t.Fatal("not the oldest of the most frequent, among those with certificates")
	}
	if e1.from != "2001:db8::/64" {
		t.Errorf("an IPv6 address counts as %s", e1.from)
	}
	g.shut()
	if v := enter("10.0.0.5:1"); v.raw.(fromConn).Conn.SetDeadline(time.Now()) == nil {
		t.Error("open after shut")
	}
}

type fromConn struct {
	net.Conn
	from string
}

func (c fromConn) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", c.from)
	return a
}

// A frame that is longer than any: the bundle is lost, and no memory was taken.
func TestFramesThatLie(t *testing.T) {
	m := start(t, 1, plain(), nil)
	lengths := []uint32{transport.MaxFrame + 1, 1 << 30, 1<<31 - 1, 1 << 31, alive - 1}
	for class := range transport.Class(transport.Classes) {
		for i, n := range lengths {
			dial := uint64(class)*100 + uint64(i) + 1
			before := m.losses(2)
			conns := bundleOf(t, m, 2, 1, dial)
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			allocated := memory.TotalAlloc
			conns[class].Write(append(binary.BigEndian.AppendUint32(nil, n), "what there is"...))
			for _, c := range conns {
				c.closed()
			}
			m.until("the loss", func() bool { return m.losses(2) == before+1 })
			runtime.ReadMemStats(&memory)
			if took := memory.TotalAlloc - allocated; took > 4<<20 {
				t.Errorf("a frame of %d bytes took %d", n, took)
			}
		}
	}
	if n := m.logs.count("peer is lost"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	if len(m.got) > 0 {
		t.Errorf("frames were delivered: %v", m.got)
	}
	// A length that is right but for the bytes, which never come, holds one buffer of that size; the frames before it are delivered.
	conns := bundleOf(t, m, 2, 2, 1)
	conns[transport.Log].Write(append([]byte("\x00\x00\x00\x04good"), binary.BigEndian.AppendUint32(nil, transport.MaxFrame)...))
	m.until("the frame before", func() bool { return m.has("2 log good") })
	conns[transport.Log].Close()
	m.until("the loss", func() bool { return m.losses(2) == len(lengths)*transport.Classes+1 })
}

// A peer that reads nothing: what is queued is bounded, and then its connections are dropped.
func TestPeerNeverReads(t *testing.T) {
	for _, class := range []transport.Class{transport.Log, transport.Bulk} {
		t.Run(class.String()+" overflows", func(t *testing.T) {
			m := start(t, 1, plain(), func(l *limits) { l.stall = time.Hour })
			conns := bundleOf(t, m, 2, 1, 1)
			l := newLoad(t)
			frame := make([]byte, 100_000)
			sent := 0
			for begin := time.Now(); m.losses(2) == 0; sent += len(frame) {
				m.Send(2, class, frame)
				if l.look(); time.Since(begin) > patience {
					t.Fatal("its bundle is not dropped")
				}
			}
			for _, c := range conns {
				c.closed()
			}
			l.judge(fmt.Sprintf("%d bytes sent", sent))
			if sent < transport.QueueBytes {
				t.Errorf("dropped after %d bytes", sent)
			}
			if m.logs.count("more is waiting to be sent") != 1 {
				t.Errorf("the log:\n%s", m.logs)
			}
		})
	}
	t.Run("control forgets", func(t *testing.T) {
		inBubble(t, func(l *limits) { l.stall = time.Hour }, func(t *testing.T, network *pipes, one, two *member) {
			conns := network.bundle(t, one)
			const n = 100_000
			for i := range n {
				one.Send(2, transport.Control, binary.BigEndian.AppendUint64(make([]byte, 32), uint64(i)))
			}
			if one.losses(2) > 0 {
				t.Fatal("the bundle was dropped")
			}
			// What it reads now are the first (already on their way) and the last, in order.
			f := frames{r: conns[transport.Control]}
			last, count := int64(-1), 0
			for last != n-1 {
				b, err := f.next()
				if err != nil {
					t.Fatal(err)
				}
				if i := int64(binary.BigEndian.Uint64(b[32:])); i <= last {
					t.Fatalf("frame %d after %d", i, last)
				} else {
					last = i
				}
				count++
			}
			if count == n || count < usual.queue[transport.Control]/100 {
				t.Errorf("%d of %d frames", count, n)
			}
		})
	})
	t.Run("stalls", func(t *testing.T) {
		inBubble(t, func(l *limits) { l.silence = time.Hour }, func(t *testing.T, network *pipes, one, two *member) {
			network.bundle(t, one)
			begin := time.Now()
			one.Send(2, transport.Log, []byte("anybody?"))
			one.until("the loss", func() bool { return one.losses(2) == 1 })
			if took := time.Since(begin); took < usual.stall || took > usual.stall+usual.keepAlive {
				t.Errorf("dropped after %v", took)
			}
			if one.logs.count("takes nothing for 10s") != 1 {
				t.Errorf("the log:\n%s", one.logs)
			}
		})
	})
	t.Run("slow is not stalled", func(t *testing.T) {
		inBubble(t, func(l *limits) { l.silence = 24 * time.Hour }, func(t *testing.T, network *pipes, one, two *member) {
			conns := network.bundle(t, one)
			go io.Copy(io.Discard, conns[transport.Control])
			go io.Copy(io.Discard, conns[transport.Bulk])
			one.Send(2, transport.Log, make([]byte, 100_000))
			begin := time.Now()
			buf := make([]byte, 1000)
			for n := 0; n < 100_004; {
				<-time.After(usual.stall * 9 / 10)
				k, err := conns[transport.Log].Read(buf)
				if err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
				n += k
			}
			if took := time.Since(begin); took < 10*usual.stall {
				t.Errorf("it took %v only; the test shows nothing", took)
			}
		})
	})
}

// Authenticated ids that are not among the peers are heard and answered, up to a number of them.
func TestUnknownIDs(t *testing.T) {
	ca := tcptest.NewCA(t)
	m := start(t, 1, Config{TLS: ca.Config(1)}, nil)
	m.SetPeers(map[quorum.ID]string{1: m.addr()})
	stranger := start(t, 9, Config{TLS: ca.Config(9)}, nil)
	stranger.SetPeers(map[quorum.ID]string{1: m.addr()})
	stranger.reaches(m, transport.Log)
	m.reaches(stranger, transport.Log)
	m.Send(10, transport.Log, []byte("nobody")) // does nothing
	stranger.Close()
	m.until("the stranger to be forgotten", func() bool { return len(*m.known.Load()) == 0 })

	p := start(t, 1, plain(), nil)
	var open []*caller
	for id := range quorum.ID(usual.strangers) {
		c := call(t, p, nil)
		c.must(admitted, greeting{from: 100 + id, to: 1, run: 1, dial: 1})
		open = append(open, c)
	}
	call(t, p, nil).must(strangers, greeting{from: 99, to: 1, run: 1, dial: 1})
	p.SetPeers(map[quorum.ID]string{1: p.addr(), 98: ""})
	call(t, p, nil).must(admitted, greeting{from: 98, to: 1, run: 1, dial: 1}) // a peer
	open[0].Close()
	p.until("room", func() bool { return p.losses(100) == 1 })
	p.until("a stranger in the room", func() bool {
		a, err := call(t, p, nil).hello(greeting{from: 99, to: 1, run: 2, dial: uint64(time.Now().UnixNano())})
		return err == nil && a.verdict == admitted
	})
}

// badListener fails now and then, and in the end for good.
type badListener struct {
	net.Listener
	fails atomic.Int32
}

func (l *badListener) Accept() (net.Conn, error) {
	if l.fails.Add(-1) >= 0 {
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}

// A listener that fails is tried again; one that the host has closed is not, and the log says so.
func TestListenerFails(t *testing.T) {
	cfg := plain()
	l := &badListener{Listener: listen(t)}
	l.fails.Store(5)
	cfg.Listener = l
	one := start(t, 1, cfg, nil)
	two := start(t, 2, plain(), nil)
	acquaint(one, two)
	one.reaches(two, transport.Log)
	call(t, one, nil).must(stale, greeting{class: transport.Log, from: 5, to: 1, run: 1, dial: 1})
	if n := one.logs.count("cannot accept"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	l.Listener.Close()
	one.until("a line in the log", func() bool { return one.logs.count("listener was closed") == 1 })
	one.reaches(two, transport.Log)
}
