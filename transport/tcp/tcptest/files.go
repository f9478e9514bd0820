package tcptest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

const filesGood = 365 * 24 * time.Hour

// WriteFiles makes a CA and writes what processes need to try TLS: ca.pem into a directory that exists, and for each of the members ID.pem, a certificate with the URI SAN
// ensemble:ID and its key, good for a year. The key of the CA is kept nowhere.
func WriteFiles(dir string, ids ...quorum.ID) error {
	ca, err := newAuthority(filesGood)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), certificatePEM(ca.cert.Raw), 0o644); err != nil {
		return err
	}
	for _, id := range ids {
		c, err := template(fmt.Sprint("member ", id), filesGood)
		if err != nil {
			return err
		}
		c.URIs = []*url.URL{URI(id)}
		cert, err := ca.issue(c)
		if err != nil {
			return err
		}
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			return err
		}
		text := append(certificatePEM(cert.Certificate[0]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
		if err := os.WriteFile(memberFile(dir, id), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func memberFile(dir string, id quorum.ID) string {
	return filepath.Join(dir, fmt.Sprint(id)+".pem")
}

// ReadFiles returns the config of a member for which WriteFiles has written to the directory.
func ReadFiles(dir string, id quorum.ID) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(memberFile(dir, id), memberFile(dir, id))
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "ca.pem")
	ca, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificate in %s", name)
	}
	return c, nil
}
