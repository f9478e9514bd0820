package tcp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// credentials are what a member shows and trusts at present.
type credentials struct {
	mu    sync.Mutex
	cert  tls.Certificate
	roots *x509.CertPool
}

func (c *credentials) set(cert *tls.Certificate, roots *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert != nil {
		c.cert = *cert
	}
	if roots != nil {
		c.roots = roots
	}
}

func (c *credentials) certificate() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert := c.cert
	return &cert, nil
}

func (c *credentials) config() tcp.Config {
	return tcp.Config{
		TLS: &tls.Config{
			GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.certificate() },
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() },
		},
		Roots: func() *x509.CertPool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.roots
		},
	}
}

func memberCertificate(ca *tcptest.CA, id ensemble.ID) *tls.Certificate {
	c := ca.Certificate(func(c *x509.Certificate) { c.URIs = []*url.URL{tcptest.URI(id)} })
	return &c
}

// The CA is replaced while members run: all trust both, then all have new certificates, then all trust the new one alone. No step loses a connection, and after each
// of them the member loses them all and makes new ones, while the others go on.
func TestRotateCA(t *testing.T) {
	older, newer := tcptest.NewCA(t), tcptest.NewCA(t)
	all := map[ensemble.ID]*credentials{}
	e := newNodes(t, func(id ensemble.ID) tcp.Config {
		if all[id] == nil {
			all[id] = new(credentials)
			all[id].set(memberCertificate(older, id), older.Pool())
		}
		return all[id].config()
	})
	if _, err := e.live[1].Create(e.ctx(), "/w", nil, 0); err != nil {
		t.Fatal(err)
	}
	writes := 0
	write := func() {
		t.Helper()
		for id, n := range e.live {
			if _, err := n.Create(e.ctx(), "/w/", nil, ensemble.Sequential); err != nil {
				t.Fatalf("member %d: %v", id, err)
			}
			writes++
		}
	}
	refused := func(cert *tls.Certificate, why string) {
		t.Helper()
		for id, port := range e.ports {
			c, err := tls.Dial("tcp", port.Addr().String(), &tls.Config{
				InsecureSkipVerify: true, NextProtos: []string{"ensemble/1"},
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
			})
			if err != nil {
				t.Fatal(err) // the acceptor refuses later, in the first bytes it sends
			}
			c.SetDeadline(time.Now().Add(time.Minute))
			_, err = c.Read(make([]byte, 1))
			if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "remote error" { // an alert
				t.Errorf("member %d, %s: %v", id, why, err)
			}
			c.Close()
		}
	}
	refused(memberCertificate(newer, 1), "a certificate of the new CA before its time")
	steps := []struct {
		name string
		take func(id ensemble.ID)
	}{
		{"both are trusted", func(id ensemble.ID) { all[id].set(nil, older.Pool(newer)) }},
		{"a new certificate", func(id ensemble.ID) { all[id].set(memberCertificate(newer, id), nil) }},
		{"only the new CA is trusted", func(id ensemble.ID) { all[id].set(nil, newer.Pool()) }},
	}
	for _, step := range steps {
		for id := ensemble.ID(1); id <= 3; id++ {
			before := e.live[e.leader()].Status()
			step.take(id)
			write()
			if now := e.live[e.leader()].Status(); now.Leader != before.Leader || now.Epoch != before.Epoch {
				t.Errorf("%s, member %d: leader %d of epoch %d, before %d of %d", step.name, id, now.Leader, now.Epoch, before.Leader, before.Epoch)
			}
			e.ports[id].cut()
			write()
		}
	}
	refused(memberCertificate(older, 1), "a certificate of the old CA")
	for id, n := range e.live {
		if _, err := n.Sync(e.ctx()); err != nil {
			t.Fatal(err)
		}
		if names, err := n.Children(e.ctx(), "/w"); err != nil || len(names) != writes {
			t.Errorf("member %d holds %d of %d writes: %v", id, len(names), writes, err)
		}
	}
	// A member that is left behind is shut out, and the others do without it.
	e.live[3].Close()
	delete(e.live, 3)
	all[3].set(memberCertificate(older, 3), older.Pool(newer))
	e.open(3)
	for range 20 {
		for _, id := range []ensemble.ID{1, 2} {
			if _, err := e.live[id].Create(e.ctx(), "/w/", nil, ensemble.Sequential); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := e.live[3].Status(); s.Ready {
		t.Errorf("with a certificate of the old CA: %+v", s)
	}
}
