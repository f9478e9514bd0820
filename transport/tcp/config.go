package tcp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// Config says how a Transport listens, dials and knows its peers.
type Config struct {
	// Listen is the address to listen on, as net.Listen takes it: ":7400". A port of 0 is chosen by the system; see
	// [Transport.Addr]. Exactly one of Listen and Listener is set.
	Listen string

	// Listener is a listener of the host's own, to share a port or to use another network. It yields connections before TLS. It belongs to the transport,
	// which closes it. Connections must support deadlines, and must have Close interrupt Read and Write.
	Listener net.Listener

	// Dialer opens connections to the addresses of the peers, before TLS, with the network "tcp". Nil is a [net.Dialer].
	Dialer Dialer

	// TLS holds the certificates of this member, as Certificates or as both GetCertificate and GetClientCertificate, and the CA of the
	// ensemble, as RootCAs or ClientCAs (each takes the place of the other). It is not changed. Whatever it says, TLS 1.3 is
	// the least version, both sides show certificates and chains are verified; certificates must be good for server and client
	// authentication. TLS sessions are not resumed.
	//
	// GetCertificate and GetClientCertificate are called for each new connection: return a new certificate from them and it is used from then
	// on, while existing connections go on. GetConfigForClient, if set, may give another config for each accepted connection.
	TLS *tls.Config

	// Roots, if set, is called for each new connection, from many goroutines, and returns the CAs that are trusted from then on, in place of RootCAs and ClientCAs;
	// existing connections go on. It must return a pool, and not change it afterwards. To change the CA without losing the quorum: let all members trust
	// both, then give them new certificates, then trust the new CA alone; each step with all members, one after the other, before the next.
	Roots func() *x509.CertPool

	// Identify returns the id for which a certificate speaks; one, and always the same. It is called only with certificates whose chain has been verified, from many goroutines. Nil is
	// this rule: a certificate with URI SANs of the scheme ensemble speaks for id 7 if its one such URI is "ensemble:7". A
	// certificate with none speaks for the one member for the host of whose Addr it is valid. If it is valid for the hosts of several (a shared host, a
	// wildcard, one certificate for all) it speaks for nobody, whatever id is claimed: give each member a URI SAN, or set Identify.
	Identify func(*x509.Certificate) (quorum.ID, error)

	// Insecure, without TLS, is plain text: whoever reaches the port can speak as any member, and everybody on the way can listen and write. For
	// tests, and for networks that authenticate and encrypt by themselves.
	Insecure bool

	// Logger is told when peers connect and are lost, and what was refused and why: each such thing at once when it is new, then at
	// most once a minute with the number of times. Nil is silent.
	Logger *slog.Logger

	_ struct{}
}

// Dialer opens connections. [net.Dialer] is one. DialContext returns when ctx ends, is called from many goroutines, and its connections are as those of a
// Listener must be.
type Dialer interface {
	// DialContext opens a connection, or returns an error when ctx ends.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// limits are the constants of a Transport, which tests make smaller.
type limits struct {
	handshake time.Duration // for all that comes before frames: TCP, TLS, hello and answer; and for a bundle to be complete
	keepAlive time.Duration // an idle connection says that it is alive
	silence   time.Duration // a connection on which nothing comes is lost
	stall     time.Duration // a connection that takes nothing is lost
	waiting   int           // accepted connections that are not yet admitted
	strangers int           // ids that are not among the peers
	first     time.Duration // pause between two dials, doubled each time
	longest   time.Duration // up to this
	queue     [transport.Classes]int
	again     time.Duration // between two entries in the log about the same thing
}

var usual = limits{
	handshake: 5 * time.Second,
	keepAlive: 5 * time.Second,
	silence:   15 * time.Second,
	stall:     10 * time.Second,
	waiting:   64,
	strangers: 64,
	first:     10 * time.Millisecond,
	longest:   time.Second,
	queue:     [transport.Classes]int{1 << 20, transport.QueueBytes, transport.QueueBytes},
	again:     time.Minute,
}

func (c *Config) check() error {
	var errs []error
	if (c.Listen == "") == (c.Listener == nil) {
		errs = append(errs, errors.New("exactly one of Listen and Listener must be set"))
	}
	if c.Insecure {
		if c.TLS != nil || c.Roots != nil || c.Identify != nil {
			errs = append(errs, errors.New("plain text (Insecure): TLS, Roots and Identify must not be set"))
		}
	} else {
		errs = append(errs, checkTLS(c.TLS, c.Roots))
	}
	return errors.Join(errs...)
}
