package datatree

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ensemble-go/ensemble/zab"
)

// twin is the slow tree: a map, copied whole for each multi, judged and applied in one go. It shares nothing with Tree but the types.
type twin struct {
	zxid  zab.Zxid
	nodes map[string]twinNode
}

type twinNode struct {
	data    []byte
	stat    Stat
	creates int64
	acl     []ACL
}

func newTwin() *twin {
	t := &twin{nodes: map[string]twinNode{}}
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"} {
		n := twinNode{data: []byte{}, acl: []ACL{{31, "world", "anyone"}}}
		n.stat.Ctime, n.stat.Mtime = time.UnixMilli(0).UTC(), time.UnixMilli(0).UTC()
		n.stat.Version, n.stat.Aversion = VersionOf(0), VersionOf(0)
		t.nodes[p] = n
	}
	c := t.nodes["/zookeeper/config"]
	c.stat.Aversion = VersionOf(-1)
	t.nodes["/zookeeper/config"] = c
	t.count("/", 1, 0, 0)
	t.count("/zookeeper", 2, 0, 0)
	return t
}

func (t *twin) clone() *twin {
	c := &twin{t.zxid, make(map[string]twinNode, len(t.nodes))}
	for p, n := range t.nodes {
		c.nodes[p] = n
	}
	return c
}

func (t *twin) parent(path string) string {
	i := strings.LastIndex(path, "/")
	if i == 0 {
		return "/"
	}
	return path[:i]
}

// count adds to the children of path, and to those ever created.
func (t *twin) count(path string, children int, creates int64, z zab.Zxid) {
	n := t.nodes[path]
	n.stat.NumChildren += children
	n.creates += creates
	n.stat.Cversion = int32(2*n.creates) - int32(n.stat.NumChildren)
	n.stat.Pzxid = z
	t.nodes[path] = n
}

// do returns the twin after ops, or the index of the first that fails and why.
func (t *twin) do(z zab.Zxid, at int64, ops []Op) (after *twin, results []Result, index int, err error) {
	c := t.clone()
	c.zxid = z
	for i, op := range ops {
		r, err := c.one(z, time.UnixMilli(at).UTC(), op)
		if err != nil {
			return nil, nil, i, err
		}
		r.Zxid = z
		results = append(results, r)
	}
	return c, results, 0, nil
}

func (t *twin) one(z zab.Zxid, at time.Time, op Op) (Result, error) {
	switch o := op.(type) {
	case CreateOp:
		if o.Path == "/" && o.Mode == Persistent {
			return Result{}, ErrNodeExists
		}
		up := t.parent(o.Path)
		p, ok := t.nodes[up]
		if !ok {
			return Result{}, ErrNoNode
		}
		if up == "/zookeeper/config" {
			return Result{}, ErrNoAuth
		}
		path := o.Path
		if o.Mode == Sequential {
			path = fmt.Sprintf("%s%010d", path, p.creates)
		}
		if _, ok := t.nodes[path]; ok {
			return Result{}, ErrNodeExists
		}
		n := twinNode{data: twinCopy(o.Data), acl: []ACL{{31, "world", "anyone"}}}
		n.stat = Stat{Czxid: z, Mzxid: z, Pzxid: z, Ctime: at, Mtime: at, Version: VersionOf(0), Aversion: VersionOf(0), DataLength: len(o.Data)}
		t.nodes[path] = n
		t.count(up, 1, 1, z)
		return Result{Path: path, Stat: n.stat}, nil
	case SetOp:
		n, ok := t.nodes[o.Path]
		switch {
		case o.Path == "/zookeeper/config":
			return Result{}, ErrNoAuth
		case !ok:
			return Result{}, ErrNoNode
		case o.Version.Int() != -1 && o.Version != n.stat.Version:
			return Result{}, ErrBadVersion
		}
		n.data = twinCopy(o.Data)
		n.stat.Version = VersionOf(n.stat.Version.Int() + 1)
		n.stat.Mzxid, n.stat.Mtime, n.stat.DataLength = z, at, len(o.Data)
		t.nodes[o.Path] = n
		return Result{Path: o.Path, Stat: n.stat}, nil
	case DeleteOp:
		n, ok := t.nodes[o.Path]
		switch {
		case o.Path == "/" || o.Path == "/zookeeper" || o.Path == "/zookeeper/config" || o.Path == "/zookeeper/quota":
			return Result{}, ErrBadArguments
		case !ok:
			return Result{}, ErrNoNode
		case o.Version.Int() != -1 && o.Version != n.stat.Version:
			return Result{}, ErrBadVersion
		case n.stat.NumChildren > 0:
			return Result{}, ErrNotEmpty
		}
		delete(t.nodes, o.Path)
		t.count(t.parent(o.Path), -1, 0, z)
		return Result{Path: o.Path}, nil
	case CheckOp:
		n, ok := t.nodes[o.Path]
		switch {
		case !ok:
			return Result{}, ErrNoNode
		case o.Version.Int() != -1 && o.Version != n.stat.Version, o.Czxid != 0 && o.Czxid != n.stat.Czxid:
			return Result{}, ErrBadVersion
		}
		return Result{Path: o.Path}, nil
	}
	return Result{}, ErrBadArguments
}

func twinCopy(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// walk returns what View.Walk should.
func (t *twin) walk(path string) []Znode {
	n, ok := t.nodes[path]
	if !ok {
		return nil
	}
	all := []Znode{{Path: path, Data: n.data, Stat: n.stat, Zxid: t.zxid}}
	for _, name := range t.names(path) {
		all = append(all, t.walk(strings.TrimSuffix(path, "/")+"/"+name)...)
	}
	return all
}

func (t *twin) names(path string) []string {
	var names []string
	for p := range t.nodes {
		if p != "/" && t.parent(p) == path {
			names = append(names, p[strings.LastIndex(p, "/")+1:])
		}
	}
	slices.Sort(names)
	return names
}

func (t *twin) digest() uint64 {
	var sum uint64
	for p, n := range t.nodes {
		sum += twinDigest(p, n.data, n.stat, n.creates, n.acl)
	}
	return sum
}

// recompute takes the digest of a view from what it shows.
func recompute(v *View) uint64 {
	var sum uint64
	for z := range v.Walk("/") {
		creates := (int64(z.Stat.Cversion) + int64(z.Stat.NumChildren)) / 2
		list, _, _ := v.For(nil).ACL(z.Path)
		sum += twinDigest(z.Path, z.Data, z.Stat, creates, list)
	}
	return sum
}

func twinDigest(path string, data []byte, s Stat, creates int64, list []ACL) uint64 {
	p := plainXXH64([]byte(path), 0)
	c := plainXXH64(data, p)
	flags := uint64(s.NumChildren)<<8 | uint64(s.Mode)
	if data == nil {
		flags |= 0x80
	}
	var b []byte
	for _, w := range []uint64{
		uint64(s.Czxid), uint64(s.Mzxid), uint64(s.Pzxid), uint64(s.Ctime.UnixMilli()), uint64(s.Mtime.UnixMilli()), uint64(creates),
		uint64(uint32(s.Version.Int()))<<32 | uint64(uint32(s.Aversion.Int())), s.EphemeralOwner, uint64(s.TTL), flags,
	} {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	if path != "/zookeeper/config" && !slices.Equal(list, []ACL{{31, "world", "anyone"}}) {
		b = binary.LittleEndian.AppendUint64(b, plainXXH64(twinACL(list), 0))
	}
	return plainXXH64(b, c)
}

// twinACL writes an ACL as MessagePack; numbers and strings are short.
func twinACL(list []ACL) []byte {
	b := []byte{0x90 | byte(len(list))}
	for _, a := range list {
		b = append(b, 0x93)
		switch p := uint32(a.Perm); {
		case p < 1<<7:
			b = append(b, byte(p))
		case p < 1<<8:
			b = append(b, 0xcc, byte(p))
		case p < 1<<16:
			b = binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(p))
		default:
			b = binary.BigEndian.AppendUint32(append(b, 0xce), p)
		}
		for _, s := range []string{a.Scheme, a.ID} {
			if len(s) < 32 {
				b = append(b, 0xa0|byte(len(s)))
			} else {
				b = append(b, 0xd9, byte(len(s)))
			}
			b = append(b, s...)
		}
	}
	return b
}

// plainXXH64 follows the specification of XXH64 step by step.
func plainXXH64(b []byte, seed uint64) uint64 {
	var p1, p2, p3, p4, p5 uint64 = 11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261
	le := binary.LittleEndian
	rnd := func(acc, lane uint64) uint64 { return bits.RotateLeft64(acc+lane*p2, 31) * p1 }
	i, acc := 0, seed+p5
	if len(b) >= 32 {
		lanes := [4]uint64{seed + p1 + p2, seed + p2, seed, seed - p1}
		for ; i+32 <= len(b); i += 32 {
			for l := range lanes {
				lanes[l] = rnd(lanes[l], le.Uint64(b[i+8*l:]))
			}
		}
		acc = 0
		for l, by := range []int{1, 7, 12, 18} {
			acc += bits.RotateLeft64(lanes[l], by)
		}
		for l := range lanes {
			acc = (acc^rnd(0, lanes[l]))*p1 + p4
		}
	}
	acc += uint64(len(b))
	for ; i+8 <= len(b); i += 8 {
		acc = bits.RotateLeft64(acc^rnd(0, le.Uint64(b[i:])), 27)*p1 + p4
	}
	for ; i+4 <= len(b); i += 4 {
		acc = bits.RotateLeft64(acc^uint64(le.Uint32(b[i:]))*p1, 23)*p2 + p3
	}
	for ; i < len(b); i++ {
		acc = bits.RotateLeft64(acc^uint64(b[i])*p5, 11) * p1
	}
	acc = (acc ^ acc>>33) * p2
	acc = (acc ^ acc>>29) * p3
	return acc ^ acc>>32
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
