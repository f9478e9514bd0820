package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// What a member had is there in the directory of a new ensemble, with the program alone.
func TestBackupAndRestore(t *testing.T) {
	t.Chdir(t.TempDir())
	open := func(id ensemble.ID, name, dir string) *ensemble.Node {
		t.Helper()
		n, err := ensemble.Open(context.Background(), ensemble.Config{Name: name, ID: id, Members: []ensemble.Member{{ID: id}}, Dir: dir})
		must(t, err)
		return n
	}
	n := open(1, "", "old")
	_, err := n.Create(t.Context(), "/a", []byte("kept"), 0)
	must(t, err)
	if r := run(t, nil, "backup", "old"); r.status != exitFailed || !strings.Contains(r.err, "in use") {
		t.Fatalf("%+v", r)
	}
	must(t, n.Close())
	backup := run(t, nil, "backup", "old")
	if backup.status != exitOK || !strings.Contains(backup.err, "old is backed up at zxid 1.") {
		t.Fatal(backup.status, backup.err)
	}
	from := func(s string) func(*program) {
		return func(p *program) { p.in, p.fs = strings.NewReader(s), vfs.OS() }
	}
	flags := []string{"restore", "-name", "new", "-members", "7", "-observers", "8,9", "-epoch", "5", "made"}
	if r := run(t, from(backup.out[:len(backup.out)-1]), flags...); r.status != exitFailed || !strings.Contains(r.err, "not a whole backup") {
		t.Fatalf("%+v", r)
	}
	if r := run(t, from(backup.out), flags...); r.status != exitOK || !strings.Contains(r.err, "made is restored") || r.out != "" {
		t.Fatalf("%+v", r)
	}
	if r := run(t, from(backup.out), flags...); r.status != exitFailed || !strings.Contains(r.err, "holds data already") {
		t.Fatalf("%+v", r)
	}
	if r := run(t, nil, "inspect", "made"); r.status != exitOK || !strings.Contains(r.out, "becomes that of the first member who opens it") {
		t.Fatalf("%+v", r)
	}
	cfg := ensemble.Config{Name: "new", ID: 7, Members: []ensemble.Member{{ID: 7}}, Dir: "made"}
	cfg.Transport = transport.NewMemory().Peer(7)
	n, err = ensemble.Open(context.Background(), cfg)
	must(t, err)
	if m := n.Membership().Members; len(m) != 3 || !m[1].Observer || m[2].ID != 9 {
		t.Fatal("not those that it was restored for:", m)
	}
	defer n.Close()
	if z, err := n.Get(t.Context(), "/a"); err != nil || string(z.Data) != "kept" {
		t.Fatal(z, err)
	}
	if r, err := n.Do(t.Context(), ensemble.CreateOp{Path: "/b"}); err != nil || r.Zxid.Epoch() != 5 {
		t.Fatal(r, err)
	}
}

func TestBackupRefusals(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"backup", "which directory? See: ensemble help backup"},
		{"backup a b", "one directory at a time"},
		{"backup -x a", "flag provided but not defined: -x; see: ensemble help backup"},
		{"backup nowhere", "nowhere"},
		{"backup .", "it holds no state"},
		{"backup EMPTY", "the name of the directory is empty"},
		{"restore d", "no member is a voter"},
		{"restore -members 1,x d", `parsing "x"`},
		{"restore -members 1:2 d", `"1:2" is neither ID nor ID:GROUP:WEIGHT`},
		{"restore -members 1,1 d", "taken by an earlier member"},
		{"restore -epoch -1 d", "invalid"},
		{"restore -members 1:1:1,2:2:1 -epoch 4294967295 d", "is above"},
		{"restore -members 1 d", "not a whole backup"},
	} {
		t.Chdir(t.TempDir())
		args := strings.Fields(c.args)
		if i := len(args) - 1; args[i] == "EMPTY" {
			args[i] = ""
		}
		r := run(t, func(p *program) { p.in = strings.NewReader("") }, args...)
		if r.status != exitFailed || r.out != "" || !strings.Contains(r.err, c.want) {
			t.Errorf("%s: %+v, want %q", c.args, r, c.want)
		}
		if names, err := os.ReadDir("."); err != nil || len(names) > 0 {
			t.Errorf("%s: %v %v", c.args, names, err)
		}
	}
	for _, args := range []string{"help backup", "help restore", "backup -h", "restore -help"} {
		if r := run(t, nil, strings.Fields(args)...); r.status != exitOK || r.out != backupText {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestInspectUnfinished(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lock", "restore.unfinished"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	if r := run(t, nil, "inspect", dir); r.status != exitOK || !strings.Contains(r.out, "Repeat the restore") {
		t.Fatalf("%+v", r)
	}
}
