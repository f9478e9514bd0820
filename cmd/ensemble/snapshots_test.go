package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// fixtureEnsemble is that of the fixture. Its log is reset to 4.7 at position 10; 4.8 to 4.10 have the positions 11 to 13.
var fixtureEnsemble = zab.EnsembleID{0xe1, 2, 3}

// keep writes a snapshot into d/snapshots, and returns its name.
func keep(t *testing.T, e zab.EnsembleID, z zab.Zxid, pos uint64) string {
	t.Helper()
	s, err := snapshot.Open(snapshot.Options{Dir: "d/snapshots", Random: rand.New(rand.NewPCG(uint64(z), pos)).Uint64})
	must(t, err)
	spans := []zab.Span{{Epoch: 1, Last: 5}}
	if z.Epoch() > 1 {
		spans = append(spans, zab.Span{Epoch: z.Epoch(), Last: z.Counter()})
	}
	w, err := s.Create(snapshot.Meta{Ensemble: e, Zxid: z, Pos: pos, Created: time.Unix(1700000000, 0), Spans: spans,
		Members: []zab.Readmitted{{Member: 2, Incarnation: zab.Incarnation{8}}}})
	must(t, err)
	must(t, w.Add(make([]byte, 1000)), w.Add(make([]byte, 24)))
	i, err := w.Commit()
	must(t, err)
	return "snapshots/" + i.File
}

// snapshotCases are directories that are told by their snapshots.
func snapshotCases(t *testing.T) {
	bad := keep(t, fixtureEnsemble, zab.MakeZxid(4, 10), 13)
	flip(t, bad, 500)
	keep(t, fixtureEnsemble, zab.MakeZxid(4, 9), 12)
	keep(t, fixtureEnsemble, zab.MakeZxid(1, 6), 6)
	keep(t, fixtureEnsemble, zab.MakeZxid(4, 11), 14)
	must(t, os.WriteFile("d/snapshots/"+strings.Repeat("0", 16)+"-"+strings.Repeat("1", 16)+".snap.part", make([]byte, 70), 0o600),
		os.WriteFile("d/snapshots/"+strings.Repeat("0", 16)+"-"+strings.Repeat("2", 16)+".snap.tmp", make([]byte, 9), 0o600),
		os.WriteFile("d/snapshots/notes", nil, 0o600), os.Mkdir("d/snap-old", 0o700), os.WriteFile("d/mark.1.tmp", make([]byte, 7), 0o600))
}

// enterNode makes a copy of the directory of a member that a Node has written as d.
func enterNode(t *testing.T, member int) {
	t.Helper()
	must(t, os.RemoveAll("d"), os.CopyFS("d", os.DirFS(filepath.Join(nodes, fmt.Sprint(member)))))
}

// nodes are the directories of an ensemble of three.
var nodes, _ = filepath.Abs("../../testdata/v1")

// What a start would do with each snapshot, of a directory that a Node has written: it is in the output, and damage to what it needs is told.
func TestSnapshotsOfNode(t *testing.T) {
	enter(t)
	for member := 1; member <= 3; member++ {
		enterNode(t, member)
		r := run(t, nil, "inspect", "-verify", "d")
		if r.status != exitOK || strings.Count(r.out, "  next  ") != 1 || strings.Count(r.out, "every byte") < 1 || !strings.Contains(r.out, "a start begins with snapshots/") {
			t.Errorf("member %d: %+v", member, r)
		}
		files, err := filepath.Glob("d/snapshots/*.snap")
		must(t, err)
		if len(files) == 0 {
			t.Fatal("no snapshots")
		}
		// A flipped bit in the middle is found only by those who read it.
		for _, file := range files {
			b, err := os.ReadFile(file)
			must(t, err)
			b[len(b)/2] ^= 1
			must(t, os.WriteFile(file, b, 0o600))
		}
		if r := run(t, nil, "inspect", "d"); r.status != exitOK || strings.Contains(r.out, "Verdict: impaired") {
			t.Errorf("member %d, not verified: %+v", member, r)
		}
		r = run(t, nil, "inspect", "-verify", "d")
		if r.status != exitDamaged || strings.Count(r.out, "  damaged  ") != len(files) || !strings.Contains(r.out, "Verdict: impaired") {
			t.Errorf("member %d, all damaged: %+v", member, r)
		}
		must(t, os.RemoveAll("d/snapshots"))
		if r := run(t, nil, "inspect", "-verify", "d"); r.status != exitDamaged || !strings.Contains(r.out, "Verdict: impaired") {
			t.Errorf("member %d, without snapshots: %+v", member, r)
		}
	}
}

// A running member lets go of snapshots while they are looked at: that is no damage.
func TestSnapshotGone(t *testing.T) {
	enter(t)
	gone := filepath.Base(keep(t, fixtureEnsemble, zab.MakeZxid(4, 10), 13))
	r := run(t, func(p *program) {
		p.fs.(*readOnly).open = func(name string) error {
			if filepath.Base(name) == gone {
				return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return nil
		}
	}, "inspect", "-verify", "d")
	if r.status != exitOK || !strings.Contains(r.out, "1 whole snapshot, and 0 damaged") {
		t.Errorf("%+v", r)
	}
	r = run(t, func(p *program) {
		p.fs.(*readOnly).open = func(name string) error {
			if filepath.Base(name) == gone {
				return errors.New("input/output error")
			}
			return nil
		}
	}, "inspect", "-verify", "d")
	if r.status != exitDamaged || !strings.Contains(r.out, "it cannot be opened") {
		t.Errorf("%+v", r)
	}
}
