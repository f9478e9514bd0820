package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

var update = flag.Bool("update", false, "accept the output as it is now")

const fixture = "../../internal/wal/testdata/v1"

var segments = []string{
	"0000000000000001-5b9af89f2153dd5d.log", "0000000000000002-52c9583ed70fd0b8.log",
	"0000000000000003-a59485e176278223.log", "0000000000000004-9cd47d45f140d0d9.log",
}

// cases are directories, each made from a copy of the fixture, with the status of -verify.
var cases = []struct {
	name   string
	status int
	make   func(t *testing.T)
}{
	{"v1", 0, func(*testing.T) {}},
	{"stopped", 0, func(t *testing.T) { must(t, openLog(t, 3, "test").Close()) }},
	{"killed", 0, func(t *testing.T) { kill(t, openLog(t, 3, "test")) }},
	{"torn", 0, func(t *testing.T) { overwrite(t, segments[3], 700, bytes.Repeat([]byte{0xaa}, 60)) }},
	{"middle", 1, func(t *testing.T) { flip(t, segments[1], 1700) }},
	{"head", 1, func(t *testing.T) { flip(t, segments[1], 1536+9) }},
	{"header", 1, func(t *testing.T) { flip(t, segments[2], 200) }},
	{"one-slot", 1, func(t *testing.T) { flip(t, "mark.0", 70) }},
	{"both-slots", 1, func(t *testing.T) { flip(t, "mark.0", 70); must(t, os.Remove("d/mark.1")) }},
	{"missing", 1, func(t *testing.T) { must(t, os.Remove("d/"+segments[1])) }},
	{"foreign", 0, func(t *testing.T) {
		must(t, os.WriteFile("d/notes.txt", []byte("x"), 0o600), os.Mkdir("d/lost+found", 0o700), os.WriteFile("d/lock.tmp", nil, 0o600))
	}},
	{"foreign-segment", 1, func(t *testing.T) { must(t, os.Rename("d/"+segments[0], "d/0000000000000005-5b9af89f2153dd5d.log")) }},
	{"snapshots", 1, snapshotCases},
	{"snapshots-lost", 1, func(t *testing.T) { must(t, os.RemoveAll("d/snapshots")) }},
	{"snapshots-foreign", 1, func(t *testing.T) {
		must(t, os.RemoveAll("d/snapshots"))
		keep(t, zab.EnsembleID{1}, zab.MakeZxid(4, 9), 12)
	}},
	{"repaired", 0, func(t *testing.T) { repair(t) }},
	{"repair-cut-short", 1, func(t *testing.T) { must(t, os.Rename("d/"+repair(t)+"/repair.done", "d/repair")) }},
	{"repair-marker", 1, func(t *testing.T) { repair(t); must(t, os.WriteFile("d/repair", nil, 0o600)) }},
	{"evidence", 1, func(t *testing.T) {
		dir := repair(t)
		must(t, os.Rename("d/"+dir, "e"), os.RemoveAll("d"), os.Rename("e", "d"))
	}},
	{"snapshots-alone", 1, func(t *testing.T) {
		for _, name := range append([]string{"mark.0", "mark.1"}, segments...) {
			must(t, os.Remove("d/"+name))
		}
	}},
	{"node", 0, func(t *testing.T) { enterNode(t, 3) }},
	{"new", 0, func(t *testing.T) {
		must(t, os.RemoveAll("d"), os.Mkdir("d", 0o700), os.WriteFile("d/lock", nil, 0o600))
	}},
	{"spoilt", 0, func(t *testing.T) {
		must(t, os.RemoveAll("d"))
		l := openLog(t, 7, "")
		must(t, l.Append([]zab.Record{{Kind: zab.RecordMark, Mark: zab.Mark{Member: 7, Incarnation: zab.Incarnation{1}, Spoilt: true}}}), l.Close())
	}},
	{"blank", 0, func(t *testing.T) {
		must(t, os.RemoveAll("d"))
		must(t, openLog(t, 7, "orders").Close())
	}},
}

// enter makes a copy of the fixture as d in a directory of its own, with the snapshot that its log needs, and goes there.
func enter(t *testing.T) {
	t.Helper()
	from, err := filepath.Abs(fixture)
	must(t, err)
	t.Chdir(t.TempDir())
	must(t, os.Mkdir("d", 0o700))
	names, err := os.ReadDir(from)
	must(t, err)
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n.Name()))
		must(t, err, os.WriteFile("d/"+n.Name(), b, 0o600))
	}
	keep(t, fixtureEnsemble, zab.MakeZxid(4, 8), 11)
}

func openLog(t *testing.T, member quorum.ID, name string) *wal.Log {
	t.Helper()
	o := wal.Options{Dir: "d", Member: member, Name: name, Random: rand.New(rand.NewPCG(1, 2)).Uint64, SegmentSize: 4096}
	l, rec, err := wal.Open(vfs.OS(), o)
	must(t, err)
	if l == nil {
		t.Fatal(rec.Verdict)
	}
	return l
}

// repair damages the directory and has it set aside, in the one that it returns.
func repair(t *testing.T) string {
	t.Helper()
	flip(t, segments[1], 1700)
	o := wal.Options{Dir: "d", Member: 3, Name: "test", Random: rand.New(rand.NewPCG(1, 2)).Uint64, SegmentSize: 4096, Repair: true, Aside: []string{"snapshots"}}
	l, rec, err := wal.Open(vfs.OS(), o)
	must(t, err)
	if l == nil {
		t.Fatal(rec.Verdict, rec.Refused)
	}
	must(t, l.Close())
	return rec.Evidence
}

// kill leaves the directory as a process that is killed does.
func kill(t *testing.T, l *wal.Log) {
	t.Helper()
	before := map[string][]byte{}
	names, err := os.ReadDir("d")
	must(t, err)
	for _, n := range names {
		if n.Name() != "lock" && !n.IsDir() {
			before[n.Name()], err = os.ReadFile("d/" + n.Name())
			must(t, err)
		}
	}
	must(t, l.Close())
	for name, b := range before {
		must(t, os.WriteFile("d/"+name, b, 0o600))
	}
}

func overwrite(t *testing.T, name string, off int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile("d/"+name, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(b, off)
	must(t, err, f.Close())
}

func flip(t *testing.T, name string, off int64) {
	t.Helper()
	b, err := os.ReadFile("d/" + name)
	must(t, err)
	overwrite(t, name, off, []byte{b[off] ^ 4})
}

func TestGolden(t *testing.T) {
	golden, err := filepath.Abs("testdata")
	must(t, err)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			enter(t)
			c.make(t)
			before := protect(t)
			for _, form := range []struct{ ext, flag string }{{".txt", "-json=false"}, {".json", "-json"}} {
				r := run(t, nil, "inspect", "-records", "-verify", form.flag, "d")
				if r.status != c.status || r.err != "" {
					t.Errorf("status %d, want %d; %s", r.status, c.status, r.err)
				}
				compare(t, filepath.Join(golden, c.name+form.ext), r.out)
				if form.flag == "-json" {
					checkJSON(t, r.out)
				}
				if strings.Contains(r.out, " \n") {
					t.Error("a line ends with a space")
				}
				// Without -verify, damage that can be shown is no failure.
				if r := run(t, nil, "inspect", form.flag, "d"); r.status != exitOK || r.err != "" || r.out == "" {
					t.Errorf("without -verify: %+v", r)
				}
			}
			if now := contents(t, "d"); now != before {
				t.Errorf("the directory was\n%s\nand is\n%s", before, now)
			}
		})
	}
}

// protect takes away the right to write, and returns what there is.
func protect(t *testing.T) string {
	t.Helper()
	var names []string
	must(t, filepath.Walk("d", func(name string, info os.FileInfo, err error) error {
		names = append(names, name)
		return err
	}))
	mode := func(mode os.FileMode) {
		for _, name := range names {
			must(t, os.Chmod(name, mode))
		}
	}
	mode(0o500)
	t.Cleanup(func() { mode(0o700) })
	return contents(t, "d")
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		must(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("the output is not %s (-update accepts it):\n%s", filepath.Base(file), got)
	}
}

// checkJSON makes sure that each line is an object with a type, and the last one the verdict.
func checkJSON(t *testing.T, out string) {
	t.Helper()
	last := ""
	for line := range strings.Lines(out) {
		var row struct{ Type string }
		must(t, json.Unmarshal([]byte(line), &row))
		if last = row.Type; last == "" {
			t.Errorf("no type: %s", line)
		}
	}
	if last != "verdict" {
		t.Errorf("the last line is %q", last)
	}
}
