package transport_test

import (
	"fmt"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// printer prints what it receives.
type printer struct{ done chan struct{} }

func (p printer) Receive(from quorum.ID, class transport.Class, frame []byte) {
	fmt.Printf("%s from member %d: %s\n", class, from, frame) // a frame that is kept must be copied
	p.done <- struct{}{}
}

func (p printer) Lost(peer quorum.ID) {
	fmt.Printf("member %d may be lost\n", peer)
	p.done <- struct{}{}
}

// A network in memory with two members, one of which goes.
func ExampleNewMemory() {
	network := transport.NewMemory()
	one, two := network.Peer(1), network.Peer(2)
	p := printer{make(chan struct{}, 1)}
	if err := one.Start(1, p); err != nil {
		fmt.Println(err)
	}
	if err := two.Start(2, p); err != nil {
		fmt.Println(err)
	}

	one.Send(2, transport.Control, []byte("are you there?"))
	<-p.done
	network.Cut(1, 3) // somebody else
	two.Close()       // member 1 is told
	<-p.done
	one.Send(2, transport.Control, []byte("nobody hears this"))
	one.Close()

	// Output:
	// control from member 1: are you there?
	// member 2 may be lost
}
