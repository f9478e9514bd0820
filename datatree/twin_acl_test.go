package datatree

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
)

func twinMay(who *Caller, list []ACL, perm Perm) bool {
	if who == nil {
		return true
	}
	for _, id := range who.Identities {
		if id.Scheme == "super" {
			return true
		}
	}
	for _, a := range list {
		if a.Perm&perm == 0 {
			continue
		}
		if a.Scheme == "world" {
			return true
		}
		for _, id := range who.Identities {
			if a.Scheme == "digest" && id == (Identity{"digest", a.ID}) {
				return true
			}
			if _, network, err := net.ParseCIDR(a.ID); a.Scheme == "ip" && id.Scheme == "ip" && (a.ID == id.ID || err == nil && network.Contains(net.ParseIP(id.ID))) {
				return true
			}
		}
	}
	return false
}

// twinResolve returns nil for an invalid list.
func twinResolve(who *Caller, list []ACL) (kept []ACL) {
	for _, a := range list {
		var add []ACL
		switch {
		case a.Scheme == "world" && a.ID == "anyone":
			add = []ACL{a}
		case a.Scheme == "auth" && who != nil:
			for _, id := range who.Identities {
				if id.Scheme == "digest" {
					add = append(add, ACL{a.Perm, "digest", id.ID})
				}
			}
		case a.Scheme == "digest" && len(strings.Split(a.ID, ":")) == 2 && !strings.HasSuffix(a.ID, ":"):
			add = []ACL{a}
		case a.Scheme == "ip":
			_, _, err := net.ParseCIDR(a.ID)
			if err == nil || net.ParseIP(a.ID) != nil {
				add = []ACL{a}
			}
		}
		if add == nil {
			return nil
		}
		for _, a := range add {
			if !slices.Contains(kept, a) {
				kept = append(kept, a)
			}
		}
	}
	return kept
}

// twinACL writes an ACL as MessagePack.
func twinACL(list []ACL) []byte {
	be := binary.BigEndian
	b := []byte{0x90 | byte(len(list))}
	if len(list) > 15 {
		b = be.AppendUint16([]byte{0xdc}, uint16(len(list)))
	}
	for _, a := range list {
		b = append(b, 0x93)
		switch p := uint32(a.Perm); {
		case p < 1<<7:
			b = append(b, byte(p))
		case p < 1<<8:
			b = append(b, 0xcc, byte(p))
		case p < 1<<16:
			b = be.AppendUint16(append(b, 0xcd), uint16(p))
		default:
			b = be.AppendUint32(append(b, 0xce), p)
		}
		for _, s := range []string{a.Scheme, a.ID} {
			switch n := len(s); {
			case n < 32:
				b = append(b, 0xa0|byte(n))
			case n < 1<<8:
				b = append(b, 0xd9, byte(n))
			case n < 1<<16:
				b = be.AppendUint16(append(b, 0xda), uint16(n))
			default:
				b = be.AppendUint32(append(b, 0xdb), uint32(n))
			}
			b = append(b, s...)
		}
	}
	return b
}
