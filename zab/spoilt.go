package zab

import (
	"encoding/binary"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// A host that finds its state to differ from the leader's holds it. It renounces it when it learns that a quorum agrees with the leader: from
// then on the member is blank, with another incarnation, and comes back by a snapshot and a Readmit. The mark is written before anything is thrown away.

// Digest returns what an EntryDigest says; ok is false for any other entry.
func (e *Entry) Digest() (at Zxid, digest uint64, ok bool) {
	if e.Kind != EntryDigest || len(e.Data) != 16 {
		return 0, 0, false
	}
	return Zxid(binary.BigEndian.Uint64(e.Data)), binary.BigEndian.Uint64(e.Data[8:]), true
}

// Hold stops the application of entries, or lets it go on. The log goes on all the same: it is not in doubt.
func (m *Machine) Hold(on bool) {
	m.held = on
	if !on {
		m.advance()
	}
}

// Renounce gives the state up. The member ends its role, and neither votes, promises nor counts until it is readmitted.
func (m *Machine) Renounce(next Incarnation) {
	if m.failed != nil || m.mark.Spoilt {
		return
	}
	m.endRole()
	if mutant.On("renounce-in-memory") {
		m.mark.Incarnation, m.mark.Counts, m.mark.Spoilt = next, false, true
		m.durable = m.mark
		return
	}
	m.Write(func(k *Mark) { k.Incarnation, k.Counts, k.Spoilt = next, false, true })
}

// Unapplied returns the bytes of history that are committed and not applied.
func (m *Machine) Unapplied() uint64 {
	i, _ := m.hist.after(m.applied)
	j, _ := m.hist.after(m.committed)
	if j <= i {
		return 0
	}
	return m.hist.sizeTo(j) - m.hist.sizeTo(i)
}
