package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// What cannot be answered is refused with a reason, and nothing is written to standard output.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, p *program)
		args string
		want string
	}{
		{"nothing", nil, "", "ensemble inspect ["},
		{"verb", nil, "repair d", `no verb "repair"`},
		{"flag", nil, "inspect -force d", "flag provided but not defined: -force; see: ensemble help inspect"},
		{"no directory", nil, "inspect -json", "which directory?"},
		{"two directories", nil, "inspect d -json", "flags come before it"},
		{"empty name", nil, "inspect EMPTY", "the name of the directory is empty"},
		{"missing", nil, "inspect nowhere", "there is no directory nowhere"},
		{"a file", nil, "inspect d/mark.0", "d/mark.0 is a file; give the directory it is in"},
		{"the one above", nil, "inspect .", ". is not the directory of a member; d looks like one"},
		{"another", func(t *testing.T, _ *program) { must(t, os.Mkdir("x", 0o700), os.WriteFile("x/00-00.log", nil, 0o600)) }, "inspect x", "it has no mark.0"},
		{"newer", func(t *testing.T, _ *program) { overwrite(t, "mark.1", 8, []byte{9, 0, 0xf6, 0xff}) }, "inspect d",
			"mark.1 was written by a newer version of the library (format 9, and this program reads up to 1): use the program of that version"},
		{"older", func(t *testing.T, _ *program) { overwrite(t, segments[0], 8, []byte{0, 0, 0xff, 0xff}) }, "inspect d", "too old for this program"},
		{"newer snapshot", func(t *testing.T, _ *program) {
			overwrite(t, keep(t, fixtureEnsemble, zab.MakeZxid(4, 10), 13), 8, []byte{9, 0, 0xf6, 0xff})
		}, "inspect d", ".snap was written by a newer version of the library (format 9, and"},
		{"may not be listed", func(t *testing.T, p *program) { p.fs = &forbidden{FS: p.fs, list: true} }, "inspect d", "permission denied; run this as the user that"},
		{"may not be read", func(t *testing.T, p *program) { p.fs = &forbidden{FS: p.fs} }, "inspect d", "permission denied; run this as the user that"},
	} {
		t.Run(c.name, func(t *testing.T) {
			enter(t)
			args := strings.Fields(c.args)
			for i := range args {
				args[i] = strings.Replace(args[i], "EMPTY", "", 1)
			}
			r := run(t, func(p *program) {
				if c.make != nil {
					c.make(t, p)
				}
			}, args...)
			if r.status != exitFailed || r.out != "" || !strings.Contains(filepath.ToSlash(r.err), c.want) {
				t.Errorf("%+v, want %q", r, c.want)
			}
		})
	}
}

// forbidden lets nothing be read.
type forbidden struct {
	vfs.FS
	list bool
}

func (f *forbidden) List(dir string) ([]string, error) {
	if f.list {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	}
	return f.FS.List(dir)
}

func (f *forbidden) Open(name string) (vfs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestHelp(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"help", usageText}, {"-h", usageText}, {"help inspect", inspectText}, {"inspect -h", inspectText}, {"help me", usageText},
	} {
		if r := run(t, nil, strings.Fields(c.args)...); r.status != exitOK || r.out != c.want || r.err != "" {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
	// Every field of JSON is explained, below the type it belongs to.
	for name, row := range map[string]any{"directory": directoryRow{}, "mark": markRow{}, "segment": segmentRow{}, "epoch": epochRow{}, "leftover": fileRow{}, "snapshot": snapshotRow{},
		"other": otherRow{}, "record": recordRow{}, "verify": verifyRow{}, "verdict": verdictRow{}} {
		_, text, ok := strings.Cut(inspectText, "\n\t"+name+" ")
		for ok && strings.Contains(text, "\n\t") {
			head, rest, _ := strings.Cut(text, "\n\t")
			if !strings.HasPrefix(rest, " ") {
				text = head
				break
			}
			text = head + " " + rest
		}
		words := strings.FieldsFunc(text, func(r rune) bool { return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') })
		of := reflect.TypeOf(row)
		for i := range of.NumField() {
			field, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			found := field == "type"
			for _, w := range words {
				found = found || w == field
			}
			if !found {
				t.Errorf("%s: the field %s is not explained", name, field)
			}
		}
	}
}

// A full pipe or disk is no success.
func TestOutputFails(t *testing.T) {
	enter(t)
	for _, flag := range []string{"-json", "-verify"} {
		var err bytes.Buffer
		p := newProgram(t, nil, &err)
		p.out = failing{}
		if status := p.run([]string{"inspect", flag, "d"}); status != exitFailed || !strings.Contains(err.String(), "no space") {
			t.Errorf("%s: %d, %s", flag, status, &err)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{"notes 1.txt": "notes 1.txt", "a\x1b[2J": `"a\x1b[2J"`, "\xff": `"\xff"`, "größe": "größe"} {
		if got := printable(name); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}
