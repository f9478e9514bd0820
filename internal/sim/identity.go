package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/datatree"
)

// Requests of members carry who makes them: a byte for the host, or one for others, and behind it the handle that owns ephemerals and the identities. Neither begins
// what the core knows. Everything else goes to it as it is: what sessions are asked, and nonsense.
const (
	byHost   = 0
	byCaller = 0xc1
)

// envelope appends what comes before the operations.
func envelope(b []byte, who *datatree.Caller) []byte {
	if who == nil {
		return append(b, byHost)
	}
	b = binary.AppendUvarint(append(b, byCaller), who.Session)
	b = binary.AppendUvarint(b, uint64(len(who.Identities)))
	for _, id := range who.Identities {
		for _, s := range [...]string{id.Scheme, id.ID} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return b
}

// opened separates who makes a request from its operations.
func opened(payload []byte) (who *datatree.Caller, ops []byte) {
	if len(payload) == 0 || payload[0] != byHost && payload[0] != byCaller {
		return nil, payload
	}
	b := payload[1:]
	if payload[0] == byHost {
		return nil, b
	}
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	text := func() string {
		n := number()
		s := string(b[:n])
		b = b[n:]
		return s
	}
	who = &datatree.Caller{Session: number()}
	for n := number(); n > 0; n-- {
		who.Identities = append(who.Identities, datatree.Identity{Scheme: text(), ID: text()})
	}
	return who, b
}

// may reports whether an ACL gives who any of perm.
func may(who *datatree.Caller, acl []datatree.ACL, perm datatree.Perm) bool {
	if who == nil || acl == nil {
		return true
	}
	return slices.ContainsFunc(acl, func(a datatree.ACL) bool {
		if a.Perm&perm == 0 {
			return false
		}
		return a.Scheme == "world" || slices.ContainsFunc(who.Identities, func(id datatree.Identity) bool {
			if a.Scheme == "ip" && id.Scheme == "ip" {
				network, err := netip.ParsePrefix(a.ID)
				return err == nil && network.Contains(netip.MustParseAddr(id.ID))
			}
			return a.Scheme == id.Scheme && a.ID == id.ID
		})
	})
}

// resolve returns an ACL as it is kept.
func resolve(who *datatree.Caller, list []datatree.ACL) (kept []datatree.ACL, err error) {
	for _, a := range list {
		mean := []datatree.ACL{a}
		if a.Scheme == "auth" {
			mean = nil
			for i := 0; who != nil && i < len(who.Identities); i++ {
				if id := who.Identities[i]; id.Scheme == "digest" {
					mean = append(mean, datatree.ACL{Perm: a.Perm, Scheme: id.Scheme, ID: id.ID})
				}
			}
		}
		bad := a.Scheme == "digest" && strings.Count(a.ID, ":") != 1
		if bad || len(mean) == 0 {
			return nil, datatree.ErrInvalidACL
		}
		for _, m := range mean {
			if !slices.Contains(kept, m) {
				kept = append(kept, m)
			}
		}
	}
	if len(kept) == 0 {
		return nil, datatree.ErrInvalidACL
	}
	if slices.Equal(kept, datatree.OpenACL) {
		return nil, nil // the same as everybody may do everything
	}
	return kept, nil
}
