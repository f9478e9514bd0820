package election_test

import (
	"fmt"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Three machines, and a slice for the network between them.
func Example() {
	verifier, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	type message struct {
		from, to quorum.ID
		n        *election.Notification
	}
	var network []message
	var machines [4]*election.Machine
	step := func(id quorum.ID, input func(*election.Output)) {
		var out election.Output
		input(&out)
		for _, s := range out.Sends {
			network = append(network, message{id, s.To, s.Notification})
		}
		if out.Elected != 0 {
			fmt.Printf("%d elects %d\n", id, out.Elected)
		}
	}

	last := [4]zab.Zxid{1: zab.MakeZxid(1, 7), 2: zab.MakeZxid(1, 9), 3: zab.MakeZxid(1, 8)}
	for id := quorum.ID(1); id <= 3; id++ {
		m := election.New(election.Config{Self: id, Verifier: verifier})
		machines[id] = m
		for peer := quorum.ID(1); peer <= 3; peer++ {
			step(id, func(out *election.Output) { m.Linked(peer, out) })
		}
		step(id, func(out *election.Output) { m.Look(election.Vote{Leader: id, Epoch: 1, Zxid: last[id]}, true, out) })
	}
	for len(network) > 0 {
		next := network[0]
		network = network[1:]
		step(next.to, func(out *election.Output) { machines[next.to].Receive(next.from, next.n, out) })
	}
	// Output:
	// 3 elects 2
	// 1 elects 2
	// 2 elects 2
}
