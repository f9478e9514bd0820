package datatree

import (
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// Stat is what the tree knows of a znode besides its data.
type Stat struct {
	Czxid          zab.Zxid  // transaction that created it
	Mzxid          zab.Zxid  // that last set its data
	Pzxid          zab.Zxid  // that last created or deleted one of its children
	Ctime, Mtime   time.Time // of Czxid and Mzxid, in milliseconds, UTC
	Version        Version   // how often the data was set
	Cversion       int32     // how many children were created or deleted
	Aversion       Version   // how often the ACL was set
	EphemeralOwner uint64    // id of the session, 0 for none; compare it with uint64(s.ID()) of an ensemble.Session s
	DataLength     int
	NumChildren    int
	Mode           Mode
	TTL            time.Duration
}

// Znode is a znode at one state of the tree. Data is read-only.
type Znode struct {
	Path string
	Data []byte
	Stat Stat
	Zxid zab.Zxid // the state that was read
}

// Result is the outcome of an operation: the path as made (with its number, if sequential), the Stat right after the operation (zero for
// delete and check) and the transaction.
type Result struct {
	Path string
	Stat Stat
	Zxid zab.Zxid
}

// node is the state of a znode, compact.
type node struct {
	czxid, mzxid, pzxid zab.Zxid
	ctime, mtime        int64 // milliseconds since 1970
	creates             int64 // children ever created; the next sequence number
	version, aversion   int32
	children            int32
	mode                Mode
	dead                bool   // deleted; nothing else counts
	rare                *rare  // nil for zeros
	content             uint64 // digest of path and data
	digest              uint64 // see digest.go
}

// rare is what hardly any znode has. It never changes.
type rare struct {
	owner uint64 // of an ephemeral
	ttl   int64  // nanoseconds
	acl   *acl   // nil for the open one
}

func (n *node) rarely() rare {
	if n.rare == nil {
		return rare{}
	}
	return *n.rare
}

// cversion as clients see it: creates plus deletes. The counter of a new tree's built-in znodes begins at 0 although they have children, as
// in ZooKeeper, where "/" begins at -1; the sequence numbers depend on it.
func (n *node) cversion() int32 { return int32(2*n.creates - int64(n.children)) }

// stat fills s. The times cost more than all the rest, so the second is not made when it is the first.
func (n *version) stat(s *Stat) {
	s.Czxid, s.Mzxid, s.Pzxid = n.czxid, n.mzxid, n.pzxid
	s.Ctime = time.UnixMilli(n.ctime).UTC()
	if s.Mtime = s.Ctime; n.mtime != n.ctime {
		s.Mtime = time.UnixMilli(n.mtime).UTC()
	}
	s.Version, s.Cversion, s.Aversion = VersionOf(n.version), n.cversion(), VersionOf(n.aversion)
	s.DataLength, s.NumChildren, s.Mode = int(n.size), int(n.children), n.mode
	s.EphemeralOwner, s.TTL = 0, 0
	if n.rare != nil {
		s.EphemeralOwner, s.TTL = n.rare.owner, time.Duration(n.rare.ttl)
	}
}
