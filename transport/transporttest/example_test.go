package transporttest_test

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/transporttest"
)

// The test of a host's own transport.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestTransport(t *testing.T)
		transporttest.Run(t, func(t testing.TB, ids []quorum.ID) map[quorum.ID]transporttest.Endpoint {
			network := transport.NewMemory() // whatever is to be tested
			endpoints := make(map[quorum.ID]transporttest.Endpoint)
			for _, id := range ids {
				endpoints[id] = transporttest.Endpoint{Transport: network.Peer(id)}
			}
			return endpoints
		})
	}
	// Output:
}
