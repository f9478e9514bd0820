package tcptest_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

type received chan string

func (r received) Receive(from quorum.ID, _ transport.Class, frame []byte) {
	r <- fmt.Sprintf("%d: %s", from, frame)
}
func (r received) Lost(quorum.ID) {}

// Two members under one CA.
func TestMembers(t *testing.T) {
	ca := tcptest.NewCA(t)
	in := make(received, 1)
	addrs := map[quorum.ID]string{}
	var members []*tcp.Transport
	for id := quorum.ID(1); id <= 2; id++ {
		m := tcp.New(tcp.Config{Listen: "127.0.0.1:0", TLS: ca.Config(id)})
		if err := m.Start(id, in); err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		members, addrs[id] = append(members, m), m.Addr().String()
	}
	members[0].SetPeers(map[quorum.ID]string{1: addrs[1], 2: addrs[2]})
	members[0].Send(2, transport.Log, []byte("hello"))
	if got := <-in; got != "1: hello" {
		t.Errorf("received %q", got)
	}
}

// What processes of their own read.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := tcptest.WriteFiles(dir, 1, 7); err != nil {
		t.Fatal(err)
	}
	for _, id := range []quorum.ID{1, 7} {
		c, err := tcptest.ReadFiles(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		leaf := c.Certificates[0].Leaf
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != tcptest.URI(id).String() {
			t.Errorf("the certificate of %d names %v", id, leaf.URIs)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.RootCAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
	}
	if _, err := tcptest.ReadFiles(dir, 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a config of nobody: %v", err)
	}
	if err := os.WriteFile(dir+"/ca.pem", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tcptest.ReadFiles(dir, 1); err == nil {
		t.Error("a config without a CA")
	}
	if err := tcptest.WriteFiles(dir+"/nowhere", 1); err == nil {
		t.Error("files in a directory that does not exist")
	}
}

func TestCertificate(t *testing.T) {
	ca := tcptest.NewCA(t)
	named, hosts := ca.Config(7).Certificates[0].Leaf, ca.Certificate(tcptest.Hosts("a.example", "10.0.0.1")).Leaf
	if len(named.URIs) != 1 || named.URIs[0].String() != "ensemble:7" {
		t.Errorf("names %v", named.URIs)
	}
	for _, h := range []string{"a.example", "10.0.0.1"} {
		if err := hosts.VerifyHostname(h); err != nil {
			t.Error(err)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		opts := x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := named.Verify(opts); err != nil {
			t.Error(err)
		}
		if _, err := tcptest.NewCA(t).Certificate(nil).Leaf.Verify(opts); err == nil {
			t.Error("another CA's certificate is verified")
		}
	}
}
