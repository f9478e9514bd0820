// Package tcptest is a throw-away certificate authority, for tests of programs that use transport/tcp with TLS. Its keys exist in memory only. It is not
// for production: make certificates with the tools of your organisation, with a URI SAN as transport/tcp describes it.
package tcptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

// CA is a certificate authority.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

// NewCA returns a new one. What goes wrong ends the test.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{t: t, key: newKey(t), pool: x509.NewCertPool()}
	template := template(t, "tcptest CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	template.ExtKeyUsage = nil
	ca.cert = ca.sign(template, template, ca.key)
	ca.pool.AddCert(ca.cert)
	return ca
}

// Pool returns a pool that holds the CA.
func (ca *CA) Pool() *x509.CertPool { return ca.pool.Clone() }

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
	c := template(ca.t, "tcptest")
	if edit != nil {
		edit(c)
	}
	key := newKey(ca.t)
	leaf := ca.sign(c, ca.cert, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
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

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func template(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (ca *CA) sign(c, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	ca.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert
}
