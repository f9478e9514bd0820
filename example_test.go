package ensemble_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp"
)

func Example() {
	ctx, net := context.Background(), transport.NewMemory()
	members, nodes := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}, map[ensemble.ID]*ensemble.Node{}
	for _, m := range members {
		n, err := ensemble.Open(ctx, ensemble.Config{ID: m.ID, Members: members, Transport: net.Peer(m.ID)})
		if err != nil {
			log.Fatal(err)
		}
		defer n.Close()
		nodes[m.ID] = n
	}
	path, err := nodes[1].Create(ctx, "/job-", []byte("hello"), ensemble.Sequential)
	fmt.Println(path, err)
	// Output: /job-0000000000 <nil>
}

// A durable member over TCP. The others differ in ID and certificate.
func ExampleOpen_tcp() {
	certificate, err := tls.LoadX509KeyPair("member-1.crt", "member-1.key") // with the URI SAN ensemble:1
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile("ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	tlsConfig := &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: x509.NewCertPool()}
	tlsConfig.RootCAs.AppendCertsFromPEM(ca)

	n, err := ensemble.Open(context.Background(), ensemble.Config{
		ID: 1,
		Members: []ensemble.Member{
			{ID: 1, Addr: "one.example:7400"},
			{ID: 2, Addr: "two.example:7400"},
			{ID: 3, Addr: "three.example:7400"},
		},
		Dir:       "/var/lib/app/ensemble",
		Transport: tcp.New(tcp.Config{Listen: ":7400", TLS: tlsConfig}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
}
