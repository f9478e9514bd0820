package datatree

import (
	"math"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/zab"
)

// A snapshot is a stream of MessagePack arrays, cut anywhere into chunks:
//
//	[format, zxid, count]                                                                        once
//	[path, data, czxid, mzxid, pzxid, ctime, mtime, creates, version, aversion, owner, mode, ttl]  for each znode in the order of Walk,
//	                                                                                               and the ACL unless it is open
//	[digest]                                                                                     once
//
// Signed numbers are written modulo 2^64 or 2^32.
const (
	chunkFormat = 1
	nodeFields  = 13
	nodeExtra   = 256 // more than a record holds besides path and data
	mostLoaded  = 64 << 20
)

// ChunkReader writes a View out. One goroutine.
type ChunkReader struct {
	view  *View
	walk  *walker
	max   int
	buf   []byte
	ended bool
}

// Chunks returns the encoding of the view in pieces of at most max bytes (at least 1).
func (v *View) Chunks(max int) *ChunkReader {
	if max < 1 {
		max = 1
	}
	r := &ChunkReader{view: v, walk: v.walk(rootPath), max: max}
	r.buf = msgpack.AppendUint(msgpack.AppendArray(r.buf, 3), chunkFormat)
	r.buf = msgpack.AppendUint(msgpack.AppendUint(r.buf, uint64(v.Zxid())), uint64(v.Len()))
	return r
}

// Next returns the next piece, which the caller may keep, and whether it is the last. After the last there are only empty ones.
func (r *ChunkReader) Next() (chunk []byte, last bool) {
	for len(r.buf) <= r.max && !r.ended { // one byte more than a chunk, so that the last is known to be it
		x := r.walk.next()
		if x == nil {
			r.buf = msgpack.AppendUint(msgpack.AppendArray(r.buf, 1), r.view.Digest())
			r.ended = true
			break
		}
		rare, fields := x.rarely(), nodeFields
		if rare.acl != nil {
			fields++
		}
		b := msgpack.AppendArray(r.buf, fields)
		b = msgpack.AppendBytes(msgpack.AppendString(b, x.path(), nil), x.data())
		b = msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendUint(b, uint64(x.czxid)), uint64(x.mzxid)), uint64(x.pzxid))
		b = msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendUint(b, uint64(x.ctime)), uint64(x.mtime)), uint64(x.creates))
		b = msgpack.AppendUint(msgpack.AppendUint(b, uint64(uint32(x.version))), uint64(uint32(x.aversion)))
		b = msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendUint(b, rare.owner), uint64(x.mode)), uint64(rare.ttl))
		if rare.acl != nil {
			b = append(b, rare.acl.text...)
		}
		r.buf = b
	}
	n := min(len(r.buf), r.max)
	chunk = r.buf[:n:n]
	rest := r.buf[n:]
	r.buf = append(make([]byte, 0, max(len(rest), min(r.max, 64<<10))+nodeExtra), rest...)
	return chunk, r.ended && len(r.buf) == 0
}

// Loader builds a tree from the chunks of a View. One goroutine.
type Loader struct {
	tree   *Tree
	buf    []byte // an incomplete record
	last   string // path of the last znode
	stage  int
	count  uint64
	digest uint64
	err    error
}

const (
	stageHeader = iota
	stageNodes
	stageEnd
	stageDone
)

// NewLoader returns a Loader for a tree that refuses data of more than maxData bytes later on. What it holds already may be longer, up to 64 MiB: that
// was agreed on under another limit.
func NewLoader(maxData int) *Loader { return &Loader{tree: newTree(maxData)} }

// Add takes the next chunk; it keeps nothing of it. It takes no more memory than the chunks together have bytes, times a constant. After an error
// the Loader is of no more use.
func (l *Loader) Add(chunk []byte) error {
	if l.err != nil {
		return l.err
	}
	l.buf = append(l.buf, chunk...)
	rest := l.buf
	for len(rest) > 0 && l.stage != stageDone {
		d := decoder{msgpack.Decoder{B: rest}}
		l.record(&d)
		if l.err != nil {
			return l.err
		}
		if d.Bad {
			if d.Short && len(rest) <= MaxPath+mostLoaded+2*MaxACL+nodeExtra {
				break // the rest comes with the next chunk
			}
			l.err = ErrCorrupt
			return l.err
		}
		rest = d.B
	}
	if len(rest) > 0 && l.stage == stageDone {
		l.err = ErrCorrupt
		return l.err
	}
	l.buf = l.buf[:copy(l.buf, rest)]
	return nil
}

// record reads one. If it is not there as a whole, d is bad and nothing has happened.
func (l *Loader) record(d *decoder) {
	t := l.tree
	switch l.stage {
	case stageHeader:
		d.Expect(3)
		format, zxid, count := d.Uint(), d.Uint(), d.Uint()
		if d.Bad {
			return
		}
		if format != chunkFormat {
			l.err = ErrCorrupt
			return
		}
		t.now.zxid, l.count, l.stage = zab.Zxid(zxid), count, stageNodes
	case stageNodes:
		fields := d.Array()
		if fields != nodeFields && fields != nodeFields+1 {
			d.Fail()
		}
		path, data := d.String(MaxPath), d.Bytes(mostLoaded)
		n := node{
			czxid: zab.Zxid(d.Uint()), mzxid: zab.Zxid(d.Uint()), pzxid: zab.Zxid(d.Uint()),
			ctime: int64(d.Uint()), mtime: int64(d.Uint()), creates: int64(d.UintTo(math.MaxInt64)),
			version: int32(uint32(d.UintTo(math.MaxUint32))), aversion: int32(uint32(d.UintTo(math.MaxUint32))),
		}
		owner, mode, ttl := d.Uint(), Mode(d.UintTo(uint64(allModes))), int64(d.UintTo(math.MaxInt64))
		a := openACL
		if fields > nodeFields {
			a = t.readACL(d)
		}
		if d.Bad {
			return
		}
		n.mode, n.rare = mode, rarelyWith(owner, ttl, a)
		if fields > nodeFields && (a == openACL || path == configPath) || !fits(n.mode, n.rare) || !l.node(path, n, data) {
			l.err = ErrCorrupt
			return
		}
		if uint64(t.now.count) == l.count {
			l.stage = stageEnd
		}
	case stageEnd:
		d.Expect(1)
		digest := d.Uint()
		if !d.Bad {
			l.digest, l.stage = digest, stageDone
		}
	}
}

// node puts one into the tree; the order of Walk makes sure that its parent is there.
func (l *Loader) node(path string, n node, data []byte) bool {
	t := l.tree
	if CheckPath(path) != nil || (path == rootPath) != (t.now.count == 0) || path != rootPath && !walksBefore(l.last, path) {
		return false
	}
	v, up := t.install(path, n, data)
	if v == nil {
		return false
	}
	l.last = v.path()
	if up != nil {
		up.children++
	}
	t.touched = append(t.touched, v) // sealed at the end, when its children are counted
	return true
}

// walksBefore reports whether Walk visits a before b: byte by byte, with "/" before all else. So there is one stream for each tree.
func walksBefore(a, b string) bool {
	if a == rootPath {
		return b != rootPath
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] == '/' || b[i] != '/' && a[i] < b[i]
		}
	}
	return len(a) < len(b)
}

// Finish returns the tree when all chunks were added and the digest is that of the view.
func (l *Loader) Finish() (*Tree, error) {
	if l.err != nil || l.stage != stageDone {
		return nil, ErrCorrupt
	}
	l.err = ErrCorrupt // used up
	t := l.tree
	for _, v := range t.touched {
		v.seal()
		t.now.digest += v.digest
	}
	for _, p := range [...]string{rootPath, systemPath, configPath, quotaPath} {
		if t.index.find(p, hashPath(p)) == nil {
			return nil, ErrCorrupt
		}
	}
	if t.now.digest != l.digest {
		return nil, ErrCorrupt
	}
	t.touched = nil
	t.publish()
	return t, nil
}
