package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

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

// request is what a client asks for. Without ops it is nonsense.
type request struct {
	id      uint64
	ops     []datatree.Op
	multi   bool
	payload []byte
}

// workload draws requests. It looks at the newest committed state, so that some of what it asks for is possible.
type workload struct {
	r     *rand.Rand
	paths []string
	pad   int
	past  *past
	seqs  []string // sequential znodes that exist
}

func newWorkload(c *Config, r *rand.Rand, p *past) workload {
	l := workload{r: r, pad: c.Pad, past: p}
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

// changed keeps the list of sequential znodes.
func (l *workload) changed(changes []change) {
	for _, c := range changes {
		if len(c.path) < 10 || c.path[len(c.path)-10] != '0' {
			continue
		}
		at := -1
		for i, p := range l.seqs {
			if p == c.path {
				at = i
			}
		}
		switch {
		case c.node != nil && at < 0:
			l.seqs = append(l.seqs, c.path)
		case c.node == nil && at >= 0:
			l.seqs = append(l.seqs[:at], l.seqs[at+1:]...)
		}
	}
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
	case x < 120:
		q.multi = true
		n := 2 + l.r.IntN(3)
		for range n {
			q.ops = append(q.ops, l.op(id, q.ops))
		}
	default:
		q.ops = []datatree.Op{l.op(id, nil)}
	}
	var err error
	if q.payload, err = datatree.AppendOps(nil, q.ops, q.multi, 1<<20); err != nil {
		panic(err)
	}
	return q
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
	switch x := l.r.IntN(100); {
	case x < 30:
		return datatree.CreateOp{Path: path, Data: l.data(id)}
	case x < 42:
		if path == "/" {
			path = ""
		}
		return datatree.CreateOp{Path: pick(l.r, path+"/", path+"/s-", "/s-"), Data: l.data(id), Mode: datatree.Sequential}
	case x < 74:
		path = l.there(path)
		return datatree.SetOp{Path: path, Data: l.data(id), Version: l.version(path)}
	case x < 90:
		path = l.there(path)
		return datatree.DeleteOp{Path: path, Version: l.version(path)}
	}
	return l.check()
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
	return l.paths[l.r.IntN(len(l.paths))]
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
	switch o := op.(type) {
	case datatree.CreateOp:
		if o.Mode == datatree.Sequential {
			return "/s"
		}
		return o.Path
	case datatree.SetOp:
		return o.Path
	case datatree.DeleteOp:
		return o.Path
	case datatree.CheckOp:
		return o.Path
	}
	return "/"
}
