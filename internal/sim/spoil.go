package sim

import (
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// A spoilt state stands for memory that went bad, or a bug: from then on the member's digest is wrong, and so is that of every state that is made
// from a snapshot of it, as long as a
// quorum is sound: digests cannot tell who is right when a majority is wrong. The tree itself is left alone, so that what readers see can still be judged.

// Digest is what the member takes for the digest of its state.
func (o *observed) Digest() uint64 { return o.Znodes.Digest() ^ o.spoilt }

func (o *observed) Snapshot(chunk int) zab.SnapshotReader {
	return &spoiltReader{SnapshotReader: o.Znodes.Snapshot(chunk), spoilt: o.spoilt != 0}
}

// spoiltReader puts a chunk before the others that tells whether the state was spoilt.
type spoiltReader struct {
	zab.SnapshotReader
	spoilt, begun bool
}

func (r *spoiltReader) Next() ([]byte, bool, error) {
	if r.begun {
		return r.SnapshotReader.Next()
	}
	r.begun = true
	if r.spoilt {
		return []byte{1}, false, nil
	}
	return []byte{0}, false, nil
}

// spoiltState is a decoded snapshot.
type spoiltState struct {
	state  any
	spoilt bool
}

func (o *observed) Decode(chunks [][]byte) (any, error) {
	if len(chunks) == 0 || len(chunks[0]) != 1 {
		return nil, core.ErrState
	}
	state, err := o.Znodes.Decode(chunks[1:])
	return spoiltState{state, chunks[0][0] == 1}, err
}

// spoilt reports whether n's state is wrong, or will be when it starts again.
func (n *node) spoilt() bool {
	if n.up {
		return n.sm.spoilt != 0
	}
	s := n.disk.snap
	if !n.drive.model() {
		s = n.drive.found.Snapshot
	}
	return s != nil && len(s.Chunks) > 0 && s.Chunks[0][0] == 1
}

// spoil makes n's state wrong, if the ensemble can do without its memory.
func (w *World) spoil(n *node, x uint64) {
	if n.up && !n.spoilt() && w.mayWipe(n) && n.m.Zab().Applied() != 0 {
		w.count(fSpoil)
		n.sm.spoilt = x | 1
	}
}

// sound reports whether nobody's state is wrong.
func (w *World) sound() bool {
	for _, n := range w.nodes {
		if n.spoilt() {
			return false
		}
	}
	return true
}

// found reports whether somebody knows of a state that is wrong, if there is one. What becomes of it may take until the laggards are heard.
func (w *World) found() bool {
	for _, n := range w.nodes {
		if n.up && n.status.Reason == core.Impaired {
			return true
		}
	}
	return w.sound()
}
