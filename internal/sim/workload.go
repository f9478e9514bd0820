package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// The requests of the clients: few paths, so that they meet each other, and data that names the request.

// The pair is created, set and deleted by multis that do the same to both.
const (
	pairA = "/left"
	pairB = "/right"
)

const (
	maxData  = 100
	mostSeqs = 12 // sequential znodes; with more, deleting them is preferred
)

// awkward are paths whose operations are refused for reasons of their own, mostly.
var awkward = []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/config/x", "/nobody/here"}

// callers are who makes requests and reads: the host, and those who have identities.
var callers = []*datatree.Caller{
	nil,
	{Identities: []datatree.Identity{{Scheme: "ip", ID: "10.0.0.1"}}},
	{Identities: []datatree.Identity{{Scheme: "ip", ID: "10.0.0.2"}, {Scheme: "digest", ID: "ann:a"}}},
	{Identities: []datatree.Identity{{Scheme: "ip", ID: "10.1.0.3"}, {Scheme: "digest", ID: "bob:b"}, {Scheme: "digest", ID: "bob:c"}}},
}

// lists are the ACLs of requests. The last ones are invalid; "auth" may be.
var lists = [][]datatree.ACL{
	{{Perm: datatree.PermAll, Scheme: "world", ID: "anyone"}},
	{{Perm: datatree.PermAll &^ datatree.PermRead, Scheme: "world", ID: "anyone"}},
	{{Perm: datatree.PermRead | datatree.PermCreate, Scheme: "world", ID: "anyone"}, {Perm: datatree.PermAll, Scheme: "digest", ID: "ann:a"}},
	{{Perm: datatree.PermAll, Scheme: "digest", ID: "ann:a"}, {Perm: datatree.PermRead, Scheme: "digest", ID: "bob:b"}},
	{{Perm: datatree.PermAll &^ datatree.PermDelete, Scheme: "ip", ID: "10.0.0.0/24"}},
	{{Perm: datatree.PermAll, Scheme: "auth"}},
	{{Perm: datatree.PermAll, Scheme: "digest", ID: "nobody"}},
	{},
}

// request is what a client asks for. Without ops it is nonsense.
type request struct {
	id      uint64
	who     *datatree.Caller
	ops     []datatree.Op
	multi   bool
	payload []byte

	act     int    // not 0: what a session is asked in place of ops
	about   uint64 // the session that is resumed,
	right   bool   // with the right password
	timeout uint32 // of the one that is opened
}

// workload draws requests. It looks at the newest committed state, so that some of what it asks for is possible.
type workload struct {
	r     *rand.Rand
	paths []string
	pad   int
	past  *past
	seqs  []string // sequential znodes that exist,
	due   []string // and those that go by themselves

	special, acls, quotas bool
	ttl                   Time // the shortest
}

func newWorkload(c *Config, r *rand.Rand, p *past) workload {
	l := workload{r: r, pad: c.Pad, past: p, special: c.Special, acls: c.ACLs, quotas: c.Quotas, ttl: c.Tick}
	const top, children = 4, 3 // and the same again below: up to depth 3
	for i := range c.Paths {
		if i < top {
			l.paths = append(l.paths, fmt.Sprintf("/p%d", i))
		} else {
			l.paths = append(l.paths, fmt.Sprintf("%s/p%d", l.paths[(i-top)/children], i))
		}
	}
	return l
}

// changed keeps the lists of what exists.
func (l *workload) changed(changes []change) {
	for _, c := range changes {
		if len(c.path) >= 10 && c.path[len(c.path)-10] == '0' {
			l.seqs = held(l.seqs, c.path, c.node != nil)
		}
		if l.special {
			l.due = held(l.due, c.path, c.node != nil && (c.node.stat.Mode == datatree.Container || c.node.stat.TTL > 0))
		}
	}
}

// held returns list with path, or without.
func held(list []string, path string, with bool) []string {
	switch at := slices.Index(list, path); {
	case with && at < 0:
		return append(list, path)
	case !with && at >= 0:
		return slices.Delete(list, at, at+1)
	}
	return list
}

func (l *workload) draw(id uint64) *request {
	q := &request{id: id}
	switch x := l.r.IntN(500); {
	case x == 0:
		q.payload = []byte("nonsense")
		return q
	case x < 50:
		q.multi, q.ops = true, l.pair(id)
	case x < 52:
		q.multi = true
	case x < 65 && l.quotas:
		q.multi, q.ops = true, l.quota()
	case x < 120:
		q.multi = true
		n := 2 + l.r.IntN(3)
		for range n {
			q.ops = append(q.ops, l.op(id, q.ops))
		}
	default:
		q.ops = []datatree.Op{l.op(id, nil)}
	}
	if l.acls && l.r.IntN(4) == 0 {
		q.who = callers[l.r.IntN(len(callers))]
	}
	var err error
	if q.payload, err = datatree.AppendOps(envelope(nil, q.who), q.ops, q.multi, 1<<20); err != nil {
		panic(err)
	}
	return q
}

// quota begins one, changes its limits, or ends it.
func (l *workload) quota() []datatree.Op {
	at := "/zookeeper/quota" + l.paths[l.r.IntN(min(8, len(l.paths)))]
	limits, stats := at+"/zookeeper_limits", at+"/zookeeper_stats"
	text := fmt.Appendf(nil, "count=1,bytes=1=;byteHardLimit=%d;countHardLimit=%d", l.r.IntN(200)-1, l.r.IntN(8)-1)
	switch n := l.past.now[limits]; {
	case n == nil:
		return []datatree.Op{datatree.CreateOp{Path: limits, Data: text, Parents: true}, datatree.CreateOp{Path: stats}}
	case l.r.IntN(2) == 0:
		return []datatree.Op{datatree.SetOp{Path: limits, Data: text}}
	case l.r.IntN(4) == 0:
		return []datatree.Op{datatree.DeleteOp{Path: stats}}
	}
	return []datatree.Op{datatree.DeleteOp{Path: at, Recursive: true}}
}

func (l *workload) pair(id uint64) (ops []datatree.Op) {
	n := l.past.now[pairA]
	kind, version := l.r.IntN(6), datatree.AnyVersion
	if n == nil && l.r.IntN(4) > 0 {
		kind = 0
	} else if n != nil {
		version = l.version(pairA)
	}
	data := l.data(id)
	for _, p := range [...]string{pairA, pairB} {
		switch kind {
		case 0:
			ops = append(ops, datatree.CreateOp{Path: p, Data: data})
		case 1:
			ops = append(ops, datatree.DeleteOp{Path: p, Version: version})
		default:
			ops = append(ops, datatree.SetOp{Path: p, Data: data, Version: version})
		}
	}
	if l.r.IntN(4) == 0 { // so that it fails when all but this is done
		ops = append(ops, l.check())
	}
	return ops
}

// op draws an operation; in a multi it often meets what is before it.
func (l *workload) op(id uint64, before []datatree.Op) datatree.Op {
	if len(l.seqs) > 0 && l.r.IntN(16) < min(8, len(l.seqs)-mostSeqs) {
		return datatree.DeleteOp{Path: l.seqs[l.r.IntN(len(l.seqs))]}
	}
	path := l.path()
	if len(before) > 0 && l.r.IntN(3) == 0 {
		path = pathOf(before[l.r.IntN(len(before))])
	}
	if l.acls && l.r.IntN(16) == 0 {
		path = l.there(path)
		o := datatree.SetACLOp{Path: path, ACL: lists[l.r.IntN(len(lists))]}
		if n := l.past.now[path]; n != nil && l.r.IntN(3) == 0 {
			o.Version = n.stat.Aversion
		}
		return o
	}
	if l.special && l.r.IntN(10) == 0 {
		return l.unusual(id, path)
	}
	switch x := l.r.IntN(100); {
	case x < 30:
		return datatree.CreateOp{Path: path, Data: l.data(id), ACL: l.acl()}
	case x < 42:
		if path == "/" {
			path = ""
		}
		return datatree.CreateOp{Path: pick(l.r, path+"/", path+"/s-", "/s-"), Data: l.data(id), Mode: datatree.Sequential, ACL: l.acl()}
	case x < 74:
		path = l.there(path)
		return datatree.SetOp{Path: path, Data: l.data(id), Version: l.version(path)}
	case x < 90:
		path = l.there(path)
		return datatree.DeleteOp{Path: path, Version: l.version(path)}
	}
	return l.check()
}

// acl draws the one of a new znode, mostly none.
func (l *workload) acl() []datatree.ACL {
	if !l.acls || l.r.IntN(6) > 0 {
		return nil
	}
	return lists[l.r.IntN(len(lists))]
}

// unusual draws what is not of every day: what goes by itself, missing parents, whole subtrees.
func (l *workload) unusual(id uint64, path string) datatree.Op {
	if path == "/" || strings.HasPrefix(path, "/zookeeper") {
		path = l.paths[l.r.IntN(len(l.paths))]
	}
	ttl := time.Duration(l.ttl*Time(1+l.r.IntN(40))) / time.Millisecond * time.Millisecond
	x := l.r.IntN(12)
	if len(l.due) > mostSeqs && x < 7 {
		x = 7 + l.r.IntN(5)
	}
	switch {
	case x < 1:
		return datatree.CreateOp{Path: path, Data: l.data(id), Mode: datatree.Container, ACL: l.acl()}
	case x < 3:
		return datatree.CreateOp{Path: path, Data: l.data(id), TTL: ttl, ACL: l.acl()}
	case x < 4:
		return datatree.CreateOp{Path: path + "/t-", Data: l.data(id), TTL: ttl, Mode: datatree.Sequential}
	case x < 6:
		return datatree.CreateOp{Path: path + pick(l.r, "/d", "/d/e", "/d/e/f"), Data: l.data(id), Parents: true, ACL: l.acl()}
	case x < 7:
		return datatree.CreateOp{Path: path + pick(l.r, "/d/s-", "/s/t/"), Mode: datatree.Sequential, Parents: true}
	case x < 9:
		return datatree.DeleteOp{Path: path, Version: l.version(path), Recursive: true}
	}
	if len(l.due) > 0 && l.r.IntN(8) > 0 {
		path = l.due[l.r.IntN(len(l.due))]
	}
	o := datatree.ReapOp{Path: path}
	if n := l.past.now[path]; n != nil && l.r.IntN(2) == 0 {
		o.Czxid = n.stat.Czxid
	}
	return o
}

func (l *workload) check() datatree.Op {
	path := l.path()
	o := datatree.CheckOp{Path: path, Version: l.version(path)}
	if n := l.past.now[path]; n != nil && l.r.IntN(2) == 0 {
		o.Czxid = n.stat.Czxid
	} else if l.r.IntN(4) == 0 {
		o.Czxid = zab.MakeZxid(1, 1+l.r.Uint32N(50))
	}
	return o
}

// there takes another path, mostly, when there is nothing at this one.
func (l *workload) there(path string) string {
	if l.past.now[path] == nil && l.r.IntN(8) > 0 {
		return l.path()
	}
	return path
}

func (l *workload) path() string {
	if l.r.IntN(40) == 0 {
		return awkward[l.r.IntN(len(awkward))]
	}
	if len(l.seqs) > 0 && l.r.IntN(12) == 0 {
		return l.seqs[l.r.IntN(len(l.seqs))]
	}
	if len(l.due) > 0 && l.r.IntN(8) == 0 {
		return l.due[l.r.IntN(len(l.due))]
	}
	return l.paths[l.r.IntN(len(l.paths))]
}

// watched draws the path of a watch.
func (l *workload) watched(r *rand.Rand) string {
	switch x := r.IntN(12); {
	case x == 0:
		return pick(r, "/", "/zookeeper/quota", pairA)
	case x < 3 && len(l.seqs) > 0:
		return l.seqs[r.IntN(len(l.seqs))]
	case x < 5 && len(l.due) > 0:
		return l.due[r.IntN(len(l.due))]
	}
	return l.paths[r.IntN(len(l.paths))]
}

// version draws the one that an operation expects: often any, often the right one, and sometimes a wrong one.
func (l *workload) version(path string) datatree.Version {
	n := l.past.now[path]
	switch x := l.r.IntN(8); {
	case x < 4:
		return datatree.AnyVersion
	case x < 7 && n != nil:
		return n.stat.Version
	}
	return datatree.VersionOf(l.r.Int32N(4))
}

func (l *workload) data(id uint64) []byte {
	switch l.r.IntN(60) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return make([]byte, maxData+1)
	}
	b := make([]byte, 8+l.r.IntN(l.pad+1))
	binary.BigEndian.PutUint64(b, id)
	return b
}

func pathOf(op datatree.Op) string {
	if o, ok := op.(datatree.CreateOp); ok && o.Mode&datatree.Sequential != 0 {
		return "/s"
	}
	_, path := datatree.NameOf(op)
	return path
}
