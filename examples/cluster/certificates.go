package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ensemble-go/ensemble"
)

// certificates returns the TLS config of a member. If there is no directory DIR/certificates it is made, with a CA and a certificate for each of n members;
// the members may start at the same time. The key of the CA is thrown away.
func certificates(dir string, id ensemble.ID, n int) (*tls.Config, error) {
	dir = filepath.Join(dir, "certificates")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeCertificates(dir, n); err != nil {
			return nil, err
		}
	}
	name := filepath.Join(dir, fmt.Sprintf("member-%d", id))
	cert, err := tls.LoadX509KeyPair(name+".crt", name+".key")
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificate in %s", filepath.Join(dir, "ca.crt"))
	}
	return config, nil
}

func makeCertificates(dir string, n int) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "certificates-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "examples/cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if err := save(filepath.Join(tmp, "ca"), ca, ca, caKey, caKey, false); err != nil {
		return err
	}
	for id := 1; id <= n; id++ {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		member := &x509.Certificate{
			SerialNumber: big.NewInt(int64(1 + id)), Subject: pkix.Name{CommonName: fmt.Sprintf("member %d", id)},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			URIs:        []*url.URL{{Scheme: "ensemble", Opaque: fmt.Sprint(id)}}, // this is who it is
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if err := save(filepath.Join(tmp, fmt.Sprintf("member-%d", id)), member, ca, key, caKey, true); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil // another member was faster
		}
		return err
	}
	return nil
}

func save(name string, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey, withKey bool) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil || !withKey {
		return err
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return err
	}
	return os.WriteFile(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
