package tcp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"

	"github.com/ensemble-go/ensemble/quorum"
)

// protocol is negotiated by ALPN, so that bytes meant for another service under the same certificate are not taken for ours.
const protocol = "ensemble/1"

var errNoCA = errors.New("TLS: RootCAs, ClientCAs or Roots must name the CA of the ensemble")

func checkTLS(c *tls.Config, roots func() *x509.CertPool) error {
	if c == nil {
		return errors.New("TLS must be set (plain text, with no proof of who is speaking, only with Insecure)")
	}
	var errs []error
	if c.RootCAs == nil && c.ClientCAs == nil && roots == nil {
		errs = append(errs, errNoCA)
	}
	if len(c.Certificates) == 0 && (c.GetCertificate == nil && c.GetConfigForClient == nil || c.GetClientCertificate == nil) {
		errs = append(errs, errors.New("TLS: Certificates must be set, or both GetCertificate and GetClientCertificate"))
	}
	if c.InsecureSkipVerify {
		errs = append(errs, errors.New("TLS: InsecureSkipVerify: certificates are always verified"))
	}
	return errors.Join(errs...)
}

// strict returns a copy in which what we rely on does not depend on the host, and which trusts what is trusted now. Without a CA it is an error, or the
// roots of the system would do.
func strict(c *tls.Config, roots func() *x509.CertPool) (*tls.Config, error) {
	c = c.Clone()
	if roots != nil {
		c.RootCAs, c.ClientCAs = roots(), nil
	}
	c.MinVersion, c.MaxVersion = tls.VersionTLS13, 0
	c.NextProtos = []string{protocol}
	c.SessionTicketsDisabled, c.ClientSessionCache = true, nil // each connection proves who it is
	c.DynamicRecordSizingDisabled = true
	if c.RootCAs == nil {
		c.RootCAs = c.ClientCAs
	}
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	if c.RootCAs == nil {
		return nil, errNoCA
	}
	return c, nil
}

// serverConfig is for connections that are accepted: it makes a config for each.
func serverConfig(base *tls.Config, roots func() *x509.CertPool) *tls.Config {
	s := base.Clone()
	s.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		c := base
		if base.GetConfigForClient != nil {
			other, err := base.GetConfigForClient(h)
			if err != nil {
				return nil, err
			}
			if other != nil {
				c = other
			}
		}
		c, err := strict(c, roots)
		if err != nil {
			return nil, err
		}
		c.ClientAuth, c.GetConfigForClient = tls.RequireAndVerifyClientCert, nil
		return c, nil
	}
	return s
}

// server is a peer that is dialled.
type server struct {
	host string
	id   quorum.ID
}

// clientConfig is for a connection to one peer. The name of the host has no say, so verification is ours: the chain, then the id.
func (t *Transport) clientConfig(to *server) (*tls.Config, error) {
	base, err := strict(t.cfg.TLS, t.cfg.Roots)
	if err != nil {
		return nil, err
	}
	c := base.Clone()
	if c.ServerName == "" {
		c.ServerName = to.host
	}
	c.InsecureSkipVerify = true // by crypto/tls; see VerifyConnection
	c.VerifyPeerCertificate = nil
	c.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		opts := x509.VerifyOptions{Roots: base.RootCAs, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if base.Time != nil {
			opts.CurrentTime = base.Time()
		}
		var raw [][]byte
		for i, cert := range s.PeerCertificates {
			raw = append(raw, cert.Raw)
			if i > 0 {
				opts.Intermediates.AddCert(cert)
			}
		}
		var err error
		if s.VerifiedChains, err = leaf.Verify(opts); err != nil {
			return err
		}
		if base.VerifyPeerCertificate != nil {
			if err := base.VerifyPeerCertificate(raw, s.VerifiedChains); err != nil {
				return err
			}
		}
		if base.VerifyConnection != nil {
			if err := base.VerifyConnection(s); err != nil {
				return err
			}
		}
		return t.vouches(leaf, to.id)
	}
	return c, nil
}

var (
	errProtocol      = errors.New("TLS without the protocol " + protocol)
	errNoCertificate = errors.New("TLS without a certificate")
)

// stream is a connection on which greetings and frames are exchanged.
type stream struct {
	raw    net.Conn
	tls    *tls.Conn // nil for plain text
	gather *gather   // below tls
	peer   *x509.Certificate
}

// secure does the TLS handshake, unless the transport is insecure. server is what was dialled, and nil for the accepting side.
func (t *Transport) secure(ctx context.Context, raw net.Conn, server *server) (*stream, error) {
	s := &stream{raw: raw}
	if t.cfg.Insecure {
		return s, nil
	}
	s.gather = &gather{Conn: raw}
	if server != nil {
		config, err := t.clientConfig(server)
		if err != nil {
			return nil, err
		}
		s.tls = tls.Client(s.gather, config)
	} else {
		s.tls = tls.Server(s.gather, t.serverTLS)
	}
	if err := s.tls.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := s.tls.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return nil, errProtocol
	}
	if len(state.PeerCertificates) == 0 {
		return nil, errNoCertificate // crypto/tls has seen to that
	}
	s.peer = state.PeerCertificates[0]
	return s, nil
}

// conn is what greetings are read from and written to.
func (s *stream) conn() net.Conn {
	if s.tls != nil {
		return s.tls
	}
	return s.raw
}

// gather lets the records of a batch leave in one write. Records are written to it under a lock of crypto/tls, also by the goroutine that reads (an alert, a new key);
// only the goroutine that writes frames flushes, outside of that lock.
type gather struct {
	net.Conn
	mu  sync.Mutex
	on  bool
	buf []byte
	out []byte // being written
}

func (g *gather) Write(b []byte) (int, error) {
	g.mu.Lock()
	if g.on {
		g.buf = append(g.buf, b...)
		g.mu.Unlock()
		return len(b), nil
	}
	g.mu.Unlock()
	return g.Conn.Write(b)
}

// start ends the handshake, in which nothing is held back.
func (g *gather) start() {
	g.mu.Lock()
	g.on = true
	g.mu.Unlock()
}

// take returns what has gathered, valid until the next call.
func (g *gather) take() []byte {
	g.mu.Lock()
	g.buf, g.out = g.out[:0], g.buf
	g.mu.Unlock()
	return g.out
}

func leafOf(c *tls.Certificate) (*x509.Certificate, error) {
	switch {
	case c.Leaf != nil:
		return c.Leaf, nil
	case len(c.Certificate) == 0:
		return nil, errors.New("a certificate without content")
	}
	return x509.ParseCertificate(c.Certificate[0])
}
