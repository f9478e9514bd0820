package datatree

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

const testMax = 64

// randomCaller is the host itself, or one of four sessions, each with other identities.
func randomCaller(r *rand.Rand) *Caller {
	return []*Caller{
		nil, nil,
		{Session: 1, Identities: []Identity{{"ip", "10.0.0.1"}}},
		{Session: 2, Identities: []Identity{{"ip", "127.0.0.1"}, {"digest", "ann:x"}}},
		{Session: 3, Identities: []Identity{{"ip", "127.0.0.1"}, {"digest", "bob:y"}, {"digest", "ann:x"}}},
		{Session: 4, Identities: []Identity{{"ip", "::1"}, {"super", ""}}},
	}[r.IntN(6)]
}

func randomACL(r *rand.Rand) []ACL {
	if r.IntN(20) == 0 {
		return []ACL{}
	}
	var list []ACL
	for range 1 + r.IntN(2) {
		a := []ACL{
			{PermAll, World, Anyone}, {PermAll, World, Anyone}, {PermAll, Auth, ""}, {0, "digest", "ann:x"}, {0, "digest", "bob:y"},
			{0, World, Anyone}, {0, "ip", "10.0.0.0/8"}, {0, "ip", "127.0.0.1"}, {PermAll, World, "x"}, {PermAll, "nosuch", "x"}, {PermAll, "digest", "x"},
		}[r.IntN(11)]
		if a.Perm == 0 {
			a.Perm = Perm(r.IntN(32))
		}
		list = append(list, a)
	}
	return list
}

// randomOp draws from a small space of paths, so that operations meet.
func randomOp(r *rand.Rand) Op {
	names := []string{"a", "b", "c", "a-", "zookeeper", "config", "é"}
	path := ""
	for range 1 + r.IntN(3) {
		path += "/" + names[r.IntN(len(names))]
	}
	if r.IntN(20) == 0 {
		path = "/"
	}
	var data []byte
	if n := r.IntN(20); n > 0 {
		data = make([]byte, n-1)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
	}
	if r.IntN(20) == 0 {
		path = "/zookeeper/quota/" + names[r.IntN(3)] + []string{"", "/zookeeper_limits", "/zookeeper_stats"}[r.IntN(3)]
		data = []byte([]string{"count=3,bytes=9", "count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=8", "count=1,bytes=1", "none", ""}[r.IntN(5)])
	}
	version := AnyVersion
	if r.IntN(3) == 0 {
		version = VersionOf(int32(r.IntN(3)))
	}
	switch r.IntN(18) {
	case 0, 1, 2, 3:
		return CreateOp{Path: path, Data: data}
	case 4:
		return CreateOp{Path: path, Data: data, Mode: Sequential}
	case 5, 6, 7:
		return SetOp{Path: path, Data: data, Version: version}
	case 8, 9:
		return DeleteOp{Path: path, Version: version}
	case 10:
		// What was numbered is deleted too.
		return DeleteOp{Path: fmt.Sprintf("%s%010d", path, r.IntN(4))}
	case 11, 12:
		o := CreateOp{Path: path, Data: data, Parents: r.IntN(3) == 0}
		o.Mode = []Mode{Ephemeral, Ephemeral, Ephemeral | Sequential, Container, Persistent, Sequential}[r.IntN(6)]
		if o.Mode&Ephemeral == 0 && o.Mode != Container {
			o.TTL = time.Duration(1+r.IntN(200)) * time.Millisecond
		}
		if r.IntN(2) == 0 {
			o.ACL = randomACL(r)
		}
		return o
	case 13:
		return SetACLOp{Path: path, ACL: randomACL(r), Version: version}
	case 14:
		return ReapOp{Path: path, Czxid: zab.Zxid(r.IntN(4) / 3 * r.IntN(100)), Version: version}
	case 15:
		if r.IntN(8) == 0 {
			return CloseSessionOp{1 + uint64(r.IntN(5))}
		}
		return SetACLOp{Path: path, ACL: OpenACL}
	case 16:
		return DeleteOp{Path: path, Version: version, Recursive: true}
	}
	return CheckOp{Path: path, Version: version, Czxid: zab.Zxid(r.IntN(4) / 3 * r.IntN(100))}
}
