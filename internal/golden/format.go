// Package golden replays what Apache ZooKeeper answered, on whatever answers like it: the traces of datatree/testdata/golden, whose FORMAT.md describes
// them, and those that a test records anew. It is for tests.
package golden

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
)

// Header is the first line of a trace.
type Header struct {
	Format   string `json:"format"`
	Sessions int    `json:"sessions"`
	Config   struct {
		Extended    bool   `json:"extendedTypesEnabled"`
		SuperDigest string `json:"superDigest"`
	} `json:"config"`
}

// Step is every other line: what was asked, what was answered, and the watch events that it led to.
type Step struct {
	S         int             `json:"s"`
	Op        string          `json:"op"`
	Path      string          `json:"path"`
	PathB64   *string         `json:"path_b64"`
	Data      *string         `json:"data"`
	DataLen   int             `json:"data_len"`
	ACL       json.RawMessage `json:"acl"`
	Mode      string          `json:"mode"`
	Flags     *int            `json:"flags"`
	TTL       int64           `json:"ttl_ms"`
	Version   int32           `json:"version"`
	Watch     bool            `json:"watch"`
	Type      string          `json:"type"`
	TypeNum   *int            `json:"type_num"`
	Scheme    string          `json:"scheme"`
	Auth      string          `json:"auth"`
	IP        string          `json:"ip"`
	BadPass   bool            `json:"bad_password"`
	Advance   int64           `json:"advance_ms"`
	RelOrd    int             `json:"rel_ord"`
	Datas     []string        `json:"data_paths"`
	Exists    []string        `json:"exist_paths"`
	Childs    []string        `json:"child_paths"`
	Persists  []string        `json:"persistent_paths"`
	Recurses  []string        `json:"recursive_paths"`
	Ops       []Step          `json:"ops"`
	Quirk     string          `json:"quirk"`
	Res       Res             `json:"res"`
	Events    []Event         `json:"events"`
	EventsSet bool            `json:"events_set"`
}

// Grant is an entry of an ACL, of which a part may be null.
type Grant struct {
	Perms  int32   `json:"perms"`
	Scheme *string `json:"scheme"`
	ID     *string `json:"id"`
}

// Event is a watch event.
type Event struct {
	S    int    `json:"s"`
	Type string `json:"type"`
	Path string `json:"path"`
}

// Res is an answer.
type Res struct {
	Err        int        `json:"err"`
	Name       string     `json:"name"`
	Ord        int        `json:"ord"`
	Ords       []int      `json:"ords"`
	Path       string     `json:"path"`
	Data       *string    `json:"data"`
	Stat       *Stat      `json:"stat"`
	ACL        []Grant    `json:"acl"`
	Children   []string   `json:"children"`
	Paths      []string   `json:"paths"`
	Count      int        `json:"count"`
	Results    []Res      `json:"results"`
	Identities []Identity `json:"identities"`
	Closed     bool       `json:"closed"`
}

// Identity is one that whoAmI tells.
type Identity struct {
	Scheme string `json:"scheme"`
	User   string `json:"user"`
}

// Stat is that of a znode, its zxids as ordinals of successful writes.
type Stat struct {
	CzxidOrd       int   `json:"czxid_ord"`
	MzxidOrd       int   `json:"mzxid_ord"`
	PzxidOrd       int   `json:"pzxid_ord"`
	CtimeEqMtime   bool  `json:"ctime_eq_mtime"`
	MtimeChanged   *bool `json:"mtime_changed"`
	Version        int32 `json:"version"`
	Cversion       int32 `json:"cversion"`
	Aversion       int32 `json:"aversion"`
	DataLength     int   `json:"dataLength"`
	NumChildren    int   `json:"numChildren"`
	EphemeralOwner int   `json:"ephemeralOwner"`
}

var errorsByName = map[string]error{
	"OK": nil, "NoNode": datatree.ErrNoNode, "NodeExists": datatree.ErrNodeExists, "BadVersion": datatree.ErrBadVersion, "NotEmpty": datatree.ErrNotEmpty,
	"NoChildrenForEphemerals": datatree.ErrNoChildrenForEphemerals, "BadArguments": datatree.ErrBadArguments, "NoAuth": datatree.ErrNoAuth, "InvalidACL": datatree.ErrInvalidACL,
	"QuotaExceeded": datatree.ErrQuotaExceeded,
}

var eventNames = map[datatree.WatchEventType]string{
	datatree.NodeCreated: "NodeCreated", datatree.NodeDeleted: "NodeDeleted", datatree.NodeDataChanged: "NodeDataChanged", datatree.NodeChildrenChanged: "NodeChildrenChanged",
}

var modes = map[string]datatree.Mode{
	"persistent": datatree.Persistent, "ephemeral": datatree.Ephemeral, "persistent_sequential": datatree.Sequential, "ephemeral_sequential": datatree.Ephemeral | datatree.Sequential,
	"container": datatree.Container, "ttl": datatree.Persistent, "ttl_sequential": datatree.Sequential,
}

func fromBase64(s string) []byte {
	b, _ := base64.StdEncoding.DecodeString(s)
	return append([]byte{}, b...)
}

func (s *Step) path() string {
	if s.PathB64 != nil {
		return string(fromBase64(*s.PathB64))
	}
	return s.Path
}

func (s *Step) data() []byte {
	switch {
	case s.DataLen > 0:
		return bytes.Repeat([]byte("x"), s.DataLen)
	case s.Data == nil:
		return nil
	}
	return fromBase64(*s.Data)
}

// acl returns the list that the step sends; ok is false when a part of it is null, which a string cannot be.
func (s *Step) acl() (list []datatree.ACL, ok bool) {
	if s.ACL == nil {
		if s.Op == "setACL" {
			return datatree.OpenACL, true
		}
		return nil, true
	}
	var all []Grant
	if json.Unmarshal(s.ACL, &all) != nil {
		return nil, false
	}
	list = []datatree.ACL{}
	for _, a := range all {
		if a.Scheme == nil || a.ID == nil {
			return nil, false
		}
		list = append(list, datatree.ACL{Perm: datatree.Perm(a.Perms), Scheme: *a.Scheme, ID: *a.ID})
	}
	return list, true
}

// skip says why a step cannot be compared, if so: it is about the wire, or about sessions.
func (s *Step) skip(h *Header) string {
	if _, ok := s.acl(); !ok {
		return "null parts of an ACL"
	}
	switch {
	case s.Flags != nil:
		return "raw flags"
	case s.TypeNum != nil:
		return "raw types"
	case s.Op == "createTTL" && !h.Config.Extended:
		return "TTL switched off"
	case s.BadPass || s.Op == "reconnect" && s.Res.Err != 0:
		return "passwords and ends of sessions"
	case s.Res.Name == "MarshallingError":
		return "requests that cannot be decoded"
	case s.Op == "sync" || s.Op == "unknown" || s.Op == "reconfig" || s.Op == "deleteContainer":
		return s.Op
	}
	for i := range s.Ops {
		if why := s.Ops[i].skip(h); why != "" {
			return why
		}
	}
	return ""
}

// op returns the operation. Raw flags, which are not compared, are taken for what the recorded server made of them.
func (s *Step) op() datatree.Op {
	switch s.Op {
	case "create", "create2", "createContainer", "createTTL":
		list, _ := s.acl()
		o := datatree.CreateOp{Path: s.path(), Data: s.data(), Mode: modes[s.Mode], ACL: list}
		if s.Mode == "ttl" || s.Mode == "ttl_sequential" {
			switch {
			case s.TTL <= 0: // 0 is no TTL with us
				o.TTL = -1
			case s.TTL > int64(datatree.MaxTTL/time.Millisecond):
				o.TTL = datatree.MaxTTL + time.Millisecond
			default:
				o.TTL = time.Duration(s.TTL) * time.Millisecond
			}
		}
		if s.Flags != nil && s.Op != "create" && s.Op != "create2" {
			o.Mode = datatree.Container
			if *s.Flags == 2 || *s.Flags == 3 {
				o.Mode |= datatree.Sequential
			}
		}
		return o
	case "set":
		return datatree.SetOp{Path: s.path(), Data: s.data(), Version: datatree.VersionOf(s.Version)}
	case "delete":
		return datatree.DeleteOp{Path: s.path(), Version: datatree.VersionOf(s.Version)}
	case "check":
		return datatree.CheckOp{Path: s.path(), Version: datatree.VersionOf(s.Version)}
	case "setACL":
		list, _ := s.acl()
		return datatree.SetACLOp{Path: s.path(), ACL: list, Version: datatree.VersionOf(s.Version)}
	}
	return nil
}
