package datatree

import (
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/ensemble-go/ensemble/zab"
)

// version is the state of a znode since zxid. It is changed only by the transaction that makes it, before that is published: readers look no further
// than at zxid, prev and the path of a version that is newer than what they may see.
//
// It is the head of a larger piece of memory, which begins with the path: see room. So a read touches nothing else, apart from the index.
type version struct {
	zxid    zab.Zxid
	bytes   *byte // the data, nil for none; in the same piece of memory if it is short
	size    int32 // of the data
	pathLen int32 // of the path, which follows
	node
	entry *entry
	newer *version                // writer only: of a version that views hold
	prev  atomic.Pointer[version] // older; cut once this version is taken out. Last: it is where the path begins
}

// cut is the prev of a version that was taken out while there were older ones. Who stands on it begins again at the newest. If the version
// kept its prev, somebody who keeps its data would keep everything that was older.
var cut = new(version)

const (
	// inlineMax bounds the path and the data that stand in the same piece of memory as their version. They are copied from version to version; longer data is shared.
	inlineMax = 512 - int(unsafe.Sizeof(version{}))
	// shortPath bounds the paths that always stand there. Of a longer one only the string does, and its data is elsewhere.
	shortPath = inlineMax / 2
)

// room is a version with room for path and data. Nothing is a version that is not part of a room or of a versionOfLong.
type room[B any] struct {
	version
	buf B
}

type versionOfLong struct {
	version
	path string
}

// newRoom returns a version with room for n bytes. With the room each fills a size class of the allocator (on 64 bits).
func newRoom(n int) *version {
	switch {
	case n <= 24:
		return &new(room[[24]byte]).version
	case n <= 40:
		return &new(room[[40]byte]).version
	case n <= 56:
		return &new(room[[56]byte]).version
	case n <= 72:
		return &new(room[[72]byte]).version
	case n <= 88:
		return &new(room[[88]byte]).version
	case n <= 104:
		return &new(room[[104]byte]).version
	case n <= 120:
		return &new(room[[120]byte]).version
	case n <= 152:
		return &new(room[[152]byte]).version
	case n <= 184:
		return &new(room[[184]byte]).version
	case n <= 216:
		return &new(room[[216]byte]).version
	case n <= 280:
		return &new(room[[280]byte]).version
	}
	return &new(room[[inlineMax]byte]).version
}

// buf returns the first n bytes of the room, which there must be.
func (v *version) buf(n int) []byte {
	return unsafe.Slice(&(*room[[1]byte])(unsafe.Pointer(v)).buf[0], n)
}

// path returns the path of the znode. Who keeps it keeps the version.
func (v *version) path() string {
	if int(v.pathLen) > shortPath {
		return (*versionOfLong)(unsafe.Pointer(v)).path
	}
	return unsafe.String(&(*room[[1]byte])(unsafe.Pointer(v)).buf[0], v.pathLen)
}

// data returns the data of the znode, read-only.
func (v *version) data() []byte {
	if v.bytes == nil {
		return nil
	}
	return unsafe.Slice(v.bytes, v.size)
}

// nothing is what empty data points to.
var nothing byte

// refer lets v have data, which is shared.
func (v *version) refer(data []byte) {
	v.size = int32(len(data))
	switch {
	case data == nil:
		v.bytes = nil
	case len(data) == 0:
		v.bytes = &nothing
	default:
		v.bytes = &data[0]
	}
}

// at returns the version that shows at zxid, or nil, beginning at v. It is not known if v or one behind it was taken out meanwhile. The caller has
// pinned zxid, or looks afterwards whether it is still the newest.
func (v *version) at(zxid zab.Zxid) (at *version, known bool) {
	for ; v != nil; v = v.prev.Load() {
		if v == cut {
			return nil, false
		}
		if v.zxid <= zxid {
			if v.dead {
				return nil, true
			}
			return v, true
		}
	}
	return nil, true
}

// fill sets z to what v is at zxid.
func (v *version) fill(z *Znode, zxid zab.Zxid) {
	z.Path, z.Data, z.Zxid = v.path(), v.data(), zxid
	v.stat(&z.Stat)
}

// newVersion returns the first version of e, with a copy of path and data. Its node has nothing else yet.
func newVersion(e *entry, path string, zxid zab.Zxid, data []byte) *version {
	if len(path) > shortPath {
		path = strings.Clone(path) // here, so that the versions after it share it
	}
	v := makeVersion(path, zxid, data, false)
	v.entry = e
	return v
}

// next returns a version that is to follow v: the same with a copy of data, or with data itself if that is shared. It does not touch the entry.
func (v *version) next(zxid zab.Zxid, data []byte, shared bool) *version {
	n := makeVersion(v.path(), zxid, data, shared)
	n.entry, n.node = v.entry, v.node
	n.prev.Store(v)
	return n
}

func makeVersion(path string, zxid zab.Zxid, data []byte, shared bool) *version {
	var v *version
	inline := 0
	switch n := len(path); {
	case n > shortPath:
		x := new(versionOfLong)
		v, x.path = &x.version, path
	case n+len(data) <= inlineMax:
		inline = len(data)
		v = newRoom(n + inline)
	default:
		v = newRoom(n)
	}
	v.zxid, v.pathLen = zxid, int32(len(path))
	if len(path) <= shortPath {
		copy(v.buf(len(path)), path)
	}
	switch {
	case inline > 0:
		buf := v.buf(len(path) + inline)[len(path):]
		copy(buf, data)
		v.refer(buf)
	case shared || len(data) == 0:
		v.refer(data)
	default:
		v.refer(append([]byte(nil), data...))
	}
	return v
}
