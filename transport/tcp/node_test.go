package tcp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// nodes is an ensemble of three durable members on loopback.
type nodes struct {
	t       *testing.T
	config  func(ensemble.ID) tcp.Config
	members []ensemble.Member
	ports   map[ensemble.ID]*port
	dirs    map[ensemble.ID]string
	live    map[ensemble.ID]*ensemble.Node
}

// port keeps a port for all lives of a member, so that nobody else gets it in between. It knows the member's connections.
type port struct {
	net.Listener
	mu    sync.Mutex
	life  *life
	conns []net.Conn
}

// life is the listener of one of them.
type life struct {
	*port
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

func newPort(t *testing.T) *port {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{Listener: l}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			now := p.life
			p.mu.Unlock()
			if now == nil {
				c.Close()
				continue
			}
			select {
			case now.in <- c:
			case <-now.done:
				c.Close()
			}
		}
	})
	t.Cleanup(func() { l.Close(); wait.Wait() })
	return p
}

func (p *port) listen() net.Listener {
	l := &life{port: p, in: make(chan net.Conn), done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life = l
	return l
}

// DialContext makes a port the member's Dialer.
func (p *port) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		p.note(c)
	}
	return c, err
}

func (p *port) note(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

// cut ends all connections that the member has.
func (p *port) cut() {
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (l *life) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		l.note(c)
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *life) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func newNodes(t *testing.T, config func(ensemble.ID) tcp.Config) *nodes {
	e := &nodes{t: t, config: config, ports: map[ensemble.ID]*port{}, dirs: map[ensemble.ID]string{}, live: map[ensemble.ID]*ensemble.Node{}}
	for id := ensemble.ID(1); id <= 3; id++ {
		e.ports[id], e.dirs[id] = newPort(t), t.TempDir()
		e.members = append(e.members, ensemble.Member{ID: id, Addr: e.ports[id].Addr().String()})
	}
	t.Cleanup(func() {
		for _, n := range e.live {
			n.Close()
		}
	})
	for id := range e.ports {
		e.open(id)
	}
	for _, n := range e.live {
		if err := n.Ready(e.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *nodes) ctx() context.Context {
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	e.t.Cleanup(cancel)
	return ctx
}

func (e *nodes) open(id ensemble.ID) {
	e.t.Helper()
	cfg := e.config(id)
	cfg.Listener = e.ports[id].listen()
	if cfg.Dialer == nil {
		cfg.Dialer = e.ports[id]
	}
	n, err := ensemble.Open(e.ctx(), ensemble.Config{ID: id, Members: e.members, Transport: tcp.New(cfg), Dir: e.dirs[id]})
	if err != nil {
		e.t.Fatal(err)
	}
	e.live[id] = n
}

// leader waits for one among those that live.
func (e *nodes) leader() ensemble.ID {
	e.t.Helper()
	for _, n := range e.live {
		for s := range n.StatusChanges(e.ctx()) {
			if s.Ready && s.Leader != 0 && e.live[s.Leader] != nil {
				return s.Leader
			}
		}
		e.t.Fatal("no leader")
	}
	return 0
}

// Three durable members over TCP and TLS elect, write, lose their leader, go on, and take it back.
func TestNodes(t *testing.T) {
	ca := tcptest.NewCA(t)
	e := newNodes(t, func(id ensemble.ID) tcp.Config { return tcp.Config{TLS: ca.Config(id)} })
	written := map[string]string{}
	write := func(count int) {
		t.Helper()
		for i := range count {
			for id, n := range e.live {
				data := fmt.Sprintf("%d by %d", i, id)
				path, err := n.Create(e.ctx(), "/w-", []byte(data), ensemble.Sequential)
				if err != nil {
					t.Fatalf("member %d: %v", id, err)
				}
				written[path] = data
			}
		}
	}
	check := func() {
		t.Helper()
		for id, n := range e.live {
			if _, err := n.Sync(e.ctx()); err != nil {
				t.Fatal(err)
			}
			for path, data := range written {
				if z, err := n.Get(e.ctx(), path); err != nil || string(z.Data) != data {
					t.Fatalf("member %d: %s holds %q, not %q: %v", id, path, z.Data, data, err)
				}
			}
		}
	}
	write(20)
	check()
	for range 3 {
		killed := e.leader()
		begin := time.Now()
		if err := e.live[killed].Close(); err != nil {
			t.Fatal(err)
		}
		delete(e.live, killed)
		write(1)
		t.Logf("leader %d was closed, and all others have written after %v", killed, time.Since(begin).Round(time.Millisecond))
		write(10)
		e.open(killed)
		if err := e.live[killed].Ready(e.ctx()); err != nil {
			t.Fatal(err)
		}
		write(5)
		check()
	}
	large := make([]byte, 1<<20) // more than a frame
	if _, err := e.live[1].Create(e.ctx(), "/large", large, 0); err != nil {
		t.Fatal(err)
	}
	check()
}

// A member with the certificate of another is not heard, and the others go on without it.
func TestImpostor(t *testing.T) {
	ca := tcptest.NewCA(t)
	e := newNodes(t, func(id ensemble.ID) tcp.Config { return tcp.Config{TLS: ca.Config(id)} })
	e.live[3].Close()
	delete(e.live, 3)
	cfg := tcp.Config{Listen: "127.0.0.1:0", TLS: ca.Config(2)}
	if _, err := ensemble.Open(e.ctx(), ensemble.Config{ID: 3, Members: e.members, Transport: tcp.New(cfg)}); err == nil {
		t.Fatal("opened with the certificate of member 2")
	}
	// One that gets round that, as a program of an attacker would.
	cert := cfg.TLS.Certificates[0]
	cfg.TLS = ca.ConfigFor(cert)
	cfg.TLS.Certificates = nil
	cfg.TLS.GetCertificate = getter(cert)
	cfg.TLS.GetClientCertificate = clientGetter(cert)
	n, err := ensemble.Open(e.ctx(), ensemble.Config{ID: 3, Members: e.members, Transport: tcp.New(cfg)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for range 20 {
		if _, err := e.live[1].Create(e.ctx(), "/w-", nil, ensemble.Sequential); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []*ensemble.Node{e.live[1], e.live[2]} {
		for _, p := range m.Status().Peers {
			if p.ID == 3 && p.Reachable {
				t.Errorf("member %d hears the impostor", m.Status().ID)
			}
		}
	}
	if s := n.Status(); s.Ready {
		t.Errorf("the impostor is ready: %+v", s)
	}
}

var record = flag.Bool("record", false, "write what members send to each other to testdata/fuzz")

// recorder is a dialer that keeps what its connections carry.
type recorder struct {
	mu    sync.Mutex
	conns []*recorded
}

type recorded struct {
	net.Conn
	mu       sync.Mutex
	sent, in []byte
}

const mostRecorded = 64 << 10

func (r *recorder) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	rec := &recorded{Conn: c}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, rec)
	return rec, nil
}

func (c *recorded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, b[:min(n, mostRecorded-len(c.in))]...)
	return n, err
}

func (c *recorded) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.sent = append(c.sent, b[:min(len(b), mostRecorded-len(c.sent))]...)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// traffic returns what the connections of an ensemble carry.
func traffic(t *testing.T, config func(ensemble.ID) tcp.Config) (streams [][]byte) {
	var r recorder
	e := newNodes(t, func(id ensemble.ID) tcp.Config {
		cfg := config(id)
		cfg.Dialer = &r
		return cfg
	})
	for i := range 20 {
		if _, err := e.live[ensemble.ID(i%3+1)].Create(e.ctx(), "/visible-", make([]byte, i*50), ensemble.Sequential); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range e.live {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range r.conns {
		streams = append(streams, c.sent, c.in)
	}
	return streams
}

// Plain text is plain, and TLS hides everything. With -record the plain text becomes the seeds of the fuzz targets.
func TestRecordTraffic(t *testing.T) {
	const head = 47
	words := [][]byte{[]byte("ensemble\x00"), []byte("/visible-")}
	var seen [2]int
	for i, b := range traffic(t, func(ensemble.ID) tcp.Config { return tcp.Config{Insecure: true} }) {
		for j, w := range words {
			seen[j] += bytes.Count(b, w)
		}
		if !*record || len(b) < head {
			continue
		}
		save(t, "FuzzHandshake", fmt.Sprintf("[]byte(%q)\nbyte('\\x%02x')\n", b[:min(len(b), head+20)], i%50))
		if frames := b[head:]; len(frames) > 0 {
			save(t, "FuzzFrames", fmt.Sprintf("[]byte(%q)\n[]byte(%q)\n", frames[:min(len(frames), 3000)], []byte{byte(i%50 + 1), 9, byte(i%2 + 2)}))
		}
	}
	if seen[0] < 9 || seen[1] < 20 {
		t.Errorf("plain text shows %d greetings and %d paths", seen[0], seen[1])
	}
	ca := tcptest.NewCA(t)
	for _, b := range traffic(t, func(id ensemble.ID) tcp.Config { return tcp.Config{TLS: ca.Config(id)} }) {
		for _, w := range words {
			if bytes.Contains(b, w) {
				t.Errorf("TLS shows %q", w)
			}
		}
	}
}

func save(t *testing.T, target, text string) {
	t.Helper()
	h := fnv.New64a()
	h.Write([]byte(text))
	dir := filepath.Join("testdata", "fuzz", target)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016x", h.Sum64())), []byte("go test fuzz v1\n"+text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func getter(c tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c, nil }
}

func clientGetter(c tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
}
