package ensemble

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ensemble-go/ensemble/zab"
)

// derivedID is the id of an ensemble that nobody draws: whoever knows the same of it, derives the same. What tells the ensemble from all others that are
// derived for the same purpose is in about. Addresses are not part of it: they may change, and differ from member to member.
func derivedID(purpose, name string, members []Member, about []byte) zab.EnsembleID {
	le := binary.LittleEndian
	var b []byte
	put := func(s []byte) { b = append(le.AppendUint64(b, uint64(len(s))), s...) }
	put([]byte("github.com/ensemble-go/ensemble " + purpose + " 1"))
	put([]byte(name))
	members = unaddressed(members)
	b = le.AppendUint64(b, uint64(len(members)))
	for _, m := range members {
		votes := uint64(1)
		if m.Observer {
			votes = 0
		}
		for _, v := range [...]uint64{uint64(m.ID), votes, uint64(m.Group), uint64(m.Weight)} {
			b = le.AppendUint64(b, v)
		}
	}
	put(about)
	sum := sha256.Sum256(b)
	return zab.EnsembleID(sum[:16])
}
