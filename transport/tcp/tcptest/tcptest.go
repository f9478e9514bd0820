// Package tcptest is a throw-away certificate authority, for tests and demonstrations of programs that use transport/tcp with TLS. It is not
// for production: make certificates with the tools of your organisation, with a URI SAN as transport/tcp describes it.
package tcptest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

const good = time.Hour

// CA is a certificate authority. Its keys exist in memory only.
type CA struct {
	t testing.TB
	*authority
}

// NewCA returns a new one. What goes wrong ends the test.
func NewCA(t testing.TB) *CA {
	t.Helper()
	a, err := newAuthority(good)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{t, a}
}

// Pool returns a new pool that holds the CA, and others if there are any.
func (ca *CA) Pool(others ...*CA) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	for _, o := range others {
		p.AddCert(o.cert)
	}
	return p
}

// Config returns the config of a member: a certificate with the URI SAN ensemble:<id>, good for an hour, and the CA.
func (ca *CA) Config(id quorum.ID) *tls.Config {
	ca.t.Helper()
	return ca.ConfigFor(ca.Certificate(func(c *x509.Certificate) { c.URIs = []*url.URL{URI(id)} }))
}

// ConfigFor returns a config with the certificate, and the CA.
func (ca *CA) ConfigFor(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: ca.Pool()}
}

// Certificate returns a new certificate that names nobody, for servers and clients, after edit has changed what it likes.
func (ca *CA) Certificate(edit func(*x509.Certificate)) tls.Certificate {
	ca.t.Helper()
	c, err := template("tcptest", good)
	if err != nil {
		ca.t.Fatal(err)
	}
	if edit != nil {
		edit(c)
	}
	cert, err := ca.issue(c)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert
}

// URI returns the name of a member in a certificate.
func URI(id quorum.ID) *url.URL { return &url.URL{Scheme: "ensemble", Opaque: fmt.Sprint(uint64(id))} }

// Hosts returns an edit for Certificate: valid for these hosts, by name or IP address.
func Hosts(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, name := range names {
			if ip := net.ParseIP(name); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, name)
			}
		}
	}
}
