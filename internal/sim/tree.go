package sim

import (
	"bytes"
	"fmt"
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
	creates int64 // children ever created
}

func (n *znode) same(got *datatree.Znode) bool {
	return n.stat == got.Stat && (n.data == nil) == (got.Data == nil) && bytes.Equal(n.data, got.Data)
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
	nodes["/zookeeper/config"].stat.Aversion = datatree.VersionOf(-1)
	return nodes
}

// draft is a transaction that is being judged: what it has changed so far.
type draft struct {
	now     map[string]*znode // before it
	zxid    zab.Zxid
	at      time.Time
	maxData int
	changes []change // one for each path; the latest state
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
	case datatree.CheckOp:
		n, err := d.expect(o.Path, o.Version)
		if err == nil && o.Czxid != 0 && o.Czxid != n.stat.Czxid {
			err = datatree.ErrBadVersion
		}
		return datatree.Result{Path: o.Path}, err
	}
	return datatree.Result{}, datatree.ErrBadArguments
}

func (d *draft) create(o datatree.CreateOp) (r datatree.Result, err error) {
	sequential := o.Mode == datatree.Sequential
	if len(o.Data) > d.maxData {
		return r, datatree.ErrTooLarge
	}
	if o.Path == "/" && !sequential {
		return r, datatree.ErrNodeExists
	}
	up := parentOf(o.Path)
	parent := d.get(up)
	if parent == nil {
		return r, datatree.ErrNoNode
	}
	if up == "/zookeeper/config" {
		return r, datatree.ErrNoAuth
	}
	path := o.Path
	if sequential {
		path = fmt.Sprintf("%s%010d", o.Path, parent.creates)
	}
	if d.get(path) != nil {
		return r, datatree.ErrNodeExists
	}
	n := &znode{data: bytes.Clone(o.Data), stat: datatree.Stat{
		Czxid: d.zxid, Mzxid: d.zxid, Pzxid: d.zxid, Ctime: d.at, Mtime: d.at, Version: datatree.VersionOf(0), Aversion: datatree.VersionOf(0), DataLength: len(o.Data),
	}}
	d.put(path, n)
	d.count(up, 1, 1)
	return datatree.Result{Path: path, Stat: n.stat}, nil
}

func (d *draft) set(o datatree.SetOp) (r datatree.Result, err error) {
	if len(o.Data) > d.maxData {
		return r, datatree.ErrTooLarge
	}
	if o.Path == "/zookeeper/config" {
		return r, datatree.ErrNoAuth
	}
	old, err := d.expect(o.Path, o.Version)
	if err != nil {
		return r, err
	}
	n := *old
	n.data = bytes.Clone(o.Data)
	n.stat.Version = datatree.VersionOf(old.stat.Version.Int() + 1)
	n.stat.Mzxid, n.stat.Mtime, n.stat.DataLength = d.zxid, d.at, len(o.Data)
	d.put(o.Path, &n)
	return datatree.Result{Path: o.Path, Stat: n.stat}, nil
}

func (d *draft) delete(o datatree.DeleteOp) (r datatree.Result, err error) {
	switch o.Path {
	case "/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota":
		return r, datatree.ErrBadArguments
	}
	n, err := d.expect(o.Path, o.Version)
	if err != nil {
		return r, err
	}
	if n.stat.NumChildren > 0 {
		return r, datatree.ErrNotEmpty
	}
	d.put(o.Path, nil)
	d.count(parentOf(o.Path), -1, 0)
	return datatree.Result{Path: o.Path}, nil
}

func (d *draft) expect(path string, v datatree.Version) (*znode, error) {
	n := d.get(path)
	if n == nil {
		return nil, datatree.ErrNoNode
	}
	if v != datatree.AnyVersion && v != n.stat.Version {
		return nil, datatree.ErrBadVersion
	}
	return n, nil
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

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
