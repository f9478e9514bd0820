package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// The naive tree judges a request and carries it out in one go, in the order of the log. It shares with datatree the types of requests, results and
// errors, and no code.

// znode is one state of one znode. It never changes: a transaction makes new ones.
type znode struct {
	data    []byte
	stat    datatree.Stat
	creates int64          // children ever created
	acl     []datatree.ACL // nil: everybody may do everything
}

func (n *znode) same(got *datatree.Znode) bool {
	return n.stat == got.Stat && (n.data == nil) == (got.Data == nil) && bytes.Equal(n.data, got.Data)
}

// due tells whether a znode without children may go at a time.
func (n *znode) due(at time.Time) bool {
	if n.stat.Mode&datatree.Container != 0 {
		return n.creates > 0
	}
	return n.stat.TTL > 0 && at.Sub(n.stat.Mtime) > n.stat.TTL
}

// builtin are the znodes of an empty history.
func builtin() map[string]*znode {
	zero := time.UnixMilli(0).UTC()
	nodes := map[string]*znode{}
	for path, children := range map[string]int{"/": 1, "/zookeeper": 2, "/zookeeper/config": 0, "/zookeeper/quota": 0} {
		nodes[path] = &znode{data: []byte{}, stat: datatree.Stat{
			Ctime: zero, Mtime: zero, Version: datatree.VersionOf(0), Aversion: datatree.VersionOf(0), NumChildren: children, Cversion: -int32(children),
		}}
	}
	config := nodes["/zookeeper/config"]
	config.stat.Aversion = datatree.VersionOf(-1)
	config.acl = []datatree.ACL{{Perm: datatree.PermRead, Scheme: "world", ID: "anyone"}}
	return nodes
}

// happening is what a transaction does to one znode, in its order, with the ACLs at that moment of the znode and of its parent.
type happening struct {
	what    datatree.WatchEventType
	path    string
	acl, up []datatree.ACL
}

// draft is a transaction that is being judged: what it has changed so far.
type draft struct {
	now     map[string]*znode        // before it
	applied func(path string) *znode // where its leader judged it: quotas are asked there
	who     *datatree.Caller         // nil: the host
	session uint64                   // that ephemerals belong to; 0: there are none
	zxid    zab.Zxid
	at      time.Time
	maxData int
	changes []change // one for each path; the latest state
	events  []happening
}

type change struct {
	path string
	node *znode // nil: deleted
}

func (d *draft) get(path string) *znode {
	for _, c := range d.changes {
		if c.path == path {
			return c.node
		}
	}
	return d.now[path]
}

func (d *draft) put(path string, n *znode) {
	for i := range d.changes {
		if d.changes[i].path == path {
			d.changes[i].node = n
			return
		}
	}
	d.changes = append(d.changes, change{path, n})
}

// do judges and carries out all of a request, up to the first operation that is refused.
func (d *draft) do(ops []datatree.Op) (results []datatree.Result, index int, err error) {
	for i, op := range ops {
		r, err := d.one(op)
		if err != nil {
			return nil, i, err
		}
		r.Zxid = d.zxid
		results = append(results, r)
	}
	return results, -1, nil
}

func (d *draft) one(op datatree.Op) (datatree.Result, error) {
	switch o := op.(type) {
	case datatree.CreateOp:
		return d.create(o)
	case datatree.SetOp:
		return d.set(o)
	case datatree.DeleteOp:
		return d.delete(o)
	case datatree.SetACLOp:
		return d.setACL(o)
	case datatree.ReapOp:
		return d.reap(o)
	case datatree.CheckOp:
		n := d.get(o.Path)
		switch {
		case n == nil:
			return datatree.Result{}, datatree.ErrNoNode
		case !may(d.who, n.acl, datatree.PermRead):
			return datatree.Result{}, datatree.ErrNoAuth
		case !admits(o.Version, n.stat.Version), o.Czxid != 0 && o.Czxid != n.stat.Czxid:
			return datatree.Result{}, datatree.ErrBadVersion
		}
		return datatree.Result{Path: o.Path}, nil
	}
	return datatree.Result{}, datatree.ErrBadArguments
}

func (d *draft) create(o datatree.CreateOp) (r datatree.Result, err error) {
	if len(o.Data) > d.maxData {
		return r, datatree.ErrTooLarge
	}
	owner := uint64(0)
	if o.Mode&datatree.Ephemeral != 0 {
		if owner = d.session; owner == 0 {
			return r, datatree.ErrUnsupported
		}
	}
	var list []datatree.ACL
	if o.ACL != nil {
		if list, err = resolve(d.who, o.ACL); err != nil {
			return r, err
		}
	}
	sequential := o.Mode&datatree.Sequential != 0
	up := parentOf(o.Path)
	var missing []string // the deepest first
	for o.Parents && d.get(up) == nil {
		missing = append(missing, up)
		up = parentOf(up)
	}
	parent := d.get(up)
	switch {
	case parent == nil:
		return r, datatree.ErrNoNode
	case up == "/zookeeper/config" && d.who == nil, !may(d.who, parent.acl, datatree.PermCreate):
		return r, datatree.ErrNoAuth
	}
	path := o.Path
	if sequential {
		number := parent.creates
		if len(missing) > 0 {
			number = 0
		}
		path = fmt.Sprintf("%s%010d", o.Path, number)
	}
	switch {
	case d.get(path) != nil:
		return r, datatree.ErrNodeExists
	case parent.stat.EphemeralOwner != 0:
		return r, datatree.ErrNoChildrenForEphemerals
	}
	if d.over(path, 1+len(missing), len(o.Data)) {
		return r, datatree.ErrQuotaExceeded
	}
	for _, p := range slices.Backward(missing) {
		d.make(p, []byte{}, datatree.Container, 0, 0, list)
	}
	d.make(path, bytes.Clone(o.Data), o.Mode&^datatree.Sequential, o.TTL, owner, list)
	return datatree.Result{Path: path, Stat: d.get(path).stat}, nil
}

// make puts a new znode where there is none.
func (d *draft) make(path string, data []byte, mode datatree.Mode, ttl time.Duration, owner uint64, list []datatree.ACL) {
	up := parentOf(path)
	d.put(path, &znode{data: data, acl: list, stat: datatree.Stat{
		Czxid: d.zxid, Mzxid: d.zxid, Pzxid: d.zxid, Ctime: d.at, Mtime: d.at, Version: datatree.VersionOf(0), Aversion: datatree.VersionOf(0),
		DataLength: len(data), Mode: mode, TTL: ttl, EphemeralOwner: owner,
	}})
	d.count(up, 1, 1)
	d.events = append(d.events, happening{datatree.NodeCreated, path, list, d.get(up).acl})
	if subject, ok := strings.CutPrefix(path, "/zookeeper/quota"); ok && strings.HasSuffix(subject, "/zookeeper_stats") && subject != "/zookeeper_stats" {
		u := usage{}
		for _, p := range d.below(strings.TrimSuffix(subject, "/zookeeper_stats")) {
			u.count++
			u.bytes += int64(len(d.get(p).data))
		}
		d.used(path, u)
	}
	d.charge(path, 1, len(data))
}

func (d *draft) set(o datatree.SetOp) (r datatree.Result, err error) {
	if len(o.Data) > d.maxData {
		return r, datatree.ErrTooLarge
	}
	old := d.get(o.Path)
	switch {
	case o.Path == "/zookeeper/config" && d.who == nil:
		return r, datatree.ErrNoAuth
	case old == nil:
		return r, datatree.ErrNoNode
	case !may(d.who, old.acl, datatree.PermWrite):
		return r, datatree.ErrNoAuth
	case d.over(o.Path, 0, len(o.Data)-len(old.data)):
		return r, datatree.ErrQuotaExceeded
	case !admits(o.Version, old.stat.Version):
		return r, datatree.ErrBadVersion
	}
	n := *old
	n.data = bytes.Clone(o.Data)
	n.stat.Version = datatree.VersionOf(old.stat.Version.Int() + 1)
	n.stat.Mzxid, n.stat.Mtime, n.stat.DataLength = d.zxid, d.at, len(o.Data)
	d.put(o.Path, &n)
	d.events = append(d.events, happening{datatree.NodeDataChanged, o.Path, n.acl, nil})
	d.charge(o.Path, 0, len(n.data)-len(old.data))
	return datatree.Result{Path: o.Path, Stat: d.get(o.Path).stat}, nil
}

func (d *draft) setACL(o datatree.SetACLOp) (r datatree.Result, err error) {
	list, err := resolve(d.who, o.ACL)
	if err != nil {
		return r, err
	}
	old := d.get(o.Path)
	switch {
	case o.Path == "/zookeeper/config":
		return r, datatree.ErrNoAuth
	case old == nil:
		return r, datatree.ErrNoNode
	case !may(d.who, old.acl, datatree.PermAdmin):
		return r, datatree.ErrNoAuth
	case !admits(o.Version, old.stat.Aversion):
		return r, datatree.ErrBadVersion
	}
	n := *old
	n.acl = list
	n.stat.Aversion = datatree.VersionOf(old.stat.Aversion.Int() + 1)
	d.put(o.Path, &n)
	return datatree.Result{Path: o.Path, Stat: n.stat}, nil
}

func (d *draft) delete(o datatree.DeleteOp) (r datatree.Result, err error) {
	up, n := d.get(parentOf(o.Path)), d.get(o.Path)
	switch {
	case fixed(o.Path):
		return r, datatree.ErrBadArguments
	case up == nil:
		return r, datatree.ErrNoNode
	case !may(d.who, up.acl, datatree.PermDelete):
		return r, datatree.ErrNoAuth
	case n == nil:
		return r, datatree.ErrNoNode
	case !admits(o.Version, n.stat.Version):
		return r, datatree.ErrBadVersion
	case n.stat.NumChildren > 0 && !o.Recursive:
		return r, datatree.ErrNotEmpty
	}
	below := d.below(o.Path)
	for _, p := range below {
		if n := d.get(p); n.stat.NumChildren > 0 && !may(d.who, n.acl, datatree.PermDelete) {
			return r, datatree.ErrNoAuth
		}
	}
	for _, p := range slices.Backward(below) {
		d.remove(p)
	}
	return datatree.Result{Path: o.Path}, nil
}

func (d *draft) reap(o datatree.ReapOp) (r datatree.Result, err error) {
	n := d.get(o.Path)
	switch {
	case d.who != nil, fixed(o.Path):
		return r, datatree.ErrBadArguments
	case n == nil:
		return r, datatree.ErrNoNode
	case o.Czxid != 0 && o.Czxid != n.stat.Czxid:
		return r, datatree.ErrBadVersion
	case n.stat.NumChildren > 0:
		return r, datatree.ErrNotEmpty
	case !n.due(d.at):
		return r, datatree.ErrBadVersion
	}
	d.remove(o.Path)
	return datatree.Result{Path: o.Path}, nil
}

// remove deletes a znode without children.
func (d *draft) remove(path string) {
	n, up := d.get(path), parentOf(path)
	d.events = append(d.events, happening{datatree.NodeDeleted, path, n.acl, d.get(up).acl})
	d.put(path, nil)
	d.count(up, -1, 0)
	d.charge(path, -1, -len(n.data))
}

// below returns path and all below it: those of one depth after those of the one before, and then by name.
func (d *draft) below(path string) (paths []string) {
	if n := d.get(path); n == nil || n.stat.NumChildren == 0 {
		if n != nil {
			paths = append(paths, path)
		}
		return paths
	}
	within := strings.TrimSuffix(path, "/") + "/"
	take := func(p string) {
		if (p == path || strings.HasPrefix(p, within)) && d.get(p) != nil && !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	for p := range d.now { // sorted below
		take(p)
	}
	for _, c := range d.changes {
		take(c.path)
	}
	slices.SortFunc(paths, func(a, b string) int {
		if x, y := strings.Split(a, "/"), strings.Split(b, "/"); len(x) != len(y) {
			return len(x) - len(y)
		} else {
			return slices.Compare(x, y)
		}
	})
	return paths
}

// count notes that a parent has got or lost a child.
func (d *draft) count(path string, children int, creates int64) {
	n := *d.get(path)
	n.creates += creates
	n.stat.NumChildren += children
	n.stat.Cversion = int32(2*n.creates) - int32(n.stat.NumChildren)
	n.stat.Pzxid = d.zxid
	d.put(path, &n)
}

// usage is what the text of a quota's znodes says.
type usage struct{ count, bytes, hardCount, hardBytes int64 }

func readUsage(text []byte) usage {
	u := usage{-1, -1, -1, -1}
	for _, field := range bytes.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(string(field), "=")
		n, err := strconv.ParseInt(strings.TrimRight(value, "="), 10, 64)
		if at := map[string]*int64{"count": &u.count, "bytes": &u.bytes, "countHardLimit": &u.hardCount, "byteHardLimit": &u.hardBytes}[key]; at != nil && err == nil {
			*at = n
		}
	}
	return u
}

// quotaOf returns where the quota of path is, in the state that get reads: the deepest with limits counts, if it has stats.
func quotaOf(get func(string) *znode, path string) (limits, stats string, ok bool) {
	for ; path != "/"; path = parentOf(path) {
		limits, stats = "/zookeeper/quota"+path+"/zookeeper_limits", "/zookeeper/quota"+path+"/zookeeper_stats"
		if get(limits) != nil {
			return limits, stats, get(stats) != nil
		}
	}
	return "", "", false
}

// over reports whether so many more znodes and bytes at path go over a hard limit.
func (d *draft) over(path string, count, size int) bool {
	limits, stats, ok := quotaOf(d.applied, path)
	if !ok {
		return false
	}
	most, used := readUsage(d.applied(limits).data), readUsage(d.applied(stats).data)
	return count != 0 && most.hardCount >= 0 && used.count+int64(count) > most.hardCount ||
		size != 0 && most.hardBytes >= 0 && used.bytes+int64(size) > most.hardBytes
}

// charge notes that there are so many more znodes and bytes at path.
func (d *draft) charge(path string, count, size int) {
	if _, stats, ok := quotaOf(d.get, path); ok && (count != 0 || size != 0) {
		u := readUsage(d.get(stats).data)
		u.count += int64(count)
		u.bytes += int64(size)
		d.used(stats, u)
	}
}

func (d *draft) used(stats string, u usage) {
	n := *d.get(stats)
	n.data = fmt.Appendf(nil, "count=%d,bytes=%d", u.count, u.bytes)
	n.stat.DataLength = len(n.data)
	d.put(stats, &n)
}

func admits(want, have datatree.Version) bool { return want == datatree.AnyVersion || want == have }

func fixed(path string) bool {
	return slices.Contains([]string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}, path)
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
