package datatree

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"
	"weak"

	"github.com/ensemble-go/ensemble/internal/msgpack"
)

// Perm says what may be done to a znode. Permissions are combined with |.
type Perm uint32

// The permissions. Create and delete are asked of the parent.
const (
	PermRead   Perm = 1 // data, children, ACL; check
	PermWrite  Perm = 2 // set
	PermCreate Perm = 4 // children
	PermDelete Perm = 8 // children
	PermAdmin  Perm = 16
	PermAll    Perm = 31
)

// ACL lets those that match an id under a scheme do something. There is no way to forbid, and nothing is inherited.
type ACL struct {
	Perm   Perm
	Scheme string
	ID     string
}

// World is the scheme with one id, Anyone, that matches everybody.
const (
	World  = "world"
	Anyone = "anyone"
)

// Super is the scheme of identities that may do everything. Auth, in the ACL of a create or setACL, stands for whatever the caller is authenticated as.
const (
	Super = "super"
	Auth  = "auth"
)

// OpenACL lets everybody do everything. Do not change it.
var OpenACL = []ACL{{PermAll, World, Anyone}}

// MaxACL bounds the encoding of an ACL in bytes.
const MaxACL = 64 << 10

// Identity is who somebody is under a scheme.
type Identity struct{ Scheme, ID string }

// Caller is who asks. A nil *Caller is the host itself, without a session.
type Caller struct {
	Session    uint64 // that owns the ephemerals it creates; 0 for none
	Host       bool   // the host itself: no permission is asked of it
	Identities []Identity
}

func (c *Caller) host() bool { return c == nil || c.Host }

func (c *Caller) super() bool {
	return c.host() || slices.ContainsFunc(c.Identities, func(id Identity) bool { return id.Scheme == Super })
}

// acl is an ACL that znodes have. Equal ones are the same object, as long as any znode has it.
type acl struct {
	list   []ACL
	text   string // its encoding
	digest uint64
	alone  rare // of a znode that has nothing rare but this
}

var (
	openACL   = newACL(OpenACL)
	configACL = newACL([]ACL{{PermRead, World, Anyone}})
)

// aclOf returns the ACL of a znode. That of /zookeeper/config never changes, and is not kept in it.
func aclOf(path string, r *rare) *acl {
	switch {
	case path == configPath:
		return configACL
	case r == nil || r.acl == nil:
		return openACL
	}
	return r.acl
}

func newACL(list []ACL) *acl {
	text := appendACL(nil, list)
	a := &acl{text: string(text), digest: xxh64(text, 0)}
	d := decoder{msgpack.Decoder{B: unsafe.Slice(unsafe.StringData(a.text), len(a.text))}} // what the list says is part of the text
	a.list = d.acl()
	a.alone.acl = a
	return a
}

// intern returns the object for list.
func (t *Tree) intern(list []ACL) *acl {
	t.scratch = appendACL(t.scratch[:0], list)
	if string(t.scratch) == openACL.text {
		return openACL
	}
	if a := t.acls[string(t.scratch)].Value(); a != nil {
		return a
	}
	if len(t.acls) >= t.aclSweep {
		maps.DeleteFunc(t.acls, func(_ string, w weak.Pointer[acl]) bool { return w.Value() == nil })
		t.aclSweep = max(64, 2*len(t.acls))
	}
	a := newACL(list)
	t.acls[strings.Clone(a.text)] = weak.Make(a) // a key that is the object's would keep its text
	return a
}

// rarely returns what a znode with these has besides what all have; nil for nothing.
func (t *Tree) rarely(owner uint64, ttl int64, list []ACL) *rare {
	a := openACL
	if list != nil {
		a = t.intern(list)
	}
	return rarelyWith(owner, ttl, a)
}

func rarelyWith(owner uint64, ttl int64, a *acl) *rare {
	switch {
	case owner != 0 || ttl != 0:
		if a == openACL {
			a = nil
		}
		return &rare{owner, ttl, a}
	case a == openACL:
		return nil
	}
	return &a.alone
}

// may refuses what the ACL of a znode does not let who do.
func (t *Tree) may(who *Caller, path string, r *rare, perm Perm) error {
	if who.super() || t.schemes.allow(who, aclOf(path, r).list, perm) {
		return nil
	}
	return ErrNoAuth
}

// allow reports whether an entry of list gives who any of perm.
func (s schemes) allow(who *Caller, list []ACL, perm Perm) bool {
	for _, a := range list {
		if a.Perm&perm == 0 {
			continue
		}
		if a.Scheme == World && a.ID == Anyone {
			return true
		}
		if scheme := s[a.Scheme]; scheme != nil {
			for _, id := range who.Identities {
				if id.Scheme == a.Scheme && scheme.Matches(id.ID, a.ID) {
					return true
				}
			}
		}
	}
	return false
}

// resolve returns the list as it is kept: duplicates dropped, "auth" replaced by what who is authenticated as. It is no longer than what can be applied.
func (s schemes) resolve(who *Caller, list []ACL) ([]ACL, error) {
	kept := make([]ACL, 0, len(list))
	var known map[ACL]struct{} // what is kept, once that is much: an ACL may have thousands of entries, and a request many ACLs
	add := func(a ACL) {
		if known == nil && len(kept) == 32 {
			known = make(map[ACL]struct{}, 2*len(kept))
			for _, k := range kept {
				known[k] = struct{}{}
			}
		}
		if known == nil {
			if !slices.Contains(kept, a) {
				kept = append(kept, a)
			}
		} else if _, ok := known[a]; !ok {
			known[a] = struct{}{}
			kept = append(kept, a)
		}
	}
	for _, a := range list {
		switch {
		case a.Scheme == World && a.ID == Anyone:
			add(a)
		case a.Scheme == Auth:
			found := false
			for _, id := range who.identities() {
				if scheme := s[id.Scheme]; scheme != nil && scheme.Authenticates() {
					add(ACL{a.Perm, id.Scheme, id.ID})
					found = true
				}
			}
			if !found {
				return nil, ErrInvalidACL
			}
		default:
			if scheme := s[a.Scheme]; scheme == nil || !scheme.Valid(a.ID) {
				return nil, ErrInvalidACL
			}
			add(a)
		}
	}
	switch {
	case len(kept) == 0:
		return nil, ErrInvalidACL
	case ACLSize(kept) > MaxACL:
		return nil, ErrTooLarge // the caller is many
	}
	return kept, nil
}

func (c *Caller) identities() []Identity {
	if c == nil {
		return nil
	}
	return c.Identities
}

// An ACL is written as the array of its entries, each the array of permissions, scheme and id.
func appendACL(b []byte, list []ACL) []byte {
	b = msgpack.AppendArray(b, len(list))
	for _, a := range list {
		b = msgpack.AppendUint(msgpack.AppendArray(b, 3), uint64(a.Perm))
		b = msgpack.AppendString(msgpack.AppendString(b, a.Scheme, nil), a.ID, nil)
	}
	return b
}

// ACLSize bounds the bytes that an ACL takes in a request.
func ACLSize(list []ACL) int {
	n := 0
	for _, a := range list {
		n += 16 + len(a.Scheme) + len(a.ID)
	}
	return n
}

// acl reads an ACL; it is never nil. Its strings alias the bytes.
func (d *decoder) acl() []ACL {
	n := d.Array()
	list := make([]ACL, 0, min(n, len(d.B)/4))
	for ; n > 0 && !d.Bad; n-- {
		d.Expect(3)
		list = append(list, ACL{Perm(d.UintTo(math.MaxUint32)), d.String(MaxACL), d.String(MaxACL)})
	}
	return list
}

// cloneACL gives list strings of its own.
func cloneACL(list []ACL) {
	for i, a := range list {
		list[i] = ACL{a.Perm, strings.Clone(a.Scheme), strings.Clone(a.ID)}
	}
}

// with returns r with another ACL.
func (r *rare) with(a *acl) *rare {
	if r == nil {
		return rarelyWith(0, 0, a)
	}
	return rarelyWith(r.owner, r.ttl, a)
}
