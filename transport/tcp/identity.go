package tcp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/quorum"
)

// scheme is that of the URI SAN by which a certificate names its member.
const scheme = "ensemble"

// named returns the id in the certificate's URI SAN, if it has one.
func named(cert *x509.Certificate) (id quorum.ID, ok bool, err error) {
	for _, u := range cert.URIs {
		if u.Scheme != scheme {
			continue
		}
		if ok {
			return 0, false, errors.New("the certificate names several members")
		}
		n, err := strconv.ParseUint(u.Opaque, 10, 64)
		if err != nil || n == 0 || u.String() != scheme+":"+strconv.FormatUint(n, 10) {
			return 0, false, fmt.Errorf("the certificate has the malformed name %q", u.String())
		}
		id, ok = quorum.ID(n), true
	}
	return id, ok, nil
}

// hosts are the hosts of the peers' addresses, this member's too; one that has none is missing.
type hosts map[quorum.ID]string

func hostsOf(addrs map[quorum.ID]string) hosts {
	h := make(hosts)
	for id, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if host = strings.TrimSuffix(host, "."); err != nil || host == "" {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.WithZone("").Unmap().String()
		}
		h[id] = host
	}
	return h
}

// speaker returns the id for which the certificate speaks.
func (t *Transport) speaker(cert *x509.Certificate) (quorum.ID, error) {
	if t.cfg.Identify != nil {
		return t.cfg.Identify(cert)
	}
	id, ok, err := named(cert)
	if err != nil || ok {
		return id, err
	}
	t.mu.Lock()
	hosts := t.hosts // never changed, only replaced
	t.mu.Unlock()
	return hosts.speaker(cert)
}

func (h hosts) speaker(cert *x509.Certificate) (quorum.ID, error) {
	var found quorum.ID
	for _, id := range slices.Sorted(maps.Keys(h)) {
		if cert.VerifyHostname(h[id]) != nil {
			continue
		}
		if found != 0 {
			return 0, fmt.Errorf("the certificate names no member, and is valid for the hosts of members %d and %d", found, id)
		}
		found = id
	}
	if found == 0 {
		return 0, errors.New("the certificate names no member, and is valid for no member's host")
	}
	return found, nil
}

// vouches reports whether the certificate speaks for the id.
func (t *Transport) vouches(cert *x509.Certificate, id quorum.ID) error {
	got, err := t.speaker(cert)
	if err == nil && got != id {
		err = fmt.Errorf("the certificate is that of member %d, not %d", got, id)
	}
	return err
}
