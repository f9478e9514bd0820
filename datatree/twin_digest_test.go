package datatree

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

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
