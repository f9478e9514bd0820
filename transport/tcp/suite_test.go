package tcp

import (
	"context"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
	"github.com/ensemble-go/ensemble/transport/transporttest"
)

// secured returns what differs between plain text and TLS.
func secured(t testing.TB, secure bool) func(quorum.ID) Config {
	if !secure {
		return func(quorum.ID) Config { return Config{Insecure: true} }
	}
	ca := tcptest.NewCA(t)
	return func(id quorum.ID) Config { return Config{TLS: ca.Config(id)} }
}

// The suite, in plain text and with TLS, with listeners and dialers of the host's own and without.
func TestSuite(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			config := secured(t, secure)
			t.Run("Listen", func(t *testing.T) {
				transporttest.Run(t, func(t testing.TB, ids []quorum.ID) map[quorum.ID]transporttest.Endpoint {
					book := &book{addrs: map[string]string{}, members: map[*booked]map[quorum.ID]string{}}
					eps := map[quorum.ID]transporttest.Endpoint{}
					for _, id := range ids {
						cfg := config(id)
						cfg.Listen = "127.0.0.1:0"
						name := fmt.Sprintf("member %d", id)
						eps[id] = transporttest.Endpoint{Transport: &booked{Transport: New(cfg), book: book, name: name}, Addr: name}
					}
					return eps
				})
			})
			t.Run("Listener", func(t *testing.T) {
				transporttest.Run(t, func(t testing.TB, ids []quorum.ID) map[quorum.ID]transporttest.Endpoint {
					eps := map[quorum.ID]transporttest.Endpoint{}
					for _, id := range ids {
						cfg := config(id)
						cfg.Listener = listen(t)
						cfg.Dialer = hostsDialer{}
						eps[id] = transporttest.Endpoint{Transport: New(cfg), Addr: "somewhere " + cfg.Listener.Addr().String()}
					}
					return eps
				})
			})
		})
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hostsDialer understands addresses of its own kind, and hides that the connections are TCP.
type hostsDialer struct{}

func (hostsDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address[len("somewhere "):])
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// book gives members names for the suite, which wants addresses before the ports are known. Who has started is made known to the others.
type book struct {
	mu      sync.Mutex
	addrs   map[string]string
	members map[*booked]map[quorum.ID]string // as SetPeers was given them
}

type booked struct {
	*Transport
	book *book
	name string
}

func (b *booked) Start(self quorum.ID, h transport.Handler) error {
	err := b.Transport.Start(self, h)
	if err == nil {
		b.book.mu.Lock()
		defer b.book.mu.Unlock()
		b.book.addrs[b.name] = b.Addr().String()
		for m, named := range b.book.members {
			m.resolve(named)
		}
	}
	return err
}

func (b *booked) SetPeers(addrs map[quorum.ID]string) {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	b.book.members[b] = addrs
	b.resolve(addrs)
}

func (b *booked) resolve(named map[quorum.ID]string) {
	addrs := maps.Clone(named)
	for id, name := range addrs {
		addrs[id] = b.book.addrs[name]
	}
	b.Transport.SetPeers(addrs)
}
