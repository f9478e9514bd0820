package ensemble

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// A leader that has applied nothing yet sends the snapshot of an empty state, and the next start finds it.
func TestSnapshotOfNothing(t *testing.T) {
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
	r := core.NewZnodes(1 << 20).Snapshot(1 << 10)
	var at zab.Position
	for last := false; !last; {
		var b []byte
		b, last, err = r.Next()
		check(err, file.Add(at.Chunk, b))
		at = at.After(b)
	}
	r.Close()
	snap.Length, snap.Digest = at.Length, at.Digest
	s.Hold(file)
	check(s.Append([]zab.Record{{Kind: zab.RecordMark, Mark: mark}, {Kind: zab.RecordReset, Pos: 1, Snapshot: snap}}, 0, func(zab.WriteID) {}), s.Close())
	s, f, err := openStorage(ctx, &cfg)
	check(err)
	if s.damage != nil || f.Snapshot == nil || f.Snapshot.Length != snap.Length {
		t.Fatalf("%+v %+v", s.damage, f.Snapshot)
	}
	check(s.Close())
}
