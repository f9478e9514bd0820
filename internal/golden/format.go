package datatree

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"
)

// What the lines of a trace say; see testdata/golden/FORMAT.md.

type goldenHeader struct {
	Format   string `json:"format"`
	Sessions int    `json:"sessions"`
	Config   struct {
		Extended    bool   `json:"extendedTypesEnabled"`
		SuperDigest string `json:"superDigest"`
	} `json:"config"`
}

type goldenStep struct {
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
	Ops       []goldenStep    `json:"ops"`
	Quirk     string          `json:"quirk"`
	Res       goldenRes       `json:"res"`
	Events    []goldenEvent   `json:"events"`
	EventsSet bool            `json:"events_set"`
}

type goldenACL struct {
	Perms  int32   `json:"perms"`
	Scheme *string `json:"scheme"`
	ID     *string `json:"id"`
}

type goldenEvent struct {
	S    int    `json:"s"`
	Type string `json:"type"`
	Path string `json:"path"`
}

type goldenRes struct {
	Err        int              `json:"err"`
	Name       string           `json:"name"`
	Ord        int              `json:"ord"`
	Ords       []int            `json:"ords"`
	Path       string           `json:"path"`
	Data       *string          `json:"data"`
	Stat       *goldenStat      `json:"stat"`
	ACL        []goldenACL      `json:"acl"`
	Children   []string         `json:"children"`
	Paths      []string         `json:"paths"`
	Count      int              `json:"count"`
	Results    []goldenRes      `json:"results"`
	Identities []goldenIdentity `json:"identities"`
	Closed     bool             `json:"closed"`
}

type goldenIdentity struct {
	Scheme string `json:"scheme"`
	User   string `json:"user"`
}

type goldenStat struct {
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

var goldenErrors = map[string]error{
	"OK": nil, "NoNode": ErrNoNode, "NodeExists": ErrNodeExists, "BadVersion": ErrBadVersion, "NotEmpty": ErrNotEmpty,
	"NoChildrenForEphemerals": ErrNoChildrenForEphemerals, "BadArguments": ErrBadArguments, "NoAuth": ErrNoAuth, "InvalidACL": ErrInvalidACL,
	"QuotaExceeded": ErrQuotaExceeded,
}

var goldenEvents = map[WatchEventType]string{
	NodeCreated: "NodeCreated", NodeDeleted: "NodeDeleted", NodeDataChanged: "NodeDataChanged", NodeChildrenChanged: "NodeChildrenChanged",
}

var goldenModes = map[string]Mode{
	"persistent": Persistent, "ephemeral": Ephemeral, "persistent_sequential": Sequential, "ephemeral_sequential": Ephemeral | Sequential,
	"container": Container, "ttl": Persistent, "ttl_sequential": Sequential,
}

func fromBase64(s string) []byte {
	b, _ := base64.StdEncoding.DecodeString(s)
	return append([]byte{}, b...)
}

func (s *goldenStep) path() string {
	if s.PathB64 != nil {
		return string(fromBase64(*s.PathB64))
	}
	return s.Path
}

func (s *goldenStep) data() []byte {
	switch {
	case s.DataLen > 0:
		return bytes.Repeat([]byte("x"), s.DataLen)
	case s.Data == nil:
		return nil
	}
	return fromBase64(*s.Data)
}

// acl returns the list that the step sends; ok is false when a part of it is null, which a string cannot be.
func (s *goldenStep) acl() (list []ACL, ok bool) {
	if s.ACL == nil {
		if s.Op == "setACL" {
			return OpenACL, true
		}
		return nil, true
	}
	var all []goldenACL
	if json.Unmarshal(s.ACL, &all) != nil {
		return nil, false
	}
	list = []ACL{}
	for _, a := range all {
		if a.Scheme == nil || a.ID == nil {
			return nil, false
		}
		list = append(list, ACL{Perm(a.Perms), *a.Scheme, *a.ID})
	}
	return list, true
}

// skip says why a step cannot be compared, if so: it is about the wire, or about sessions.
func (s *goldenStep) skip(h *goldenHeader) string {
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
func (s *goldenStep) op() Op {
	switch s.Op {
	case "create", "create2", "createContainer", "createTTL":
		list, _ := s.acl()
		o := CreateOp{Path: s.path(), Data: s.data(), Mode: goldenModes[s.Mode], ACL: list}
		if s.Mode == "ttl" || s.Mode == "ttl_sequential" {
			switch {
			case s.TTL <= 0: // 0 is no TTL with us
				o.TTL = -1
			case s.TTL > int64(MaxTTL/time.Millisecond):
				o.TTL = MaxTTL + time.Millisecond
			default:
				o.TTL = time.Duration(s.TTL) * time.Millisecond
			}
		}
		if s.Flags != nil && s.Op != "create" && s.Op != "create2" {
			o.Mode = Container
			if *s.Flags == 2 || *s.Flags == 3 {
				o.Mode |= Sequential
			}
		}
		return o
	case "set":
		return SetOp{Path: s.path(), Data: s.data(), Version: VersionOf(s.Version)}
	case "delete":
		return DeleteOp{Path: s.path(), Version: VersionOf(s.Version)}
	case "check":
		return CheckOp{Path: s.path(), Version: VersionOf(s.Version)}
	case "setACL":
		list, _ := s.acl()
		return SetACLOp{Path: s.path(), ACL: list, Version: VersionOf(s.Version)}
	}
	return nil
}
