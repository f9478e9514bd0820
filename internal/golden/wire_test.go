//go:build zookeeper

package golden

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// A client of ZooKeeper's protocol, as far as the programs need it: one request at a time.

// out is a request that is being written.
type out []byte

func (o *out) int(v int32)   { *o = binary.BigEndian.AppendUint32(*o, uint32(v)) }
func (o *out) long(v int64)  { *o = binary.BigEndian.AppendUint64(*o, uint64(v)) }
func (o *out) text(s string) { o.int(int32(len(s))); *o = append(*o, s...) }
func (o *out) bool(b bool) {
	if b {
		*o = append(*o, 1)
	} else {
		*o = append(*o, 0)
	}
}
func (o *out) buffer(b []byte) {
	if b == nil {
		o.int(-1)
		return
	}
	o.int(int32(len(b)))
	*o = append(*o, b...)
}

// in is an answer that is being read. Reading beyond its end gives zeros, and bad.
type in struct {
	b   []byte
	bad bool
}

func (i *in) take(n int) []byte {
	if n < 0 || n > len(i.b) {
		i.bad = true
		return make([]byte, max(0, min(n, 16)))
	}
	b := i.b[:n]
	i.b = i.b[n:]
	return b
}
func (i *in) int() int32  { return int32(binary.BigEndian.Uint32(i.take(4))) }
func (i *in) long() int64 { return int64(binary.BigEndian.Uint64(i.take(8))) }
func (i *in) bool() bool  { return i.take(1)[0] != 0 }
func (i *in) buffer() []byte {
	n := i.int()
	if n < 0 {
		return nil
	}
	return append([]byte{}, i.take(int(n))...)
}
func (i *in) text() string { return string(i.buffer()) }

// client is one session.
type client struct {
	index  int
	id     int64
	conn   net.Conn
	xid    int32
	events []Event
}

const patience = time.Minute // for one answer

func (c *client) send(o out) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(o))), o...))
	return err
}

func (c *client) frame() (*in, error) {
	var n [4]byte
	if _, err := io.ReadFull(c.conn, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, min(binary.BigEndian.Uint32(n[:]), 1<<24))
	_, err := io.ReadFull(c.conn, b)
	return &in{b: b}, err
}

// dial opens a session.
func dial(addr string, index int) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{index: index, conn: conn}
	var o out
	o.int(0)
	o.long(0)
	o.int(40000)
	o.long(0)
	o.buffer(make([]byte, 16))
	o.bool(false)
	if err := c.send(o); err != nil {
		return nil, err
	}
	r, err := c.frame()
	if err != nil {
		return nil, err
	}
	r.int()
	r.int()
	c.id = r.long()
	return c, nil
}

// call sends a request and returns the answer to it; events that come before are kept.
func (c *client) call(xid, op int32, body out) (zxid int64, code int32, r *in, err error) {
	if xid == 0 {
		c.xid++
		xid = c.xid
	}
	var o out
	o.int(xid)
	o.int(op)
	if err := c.send(append(o, body...)); err != nil {
		return 0, 0, nil, err
	}
	for {
		r, err := c.frame()
		if err != nil {
			return 0, 0, nil, err
		}
		got := r.int()
		zxid, code := r.long(), r.int()
		if got == xid {
			return zxid, code, r, nil
		}
		if got != -1 {
			return 0, 0, nil, fmt.Errorf("an answer to %d, want %d", got, xid)
		}
		what := r.int()
		r.int()
		c.events = append(c.events, Event{c.index, map[int32]string{1: "NodeCreated", 2: "NodeDeleted", 3: "NodeDataChanged", 4: "NodeChildrenChanged"}[what], r.text()})
	}
}

// codes of operations and of errors.
var (
	opcodes = map[string]int32{
		"create": 1, "delete": 2, "exists": 3, "get": 4, "set": 5, "getACL": 6, "setACL": 7, "children2": 12, "check": 13, "multi": 14, "create2": 15,
		"createContainer": 19, "createTTL": 21, "addWatch": 106, "removeWatches": 18, "close": -11, "addAuth": 100, "count": 104, "ephemerals": 103,
	}
	errorNames = map[int32]string{
		0: "OK", -2: "RuntimeInconsistency", -5: "MarshallingError", -8: "BadArguments", -101: "NoNode", -102: "NoAuth", -103: "BadVersion",
		-108: "NoChildrenForEphemerals", -110: "NodeExists", -111: "NotEmpty", -114: "InvalidACL", -121: "NoWatcher", -125: "QuotaExceeded",
	}
	flagsOf = map[string]int32{
		"persistent": 0, "ephemeral": 1, "persistent_sequential": 2, "ephemeral_sequential": 3, "container": 4, "ttl": 5, "ttl_sequential": 6,
	}
)

// body writes the arguments of a step.
func body(s *Step) (o out) {
	switch s.Op {
	case "multi":
		for i := range s.Ops {
			o.int(opcodes[s.Ops[i].Op])
			o.bool(false)
			o.int(-1)
			o = append(o, body(&s.Ops[i])...)
		}
		o.int(-1)
		o.bool(true)
		o.int(-1)
		return o
	case "close":
		return nil
	case "addAuth":
		o.int(0)
		o.text(s.Scheme)
		o.buffer(fromBase64(s.Auth))
		return o
	}
	o.text(s.Path)
	switch s.Op {
	case "create", "create2", "createContainer", "createTTL":
		o.buffer(s.data())
		var grants []Grant
		if s.ACL == nil {
			world, anyone := "world", "anyone"
			grants = []Grant{{31, &world, &anyone}}
		} else if err := json.Unmarshal(s.ACL, &grants); err != nil {
			return nil
		}
		o.grants(grants)
		o.int(flagsOf[s.Mode])
		if s.Op == "createTTL" {
			o.long(s.TTL)
		}
	case "set":
		o.buffer(s.data())
		o.int(s.Version)
	case "delete", "check":
		o.int(s.Version)
	case "setACL":
		var grants []Grant
		if err := json.Unmarshal(s.ACL, &grants); err != nil {
			return nil
		}
		o.grants(grants)
		o.int(s.Version)
	case "get", "exists", "children2":
		o.bool(s.Watch)
	case "addWatch":
		o.int(map[string]int32{"persistent": 0, "recursive": 1}[s.Type])
	case "removeWatches":
		o.int(map[string]int32{"children": 1, "data": 2, "any": 3}[s.Type])
	}
	return o
}

func (o *out) grants(list []Grant) {
	o.int(int32(len(list)))
	for _, g := range list {
		o.int(g.Perms)
		o.text(*g.Scheme)
		o.text(*g.ID)
	}
}

// stat reads one, with ordinals for zxids and indexes for sessions.
func (p *program) stat(r *in) *Stat {
	czxid, mzxid, ctime, mtime := r.long(), r.long(), r.long(), r.long()
	s := &Stat{Version: r.int(), Cversion: r.int(), Aversion: r.int(), CtimeEqMtime: ctime == mtime, EphemeralOwner: -1}
	owner := r.long()
	for _, c := range p.clients {
		if c != nil && c.id == owner {
			s.EphemeralOwner = c.index
		}
	}
	s.DataLength, s.NumChildren = int(r.int()), int(r.int())
	s.CzxidOrd, s.MzxidOrd, s.PzxidOrd = p.ords[czxid], p.ords[mzxid], p.ords[r.long()]
	return s
}

func encoded(b []byte) *string {
	if b == nil {
		return nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}

// result reads what an operation answers when it succeeds.
func (p *program) result(op string, r *in, res *Res) {
	switch op {
	case "create":
		res.Path = r.text()
	case "create2", "createContainer", "createTTL":
		res.Path = r.text()
		res.Stat = p.stat(r)
	case "set", "setACL", "exists":
		res.Stat = p.stat(r)
	case "get":
		res.Data = encoded(r.buffer())
		res.Stat = p.stat(r)
	case "children2":
		for n := r.int(); n > 0 && !r.bad; n-- {
			res.Children = append(res.Children, r.text())
		}
		slices.Sort(res.Children)
		res.Stat = p.stat(r)
	case "ephemerals":
		for n := r.int(); n > 0 && !r.bad; n-- {
			res.Paths = append(res.Paths, r.text())
		}
		slices.Sort(res.Paths)
	case "count":
		res.Count = int(r.int())
	case "getACL":
		for n := r.int(); n > 0 && !r.bad; n-- {
			perms, scheme, id := r.int(), r.text(), r.text()
			res.ACL = append(res.ACL, Grant{perms, &scheme, &id})
		}
		res.Stat = p.stat(r)
	}
}
