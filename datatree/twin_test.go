package datatree

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ensemble-go/ensemble/zab"
)

// twin is the slow tree: a map, judged and changed in one go, and put back if a request is refused. It shares nothing with Tree but the types.
type twin struct {
	zxid  zab.Zxid
	nodes map[string]twinNode
	undo  map[string]*twinNode // what the request has changed, as it was
}

type twinNode struct {
	data    []byte
	stat    Stat
	creates int64
	acl     []ACL
}

var twinOpen = []ACL{{31, "world", "anyone"}}

func newTwin() *twin {
	t := &twin{nodes: map[string]twinNode{}}
	for p, children := range map[string]int{"/": 1, "/zookeeper": 2, "/zookeeper/config": 0, "/zookeeper/quota": 0} {
		n := twinNode{data: []byte{}, acl: twinOpen}
		n.stat.Ctime, n.stat.Mtime = time.UnixMilli(0).UTC(), time.UnixMilli(0).UTC()
		n.stat.Version, n.stat.Aversion = VersionOf(0), VersionOf(0)
		n.stat.NumChildren, n.stat.Cversion = children, int32(-children)
		if p == "/zookeeper/config" {
			n.stat.Aversion, n.acl = VersionOf(-1), []ACL{{1, "world", "anyone"}}
		}
		t.nodes[p] = n
	}
	return t
}

func (t *twin) clone() *twin { return &twin{zxid: t.zxid, nodes: maps.Clone(t.nodes)} }

func (t *twin) parent(path string) string {
	i := strings.LastIndex(path, "/")
	if i == 0 {
		return "/"
	}
	return path[:i]
}

// put changes a znode, nil: takes it away.
func (t *twin) put(path string, n *twinNode) {
	if _, known := t.undo[path]; !known {
		t.undo[path] = nil
		if old, ok := t.nodes[path]; ok {
			t.undo[path] = &old
		}
	}
	if n == nil {
		delete(t.nodes, path)
	} else {
		t.nodes[path] = *n
	}
}

// count adds to the children of path, and to those ever created.
func (t *twin) count(path string, children int, creates int64, z zab.Zxid) {
	n := t.nodes[path]
	n.stat.NumChildren += children
	n.creates += creates
	n.stat.Cversion = int32(2*n.creates) - int32(n.stat.NumChildren)
	n.stat.Pzxid = z
	t.put(path, &n)
}

// do carries out ops of who, or returns the index of the first that fails and why, and leaves all as it was. Quotas are those of applied; nil: of nobody.
func (t *twin) do(z zab.Zxid, at int64, who *Caller, applied *twin, ops []Op) (results []Result, index int, err error) {
	t.undo = map[string]*twinNode{}
	for i, op := range ops {
		r, err := t.one(z, time.UnixMilli(at).UTC(), who, applied, op)
		if err != nil {
			for p, n := range t.undo {
				if delete(t.nodes, p); n != nil {
					t.nodes[p] = *n
				}
			}
			return nil, i, err
		}
		r.Zxid = z
		results = append(results, r)
	}
	t.zxid = z
	return results, 0, nil
}

func (t *twin) one(z zab.Zxid, at time.Time, who *Caller, applied *twin, op Op) (r Result, err error) {
	switch o := op.(type) {
	case CreateOp:
		return t.create(z, at, who, applied, o)
	case SetOp:
		n, ok := t.nodes[o.Path]
		switch {
		case o.Path == "/zookeeper/config" && who == nil:
			return r, ErrNoAuth
		case !ok:
			return r, ErrNoNode
		case !twinMay(who, n.acl, 2):
			return r, ErrNoAuth
		case applied.over(o.Path, 0, len(o.Data)-len(n.data)):
			return r, ErrQuotaExceeded
		case o.Version.Int() != -1 && o.Version != n.stat.Version:
			return r, ErrBadVersion
		}
		more := len(o.Data) - len(n.data)
		n.data = twinCopy(o.Data)
		n.stat.Version = VersionOf(n.stat.Version.Int() + 1)
		n.stat.Mzxid, n.stat.Mtime, n.stat.DataLength = z, at, len(o.Data)
		t.put(o.Path, &n)
		if more != 0 {
			t.charge(o.Path, 0, more)
		}
		return Result{Path: o.Path, Stat: t.nodes[o.Path].stat}, nil
	case SetACLOp:
		list := twinResolve(who, o.ACL)
		n, ok := t.nodes[o.Path]
		switch {
		case list == nil:
			return r, ErrInvalidACL
		case o.Path == "/zookeeper/config":
			return r, ErrNoAuth
		case !ok:
			return r, ErrNoNode
		case !twinMay(who, n.acl, 16):
			return r, ErrNoAuth
		case o.Version.Int() != -1 && o.Version != n.stat.Aversion:
			return r, ErrBadVersion
		}
		n.acl = list
		n.stat.Aversion = VersionOf(n.stat.Aversion.Int() + 1)
		t.put(o.Path, &n)
		return Result{Path: o.Path, Stat: n.stat}, nil
	case DeleteOp:
		if slices.Contains([]string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}, o.Path) {
			return r, ErrBadArguments
		}
		up, ok := t.nodes[t.parent(o.Path)]
		if !ok {
			return r, ErrNoNode
		}
		if !twinMay(who, up.acl, 8) {
			return r, ErrNoAuth
		}
		n, ok := t.nodes[o.Path]
		switch {
		case !ok:
			return r, ErrNoNode
		case o.Version.Int() != -1 && o.Version != n.stat.Version:
			return r, ErrBadVersion
		case n.stat.NumChildren > 0 && !o.Recursive:
			return r, ErrNotEmpty
		}
		below := t.walk(o.Path)
		for _, z := range below {
			if z.Stat.NumChildren > 0 && !twinMay(who, t.nodes[z.Path].acl, 8) {
				return r, ErrNoAuth
			}
		}
		for _, x := range slices.Backward(below) {
			t.remove(x.Path, z)
		}
		return Result{Path: o.Path}, nil
	case CheckOp:
		n, ok := t.nodes[o.Path]
		switch {
		case !ok:
			return r, ErrNoNode
		case !twinMay(who, n.acl, 1):
			return r, ErrNoAuth
		case o.Version.Int() != -1 && o.Version != n.stat.Version, o.Czxid != 0 && o.Czxid != n.stat.Czxid:
			return r, ErrBadVersion
		}
		return Result{Path: o.Path}, nil
	case ReapOp:
		n, ok := t.nodes[o.Path]
		switch {
		case who != nil || slices.Contains([]string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}, o.Path):
			return r, ErrBadArguments
		case !ok:
			return r, ErrNoNode
		case o.Czxid != 0 && o.Czxid != n.stat.Czxid:
			return r, ErrBadVersion
		case n.stat.NumChildren > 0:
			return r, ErrNotEmpty
		case o.Version.Int() != -1 && o.Version != n.stat.Version:
			return r, ErrBadVersion
		case o.Version.Int() != -1 && n.stat.TTL != 0:
		case !n.due(at):
			return r, ErrBadVersion
		}
		t.remove(o.Path, z)
		return Result{Path: o.Path}, nil
	case CloseSessionOp:
		if who != nil {
			return r, ErrBadArguments
		}
		for _, p := range t.ephemerals(o.Session) {
			t.remove(p, z)
		}
		return r, nil
	}
	return r, ErrBadArguments
}

func (t *twin) create(z zab.Zxid, at time.Time, who *Caller, applied *twin, o CreateOp) (r Result, err error) {
	stat := Stat{
		Czxid: z, Mzxid: z, Pzxid: z, Ctime: at, Mtime: at, Version: VersionOf(0), Aversion: VersionOf(0), DataLength: len(o.Data),
		Mode: o.Mode &^ Sequential, TTL: o.TTL,
	}
	if o.Mode&Ephemeral != 0 {
		if who == nil || who.Session == 0 {
			return r, ErrUnsupported
		}
		stat.EphemeralOwner = who.Session
	}
	list := twinOpen
	if o.ACL != nil {
		if list = twinResolve(who, o.ACL); list == nil {
			return r, ErrInvalidACL
		}
	}
	up := t.parent(o.Path)
	var missing []string // the deepest first
	for {
		if _, ok := t.nodes[up]; ok {
			break
		}
		if !o.Parents {
			return r, ErrNoNode
		}
		missing = append(missing, up)
		up = t.parent(up)
	}
	p := t.nodes[up]
	if up == "/zookeeper/config" && who == nil || !twinMay(who, p.acl, 4) {
		return r, ErrNoAuth
	}
	path := o.Path
	if o.Mode&Sequential != 0 {
		n := p.creates
		if len(missing) > 0 {
			n = 0
		}
		path = fmt.Sprintf("%s%010d", path, n)
	}
	if _, ok := t.nodes[path]; ok {
		return r, ErrNodeExists
	}
	if p.stat.EphemeralOwner != 0 {
		return r, ErrNoChildrenForEphemerals
	}
	if applied.over(path, 1+len(missing), len(o.Data)) {
		return r, ErrQuotaExceeded
	}
	for _, m := range slices.Backward(missing) {
		s := stat
		s.Mode, s.TTL, s.EphemeralOwner, s.DataLength = Container, 0, 0, 0
		t.put(m, &twinNode{data: []byte{}, stat: s, acl: list})
		t.count(t.parent(m), 1, 1, z)
		t.charge(m, 1, 0)
	}
	t.put(path, &twinNode{data: twinCopy(o.Data), stat: stat, acl: list})
	t.count(t.parent(path), 1, 1, z)
	if about, ok := strings.CutSuffix(path, "/zookeeper_stats"); ok && strings.HasPrefix(about, "/zookeeper/quota/") {
		count, bytes := 0, 0
		for _, x := range t.walk(strings.TrimPrefix(about, "/zookeeper/quota")) {
			count++
			bytes += len(x.Data)
		}
		t.usage(path, count, bytes)
	}
	t.charge(path, 1, len(o.Data))
	return Result{Path: path, Stat: t.nodes[path].stat}, nil
}

func (t *twin) remove(path string, z zab.Zxid) {
	size := len(t.nodes[path].data)
	t.put(path, nil)
	t.count(t.parent(path), -1, 0, z)
	t.charge(path, -1, -size)
}

func (n *twinNode) due(at time.Time) bool {
	return n.stat.Mode == Container && n.creates > 0 || n.stat.TTL != 0 && at.Sub(n.stat.Mtime) > n.stat.TTL
}

func (t *twin) dueAt(at int64) (ops []ReapOp) {
	for p, n := range t.nodes {
		if n.stat.NumChildren == 0 && n.due(time.UnixMilli(at)) {
			ops = append(ops, ReapOp{Path: p, Czxid: n.stat.Czxid})
		}
	}
	slices.SortFunc(ops, func(a, b ReapOp) int { return strings.Compare(a.Path, b.Path) })
	return ops
}

func (t *twin) ephemerals(session uint64) (paths []string) {
	for p, n := range t.nodes {
		if n.stat.EphemeralOwner == session && session != 0 {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

func twinCopy(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// walk returns what View.Walk should.
func (t *twin) walk(path string) (all []Znode) {
	n, ok := t.nodes[path]
	if !ok {
		return nil
	}
	if n.stat.NumChildren == 0 {
		return []Znode{{Path: path, Data: n.data, Stat: n.stat, Zxid: t.zxid}}
	}
	for p, n := range t.nodes {
		if p == path || path == "/" || strings.HasPrefix(p, path+"/") {
			all = append(all, Znode{Path: p, Data: n.data, Stat: n.stat, Zxid: t.zxid})
		}
	}
	slices.SortFunc(all, func(a, b Znode) int { // a "/" before all else
		return strings.Compare(strings.ReplaceAll(strings.TrimSuffix(a.Path, "/"), "/", "\x00"), strings.ReplaceAll(strings.TrimSuffix(b.Path, "/"), "/", "\x00"))
	})
	return all
}

// names returns the names of all children, sorted, by parent.
func (t *twin) names() map[string][]string {
	names := map[string][]string{}
	for p := range t.nodes {
		if p != "/" {
			up := t.parent(p)
			names[up] = append(names[up], p[strings.LastIndex(p, "/")+1:])
		}
	}
	for _, list := range names {
		slices.Sort(list)
	}
	return names
}

// plainCheckPath is the rule about paths, component by component.
func plainCheckPath(path string) bool {
	if path == "/" {
		return true
	}
	if !utf8.ValidString(path) || !strings.HasPrefix(path, "/") {
		return false
	}
	for _, c := range strings.Split(path[1:], "/") {
		if c == "" || c == "." || c == ".." {
			return false
		}
		for _, r := range c {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
				return false
			}
		}
	}
	return true
}
