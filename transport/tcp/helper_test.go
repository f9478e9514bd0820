package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// patience is how long a test waits for what must happen. A test that passes never waits for long.
const patience = time.Minute

// member is a transport that has been started, and what its handler was told.
type member struct {
	*Transport
	t    testing.TB
	id   quorum.ID
	logs *logs

	mu   sync.Mutex
	got  map[string]int // "from class frame", how often
	lost map[quorum.ID]int
	news chan struct{}
}

// start starts a transport with short times on a port of its own, unless cfg has a listener.
func start(t testing.TB, id quorum.ID, cfg Config, edit func(*limits)) *member {
	t.Helper()
	if cfg.Listener == nil {
		cfg.Listen = "127.0.0.1:0"
	}
	m := &member{t: t, id: id, logs: new(logs), got: map[string]int{}, lost: map[quorum.ID]int{}, news: make(chan struct{}, 1)}
	cfg.Logger = slog.New(slog.NewTextHandler(m.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m.Transport = New(cfg)
	if edit != nil {
		edit(&m.limits)
	}
	if err := m.Start(id, m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func plain() Config { return Config{Insecure: true} }

func (m *member) Receive(from quorum.ID, class transport.Class, frame []byte) {
	key := fmt.Sprintf("%d %v %s", from, class, frame[:min(len(frame), 100)])
	m.mu.Lock()
	m.got[key]++
	m.mu.Unlock()
	m.tell()
}

func (m *member) Lost(peer quorum.ID) {
	m.mu.Lock()
	m.lost[peer]++
	m.mu.Unlock()
	m.tell()
}

func (m *member) tell() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *member) losses(peer quorum.ID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost[peer]
}

func (m *member) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[key] > 0
}

// until waits for a condition. It looks when the handler is told something, and now and then.
func (m *member) until(what string, ok func() bool) {
	m.t.Helper()
	end, look := time.NewTimer(patience), time.NewTicker(2*time.Millisecond)
	defer end.Stop()
	defer look.Stop()
	for !ok() {
		select {
		case <-m.news:
		case <-look.C:
		case <-end.C:
			m.t.Fatalf("member %d: %s does not happen; its log:\n%s", m.id, what, m.logs)
		}
	}
}

// reaches sends until the other has received.
func (m *member) reaches(to *member, class transport.Class) {
	m.t.Helper()
	word := fmt.Sprintf("%v %d", class, time.Now().UnixNano())
	to.until(fmt.Sprintf("a frame from %d", m.id), func() bool {
		m.Send(to.id, class, []byte(word))
		return to.has(fmt.Sprintf("%d %v %s", m.id, class, word))
	})
}

// settled waits for a complete bundle with the peer, and returns its name.
func (m *member) settled(peer quorum.ID) (name run) {
	m.t.Helper()
	m.until(fmt.Sprintf("a bundle with %d", peer), func() bool {
		m.Transport.mu.Lock()
		p := m.peers[peer]
		var b *bundle
		if p != nil {
			b = p.bundle
		}
		m.Transport.mu.Unlock()
		if b == nil || !b.complete() {
			return false
		}
		name = b.name
		return true
	})
	return name
}

func (m *member) addr() string { return m.Addr().String() }

// acquaint tells all members of each other.
func acquaint(members ...*member) {
	for _, m := range members {
		addrs := make(map[quorum.ID]string)
		for _, o := range members {
			addrs[o.id] = o.addr()
		}
		m.SetPeers(addrs)
	}
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count returns how many lines contain all the words.
func (l *logs) count(words ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		ok := true
		for _, w := range words {
			ok = ok && strings.Contains(line, w)
		}
		if ok {
			n++
		}
	}
	return n
}

// caller is a program of our own at the other end, which need not behave.
type caller struct {
	net.Conn
	t testing.TB
}

func call(t testing.TB, m *member, config *tls.Config) *caller {
	t.Helper()
	raw, err := net.Dial("tcp", m.addr())
	if err != nil {
		t.Fatal(err)
	}
	return calling(t, raw, config)
}

func calling(t testing.TB, raw net.Conn, config *tls.Config) *caller {
	t.Helper()
	t.Cleanup(func() { raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if config != nil {
		config = config.Clone()
		config.InsecureSkipVerify = true // whom we call is known
		if config.NextProtos == nil {
			config.NextProtos = []string{protocol}
		}
		return &caller{tls.Client(raw, config), t}
	}
	return &caller{raw, t}
}

// hello says hello and returns the answer.
func (c *caller) hello(g greeting) (greeting, error) {
	c.t.Helper()
	g.kind = hello
	if g.version == 0 {
		g.version = version
	}
	if _, err := c.Write(g.append(nil)); err != nil {
		return greeting{}, err
	}
	var a greeting
	err := a.read(c)
	return a, err
}

// must says hello and wants this verdict.
func (c *caller) must(v verdict, g greeting) greeting {
	c.t.Helper()
	a, err := c.hello(g)
	if err != nil || a.verdict != v || a.kind != answer || a.to != g.from {
		c.t.Fatalf("hello %+v is answered by %+v, %v; want %v", g, a, err, v)
	}
	return a
}

// closed waits until the other side has closed.
func (c *caller) closed() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatal("the connection is not closed")
	}
}

// bundleOf makes a bundle in plain text whose other end is ours.
func bundleOf(t testing.TB, m *member, id quorum.ID, runNo, dialNo uint64) (conns [transport.Classes]*caller) {
	t.Helper()
	for class := range conns {
		conns[class] = call(t, m, nil)
		conns[class].must(admitted, greeting{class: transport.Class(class), from: id, to: m.id, run: runNo, dial: dialNo})
	}
	return conns
}

// bundle makes a bundle as member 2 whose other end is ours, without deadlines.
func (p *pipes) bundle(t testing.TB, m *member) (conns [transport.Classes]*caller) {
	t.Helper()
	for class := range conns {
		raw, err := p.DialContext(t.Context(), "", m.Addr().(*net.UnixAddr).Name)
		if err != nil {
			t.Fatal(err)
		}
		conns[class] = calling(t, raw, nil)
		conns[class].must(admitted, greeting{class: transport.Class(class), from: 2, to: m.id, run: 1, dial: 1})
		raw.SetDeadline(time.Time{})
	}
	return conns
}

// pipes is a network in memory, for bubbles of testing/synctest.
type pipes struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

type pipeListener struct {
	name string
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (p *pipes) listen(name string) *pipeListener {
	l := &pipeListener{name: name, in: make(chan net.Conn), done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners == nil {
		p.listeners = map[string]*pipeListener{}
	}
	p.listeners[name] = l
	return l
}

// deaf listens as "deaf": it takes connections and says nothing.
func (p *pipes) deaf() *pipeListener {
	l := p.listen("deaf")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
		}
	}()
	return l
}

// config is that of a member whose address is its id.
func (p *pipes) config(id quorum.ID, d Dialer) Config {
	return Config{Insecure: true, Listener: p.listen(fmt.Sprint(id)), Dialer: d}
}

func (p *pipes) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	l := p.listeners[address]
	p.mu.Unlock()
	if l == nil {
		return nil, errors.New("nobody listens")
	}
	here, there := net.Pipe()
	select {
	case l.in <- there:
		return here, nil
	case <-l.done:
		return nil, errors.New("nobody listens any more")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: l.name, Net: "pipe"} }
