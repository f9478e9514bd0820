package ensemble

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// received makes a directory whose history begins with a snapshot of these chunks, and opens it again.
func received(t *testing.T, chunks ...[]byte) (*storage, durable.Found, error) {
	t.Helper()
	check := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx := disk.With(t.Context(), disk.Disk{FS: vfs.NewMemory(), SegmentSize: 4096})
	c := Config{ID: 1, Members: []Member{{ID: 1}, {ID: 2}, {ID: 3}}, Dir: "/d"}
	cfg := c.withDefaults()
	s, _, err := openStorage(ctx, &cfg)
	check(err)
	snap := &zab.Snapshot{ID: zab.SnapshotID{1}}
	mark := zab.Mark{Ensemble: zab.EnsembleID{1}, Member: 1, Born: true}
	file, err := s.States.Receive(snapshot.Meta{ID: snapshot.ID(snap.ID), Ensemble: mark.Ensemble}, nil)
	check(err)
	var at zab.Position
	for _, b := range chunks {
		check(file.Add(at.Chunk, b))
		at = at.After(b)
	}
	snap.Length, snap.Digest = at.Length, at.Digest
	s.Hold(file)
	check(s.Append([]zab.Record{{Kind: zab.RecordMark, Mark: mark}, {Kind: zab.RecordReset, Pos: 1, Snapshot: snap}}, 0, func(zab.WriteID) {}), s.Close())
	return openStorage(ctx, &cfg)
}

// stateOf returns the chunks of an empty state.
func stateOf(t *testing.T) (chunks [][]byte) {
	r := core.NewZnodes(1 << 20).Snapshot(1 << 10)
	defer r.Close()
	for last := false; !last; {
		var b []byte
		var err error
		if b, last, err = r.Next(); err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, b)
	}
	return chunks
}

// A leader that has applied nothing yet sends the snapshot of an empty state, and the next start finds it.
func TestSnapshotOfNothing(t *testing.T) {
	s, f, err := received(t, stateOf(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.damage != nil || f.Snapshot == nil || f.Snapshot.Length == 0 || s.state == nil {
		t.Fatalf("%+v %+v %v", s.damage, f.Snapshot, s.state)
	}
}

// A snapshot that is whole and holds no state is none of the disk's faults: a start says so, and repairs nothing.
func TestSnapshotOfNonsense(t *testing.T) {
	good := stateOf(t)
	for name, chunks := range map[string][][]byte{ // any order: each stands alone
		"from the beginning": {[]byte("nonsense")},
		"at its end":         append(slices.Clone(good), []byte("nonsense")),
		"long before it":     slices.Concat([][]byte{[]byte("nonsense")}, slices.Repeat([][]byte{make([]byte, 100)}, 40)),
		"without an end":     good[:len(good)-1],
	} {
		s, _, err := received(t, chunks...)
		if !errors.Is(err, ErrImpaired) || !strings.Contains(err.Error(), errUndecodable.Error()) || s != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
