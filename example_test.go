package ensemble_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
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
