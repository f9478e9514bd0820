package ensemble_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

func ExampleNode_NewSession() {
	ctx := context.Background()
	net := transport.NewMemory()
	n, err := ensemble.Open(ctx, ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Transport: net.Peer(1)})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	s, err := n.NewSession(ctx, ensemble.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	path, err := s.Create(ctx, "/worker-", nil, ensemble.Ephemeral|ensemble.Sequential)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(path)
	// Whoever knows id and password goes on with it, here or at another member.
	next, err := n.ResumeSession(ctx, s.ID(), s.Password())
	if err != nil {
		log.Fatal(err)
	}
	<-s.Context().Done()
	fmt.Println(context.Cause(s.Context()))
	if err := next.Close(ctx); err != nil {
		log.Fatal(err)
	}
	_, there, err := n.Exists(ctx, path)
	fmt.Println(there, err)
	// Output:
	// /worker-0000000000
	// session has moved
	// false <nil>
}
