package datatree

import (
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Scheme is a way to say who somebody is. Its methods are called by the leader, when it judges, and by whoever reads; never when a transaction is applied,
// so members need not agree about them for their trees to stay equal. Several goroutines may call them at once.
type Scheme interface {
	// Authenticate returns what a caller gains who presents the credential; ok is false if it is refused.
	Authenticate(credential []byte) (ids []Identity, ok bool)
	// Valid reports whether id may stand in an ACL.
	Valid(id string) bool
	// Matches reports whether a caller with identity is meant by id in an ACL.
	Matches(identity, id string) bool
	// Authenticates tells whether "auth" in an ACL stands for the caller's identities of this scheme.
	Authenticates() bool
}

type schemes map[string]Scheme

// AddScheme makes a scheme known, or replaces it. Digest and IP are there from the beginning. Call it before the tree is used.
func (t *Tree) AddScheme(name string, s Scheme) { t.schemes[name] = s }

func builtinSchemes() schemes { return schemes{"digest": Digest{}, "ip": IP{}} }

// Authenticate adds to who what the credential proves under a scheme, and reports whether it was accepted. Nobody else may use who meanwhile.
func (t *Tree) Authenticate(who *Caller, scheme string, credential []byte) bool {
	s := t.schemes[scheme]
	if s == nil {
		return false
	}
	ids, ok := s.Authenticate(credential)
	for _, id := range ids {
		if ok && !slices.Contains(who.Identities, id) {
			who.Identities = append(who.Identities, id)
		}
	}
	return ok
}

// Digest is ZooKeeper's scheme of that name: the credential is "user:password", the id DigestID of it. It proves that the caller knows the password; every
// pair is accepted, and is somebody.
type Digest struct {
	Super string // id of who may do everything; "" for nobody
}

// DigestID returns "user:" and the base64 of the SHA-1 of "user:password".
func DigestID(credential string) string {
	user, _, _ := strings.Cut(credential, ":")
	sum := sha1.Sum([]byte(credential))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// Authenticate makes the caller DigestID(credential), and super if that is d.Super.
func (d Digest) Authenticate(credential []byte) ([]Identity, bool) {
	id := DigestID(string(credential))
	if d.Super != "" && id == d.Super {
		return []Identity{{Super, ""}, {"digest", id}}, true
	}
	return []Identity{{"digest", id}}, true
}

// Valid wants two parts with a colon between, of which the second is not empty; more colons at the end do not count.
func (Digest) Valid(id string) bool { return strings.Count(strings.TrimRight(id, ":"), ":") == 1 }

// Matches compares.
func (Digest) Matches(identity, id string) bool { return identity == id }

// Authenticates is true.
func (Digest) Authenticates() bool { return true }

// IP is ZooKeeper's scheme of that name: the id in an ACL is an address or, with a slash and a number of bits, a network. The identity is the address that
// the connection comes from; nobody can gain one by a credential.
type IP struct{}

// Authenticate accepts everything and gives nothing.
func (IP) Authenticate([]byte) ([]Identity, bool) { return nil, true }

// Valid wants an address or a network.
func (IP) Valid(id string) bool {
	_, ok := network(id)
	return ok
}

// Matches reports whether the address is in the network.
func (IP) Matches(identity, id string) bool {
	p, ok := network(id)
	a, err := netip.ParseAddr(identity)
	return ok && err == nil && p.Contains(a.Unmap().WithZone(""))
}

// Authenticates is false: an address is no proof.
func (IP) Authenticates() bool { return false }

// network reads an address or a network.
func network(id string) (p netip.Prefix, ok bool) {
	addr, bits, some := strings.Cut(id, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" {
		return p, false
	}
	n := a.BitLen()
	if some {
		if n, err = strconv.Atoi(bits); err != nil {
			return p, false
		}
	}
	if a.Is4In6() { // the same address
		a, n = a.Unmap(), n-96
	}
	p = netip.PrefixFrom(a, n)
	return p.Masked(), p.IsValid()
}
