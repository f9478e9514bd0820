package datatree

import (
	"sync/atomic"

	"github.com/ensemble-go/ensemble/zab"
)

// entry is the place of a path in the index. It holds the versions of the znode that somebody may still read.
type entry struct {
	path   string
	hash   uint64
	head   atomic.Pointer[version] // newest first; nil only while an entry is being made or taken back
	parent *entry
	kids   atomic.Pointer[children]
	after  atomic.Pointer[entry] // see children
	up     *tower
	nameAt uint32 // where the name begins in path
	queued bool   // writer only: in Tree.stale
	gone   bool   // writer only: taken out of the index
}

// version is the state of a znode since zxid. It is changed only by the transaction that makes it, before that is published: readers look no further
// than at zxid and prev of a version that is newer than what they may see.
type version struct {
	zxid zab.Zxid
	prev atomic.Pointer[version]
	node
}

// at returns the znode at zxid, or nil. The caller has pinned zxid, or looks afterwards whether it is still the newest.
func (e *entry) at(zxid zab.Zxid) *version {
	for v := e.head.Load(); v != nil; v = v.prev.Load() {
		if v.zxid <= zxid {
			if v.dead {
				return nil
			}
			return v
		}
	}
	return nil
}

func (e *entry) znode(v *version, zxid zab.Zxid) Znode {
	return Znode{Path: e.path, Data: v.data, Stat: v.stat(), Zxid: zxid}
}
