package tcp_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// Three members of one process, each with a certificate and on a port that the system chooses.
func Example() {
	dir, err := os.MkdirTemp("", "ensemble-tcp-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := tcptest.WriteFiles(dir, 1, 2, 3); err != nil { // in production: certificates of your organisation
		log.Fatal(err)
	}

	var members []ensemble.Member
	var listeners []net.Listener
	for id := ensemble.ID(1); id <= 3; id++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		listeners = append(listeners, l)
		members = append(members, ensemble.Member{ID: id, Addr: l.Addr().String()})
	}

	var nodes []*ensemble.Node
	for i, m := range members {
		tlsConfig, err := tcptest.ReadFiles(dir, m.ID)
		if err != nil {
			log.Fatal(err)
		}
		n, err := ensemble.Open(context.Background(), ensemble.Config{
			ID:        m.ID,
			Members:   members,
			Transport: tcp.New(tcp.Config{Listener: listeners[i], TLS: tlsConfig}),
		})
		if err != nil {
			log.Fatal(err)
		}
		defer n.Close()
		nodes = append(nodes, n)
	}
	r, err := nodes[0].Do(context.Background(), ensemble.CreateOp{Path: "/over-tls"})
	if err != nil {
		log.Fatal(err)
	}
	err = nodes[2].Await(context.Background(), r.Zxid)
	fmt.Println(r.Path, err)
	// Output: /over-tls <nil>
}
