package datatree

import (
	"sync/atomic"

	"github.com/ensemble-go/ensemble/zab"
)

// version is the state of a znode since zxid. It is changed only by the transaction that makes it, before that is published: readers look no further
// than at zxid, prev and the path of a version that is newer than what they may see.
//
// What Get reads stands first, and together: apart from the index, a read touches nothing else.
type version struct {
	zxid zab.Zxid
	path string        // the entry's
	key  [keySize]byte // a copy of a path that is not longer
	node
	entry *entry
	prev  atomic.Pointer[version] // older; cut once this version is taken out
	newer *version                // writer only: of a version that views hold
}

// keySize bounds the paths that are compared without a look at the entry.
const keySize = 48

// cut is the prev of a version that was taken out while there were older ones. Who stands on it begins again at the newest. If the version
// kept its prev, somebody who keeps its data would keep everything that was older.
var cut = new(version)

// is reports whether v is a version of path.
func (v *version) is(path string) bool {
	n := len(v.path)
	switch {
	case n != len(path):
		return false
	case n <= keySize:
		return string(v.key[:n]) == path
	}
	return v.path == path
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
	z.Path, z.Data, z.Zxid = v.path, v.data, zxid
	v.stat(&z.Stat)
}

// inlineMax bounds the data that stands in the same piece of memory as its version. It is copied from version to version, longer data is shared.
const inlineMax = 304

// Versions with room for data. With the version each fills a size class of the allocator (on 64 bits).
type (
	version16 struct {
		version
		buf [16]byte
	}
	version48 struct {
		version
		buf [48]byte
	}
	version80 struct {
		version
		buf [80]byte
	}
	version112 struct {
		version
		buf [112]byte
	}
	version176 struct {
		version
		buf [176]byte
	}
	version304 struct {
		version
		buf [inlineMax]byte
	}
)

// newVersion returns the first version of e, with a copy of data. Its node has nothing else yet.
func newVersion(e *entry, zxid zab.Zxid, data []byte) *version {
	v := makeVersion(zxid, data, false)
	v.entry, v.path = e, e.path
	copy(v.key[:], e.path)
	return v
}

// next returns a version that is to follow v: the same with a copy of data, or with data itself if that is shared. It does not touch the entry.
func (v *version) next(zxid zab.Zxid, data []byte, shared bool) *version {
	n := makeVersion(zxid, data, shared)
	data = n.data
	n.path, n.key, n.entry, n.node = v.path, v.key, v.entry, v.node
	n.data = data
	n.prev.Store(v)
	return n
}

func makeVersion(zxid zab.Zxid, data []byte, shared bool) *version {
	var v *version
	var buf []byte
	n := len(data)
	switch {
	case n <= 16 || n > inlineMax:
		x := new(version16)
		v, buf = &x.version, x.buf[:]
	case n <= 48:
		x := new(version48)
		v, buf = &x.version, x.buf[:]
	case n <= 80:
		x := new(version80)
		v, buf = &x.version, x.buf[:]
	case n <= 112:
		x := new(version112)
		v, buf = &x.version, x.buf[:]
	case n <= 176:
		x := new(version176)
		v, buf = &x.version, x.buf[:]
	default:
		x := new(version304)
		v, buf = &x.version, x.buf[:]
	}
	v.zxid = zxid
	switch {
	case data == nil:
	case n <= inlineMax:
		v.data = buf[:n:n]
		copy(v.data, data)
	case shared:
		v.data = data
	default:
		v.data = append([]byte(nil), data...)
	}
	return v
}
