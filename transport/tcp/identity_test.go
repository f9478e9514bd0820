package tcp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// rotating holds certificates that are renewed while they are in use.
type rotating struct {
	ca    *tcptest.CA
	mu    sync.Mutex
	certs map[quorum.ID]tls.Certificate
}

func newRotating(ca *tcptest.CA) *rotating {
	r := &rotating{ca: ca, certs: map[quorum.ID]tls.Certificate{}}
	r.renew()
	return r
}

func (r *rotating) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := quorum.ID(1); id <= 3; id++ {
		r.certs[id] = r.ca.Certificate(uris(tcptest.URI(id).String()))
	}
}

func (r *rotating) get(id quorum.ID) *tls.Certificate {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certs[id]
	return &c
}

func (r *rotating) serial(id quorum.ID) string { return r.get(id).Leaf.SerialNumber.String() }

func (r *rotating) config(id quorum.ID) Config {
	return Config{TLS: &tls.Config{
		RootCAs:              r.ca.Pool(),
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.get(id), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.get(id), nil },
	}}
}

// seen returns the certificate under which m is connected to the peer.
func (r *rotating) seen(m *member, peer quorum.ID) string {
	m.settled(peer)
	m.Transport.mu.Lock()
	defer m.Transport.mu.Unlock()
	return m.peers[peer].bundle.conns[transport.Log].stream.peer.SerialNumber.String()
}

func uris(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, n := range names {
			u, err := url.Parse(n)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

func both(edits ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, e := range edits {
			e(c)
		}
	}
}

// For which member a certificate speaks.
func TestSpeaker(t *testing.T) {
	ca := tcptest.NewCA(t)
	hosts := hostsOf(map[quorum.ID]string{
		1: "a.example:7400", 2: "b.example:7400", 3: "10.0.0.3:7400", 4: "[fe80::4%eth0]:7400",
		5: "shared.example:1", 6: "SHARED.example.:2", 7: ":7400", 8: "no port",
	})
	for _, c := range []struct {
		name string
		edit func(*x509.Certificate)
		want quorum.ID
		err  string
	}{
		{"a name", uris("ensemble:7"), 7, ""},
		{"a name that nobody knows", uris("ensemble:99"), 99, ""},
		{"the largest name", uris("ensemble:18446744073709551615"), 1<<64 - 1, ""},
		{"a name among others", uris("https://a.example/", "ensemble:7"), 7, ""},
		{"a name goes before the host", both(uris("ensemble:7"), tcptest.Hosts("a.example")), 7, ""},
		{"two names", uris("ensemble:1", "ensemble:2"), 0, "several"},
		{"the same name twice", uris("ensemble:1", "ensemble:1"), 0, "several"},
		{"zero", uris("ensemble:0"), 0, "malformed"},
		{"leading zero", uris("ensemble:07"), 0, "malformed"},
		{"plus", uris("ensemble:+7"), 0, "malformed"},
		{"minus", uris("ensemble:-7"), 0, "malformed"},
		{"too large", uris("ensemble:18446744073709551616"), 0, "malformed"},
		{"a path", uris("ensemble:7/8"), 0, "malformed"},
		{"slashes", uris("ensemble://7"), 0, "malformed"},
		{"a query", uris("ensemble:7?8"), 0, "malformed"},
		{"a fragment", uris("ensemble:7#8"), 0, "malformed"},
		{"an empty name", uris("ensemble:"), 0, "malformed"},
		{"malformed, and a host", both(uris("ensemble:x"), tcptest.Hosts("a.example")), 0, "malformed"},
		{"another scheme", uris("ensembles:7"), 0, "no member's host"},
		{"a host", tcptest.Hosts("a.example"), 1, ""},
		{"a host and one of nobody", tcptest.Hosts("c.example", "b.example"), 2, ""},
		{"two hosts", tcptest.Hosts("a.example", "b.example"), 0, "members 1 and 2"},
		{"all hosts", tcptest.Hosts("*.example"), 0, "members 1 and 2"},
		{"a shared host", tcptest.Hosts("shared.example"), 0, "members 5 and 6"},
		{"an address", tcptest.Hosts("10.0.0.3"), 3, ""},
		{"an IPv6 address", tcptest.Hosts("fe80::4"), 4, ""},
		{"another address", tcptest.Hosts("10.0.0.4"), 0, "no member's host"},
		{"nobody", nil, 0, "no member's host"},
		{"common name", func(c *x509.Certificate) { c.Subject.CommonName = "a.example" }, 0, "no member's host"},
		{"an empty host", tcptest.Hosts("no port"), 0, "no member's host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := New(Config{})
			tr.hosts = hosts
			id, err := tr.speaker(ca.Certificate(c.edit).Leaf)
			if id != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %d, %v", id, err)
			}
		})
	}
}

// What the port of member 1 does with callers who hold these certificates and claim to be member 2.
func TestAuthentication(t *testing.T) {
	ca, other := tcptest.NewCA(t), tcptest.NewCA(t)
	m := start(t, 1, Config{TLS: ca.Config(1)}, func(l *limits) { l.again = 0 })
	m.SetPeers(map[quorum.ID]string{1: m.addr(), 2: "two.example:1"})
	claim := greeting{from: 2, to: 1, run: 1, dial: 1}
	with := func(edit func(*x509.Certificate)) *tls.Config { return ca.ConfigFor(ca.Certificate(edit)) }
	for _, c := range []struct {
		name   string
		config *tls.Config
		v      verdict // impostor, or wrongVersion for: TLS fails
	}{
		{"its own name", ca.Config(2), admitted},
		{"its own host", with(tcptest.Hosts("two.example")), admitted},
		{"another member's name", ca.Config(3), impostor},
		{"our name", ca.Config(1), impostor},
		{"no name", with(nil), impostor},
		{"another host", with(tcptest.Hosts("three.example")), impostor},
		{"two names", with(uris("ensemble:2", "ensemble:3")), impostor},
		{"no certificate", &tls.Config{}, wrongVersion},
		{"another CA", other.Config(2), wrongVersion},
		{"expired", with(both(uris("ensemble:2"), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })), wrongVersion},
		{"not yet valid", with(both(uris("ensemble:2"), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), wrongVersion},
		{"for servers only", with(both(uris("ensemble:2"), func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })), wrongVersion},
		{"TLS 1.2", func() *tls.Config { c := ca.Config(2); c.MaxVersion = tls.VersionTLS12; return c }(), wrongVersion},
		{"another protocol", func() *tls.Config { c := ca.Config(2); c.NextProtos = []string{"h2"}; return c }(), wrongVersion},
		{"no protocol", func() *tls.Config { c := ca.Config(2); c.NextProtos = []string{}; return c }(), wrongVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim.dial++
			caller := call(t, m, c.config)
			if c.v != wrongVersion {
				caller.must(c.v, claim)
				if c.v == impostor {
					caller.closed()
				}
				return
			}
			if a, err := caller.hello(claim); err == nil {
				t.Fatalf("answered: %+v", a)
			}
		})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.got) > 0 {
		t.Errorf("frames arrived: %v", m.got)
	}
}

// What member 1 does when it dials member 2 and somebody else answers. Nothing of ours is shown but the TLS handshake.
func TestDialAuthenticates(t *testing.T) {
	ca, other := tcptest.NewCA(t), tcptest.NewCA(t)
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }
	for _, c := range []struct {
		name string
		cert tls.Certificate
		want string // in the log of member 1; "" if it says hello
	}{
		{"member 2", ca.Certificate(uris("ensemble:2")), ""},
		{"member 3", ca.Certificate(uris("ensemble:3")), "that of member 3, not 2"},
		{"nobody", ca.Certificate(nil), "valid for no member's host"},
		{"another CA", other.Certificate(uris("ensemble:2")), "unknown authority"},
		{"expired", ca.Certificate(both(uris("ensemble:2"), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })), "expired"},
		{"for clients only", ca.Certificate(both(uris("ensemble:2"), serverOnly)), "incompatible key usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listen(t)
			defer l.Close()
			m := start(t, 1, Config{TLS: ca.Config(1)}, nil)
			m.SetPeers(map[quorum.ID]string{1: m.addr(), 2: l.Addr().String()})
			raw, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			s := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{c.cert}, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{protocol}})
			var g greeting
			err = g.read(s)
			if c.want == "" {
				if err != nil || g.from != 1 || g.to != 2 {
					t.Errorf("hello: %+v, %v", g, err)
				}
				return
			}
			if err == nil || len(s.ConnectionState().PeerCertificates) > 0 {
				t.Errorf("member 1 shows its certificate, or says hello: %+v, %v", g, err)
			}
			m.until("a line in the log", func() bool { return m.logs.count("cannot connect", c.want) > 0 })
		})
	}
}

// A rule of the host's own takes the place of ours.
func TestIdentify(t *testing.T) {
	ca := tcptest.NewCA(t)
	cfg := Config{TLS: ca.Config(9)} // its name means nothing now
	cfg.Identify = func(c *x509.Certificate) (quorum.ID, error) {
		var id quorum.ID
		if _, err := fmt.Sscanf(c.Subject.CommonName, "member-%d", &id); err != nil {
			return 0, errors.New("not a member")
		}
		return id, nil
	}
	m := start(t, 1, cfg, nil)
	cert := func(name string) *tls.Config {
		return ca.ConfigFor(ca.Certificate(both(uris("ensemble:3"), func(c *x509.Certificate) { c.Subject.CommonName = name })))
	}
	call(t, m, cert("member-2")).must(admitted, greeting{from: 2, to: 1, run: 1, dial: 1})
	call(t, m, cert("member-2")).must(impostor, greeting{from: 3, to: 1, run: 1, dial: 2})
	call(t, m, cert("guest")).must(impostor, greeting{from: 3, to: 1, run: 1, dial: 3})
}

// A host's GetConfigForClient cannot weaken anything.
func TestConfigForClient(t *testing.T) {
	ca, other := tcptest.NewCA(t), tcptest.NewCA(t)
	base := ca.Config(1)
	given := &tls.Config{Certificates: base.Certificates, ClientCAs: ca.Pool(), ClientAuth: tls.NoClientCert, MaxVersion: tls.VersionTLS12}
	var mu sync.Mutex
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		return given, nil
	}
	m := start(t, 1, Config{TLS: base}, nil)
	hi := greeting{from: 2, to: 1, run: 1, dial: 1}
	call(t, m, ca.Config(2)).must(admitted, hi)
	for name, c := range map[string]*tls.Config{"no certificate": {}, "another CA": other.Config(2)} {
		if a, err := call(t, m, c).hello(hi); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	mu.Lock()
	given = &tls.Config{Certificates: base.Certificates} // the system's roots
	mu.Unlock()
	if a, err := call(t, m, ca.Config(2)).hello(hi); err == nil {
		t.Errorf("without a CA: %+v", a)
	}
}

// Without a CA nobody is trusted, rather than whom the system trusts.
func TestRootsOfNobody(t *testing.T) {
	ca := tcptest.NewCA(t)
	var mu sync.Mutex
	roots := ca.Pool()
	cfg := Config{TLS: ca.Config(1), Roots: func() *x509.CertPool {
		mu.Lock()
		defer mu.Unlock()
		return roots
	}}
	cfg.TLS.RootCAs = tcptest.NewCA(t).Pool() // Roots takes its place
	m, peer := start(t, 1, cfg, nil), start(t, 2, Config{TLS: ca.Config(2)}, nil)
	call(t, m, ca.Config(2)).must(admitted, greeting{from: 2, to: 1, run: 1, dial: 1})
	mu.Lock()
	roots = nil
	mu.Unlock()
	if a, err := call(t, m, ca.Config(2)).hello(greeting{from: 2, to: 1, run: 1, dial: 2}); err == nil {
		t.Errorf("accepted: %+v", a)
	}
	m.SetPeers(map[quorum.ID]string{1: m.addr(), 2: peer.addr()})
	m.until("its own dial fails", func() bool { return m.logs.count(errNoCA.Error()) > 0 })
}

// What Start refuses.
func TestConfig(t *testing.T) {
	ca := tcptest.NewCA(t)
	edit := func(f func(*tls.Config)) *tls.Config {
		c := ca.Config(1)
		f(c)
		return c
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"nothing", Config{}, "exactly one of Listen and Listener"},
		{"no TLS", Config{Listen: "127.0.0.1:0"}, "TLS must be set"},
		{"TLS and Insecure", Config{Listen: "127.0.0.1:0", TLS: ca.Config(1), Insecure: true}, "plain text"},
		{"no CA", Config{Listen: "127.0.0.1:0", TLS: edit(func(c *tls.Config) { c.RootCAs = nil })}, "RootCAs, ClientCAs or Roots"},
		{"Roots and Insecure", Config{Listen: "127.0.0.1:0", Roots: func() *x509.CertPool { return ca.Pool() }, Insecure: true}, "plain text"},
		{"no certificate", Config{Listen: "127.0.0.1:0", TLS: edit(func(c *tls.Config) { c.Certificates = nil })}, "Certificates must be set"},
		{"half a certificate", Config{Listen: "127.0.0.1:0", TLS: edit(func(c *tls.Config) {
			c.Certificates = nil
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		})}, "both GetCertificate and GetClientCertificate"},
		{"unverified", Config{Listen: "127.0.0.1:0", TLS: edit(func(c *tls.Config) { c.InsecureSkipVerify = true })}, "always verified"},
		{"another's certificate", Config{Listen: "127.0.0.1:0", TLS: ca.Config(2)}, "made for another id"},
		{"an address of nobody", Config{Listen: "nowhere", Insecure: true}, "listen tcp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := New(c.cfg)
			defer tr.Close()
			if err := tr.Start(1, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Start: %v", err)
			}
		})
	}
	l := listen(t)
	tr := New(Config{Listen: "127.0.0.1:0", Listener: l, Insecure: true})
	if err := tr.Start(1, nil); err == nil {
		t.Error("both Listen and Listener")
	}
	tr.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open after Close: %v", err)
	}
}
