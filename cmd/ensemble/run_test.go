package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// readOnly is the file system of the operating system, and fails the test when anything is changed.
type readOnly struct {
	vfs.FS
	t     *testing.T
	lists int // how often a directory was listed
	open  func(name string) error
}

type readOnlyFile struct {
	vfs.File
	t *testing.T
}

func (r *readOnly) List(dir string) ([]string, error) {
	r.lists++
	return vfs.OS().List(dir)
}

func (r *readOnly) Open(name string) (vfs.File, error) {
	if filepath.Base(name) == "lock" {
		r.t.Error("the lock was opened")
	}
	if r.open != nil {
		if err := r.open(name); err != nil {
			return nil, err
		}
	}
	f, err := vfs.OS().Open(name)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f, r.t}, nil
}

func (f readOnlyFile) change() error {
	f.t.Error("a file was changed")
	return errors.ErrUnsupported
}

func (f readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, f.change() }
func (f readOnlyFile) Write([]byte) (int, error)          { return 0, f.change() }
func (f readOnlyFile) Truncate(int64) error               { return f.change() }
func (f readOnlyFile) Preallocate(int64) error            { return f.change() }
func (f readOnlyFile) Sync() error                        { return f.change() }

// result is what a run said.
type result struct {
	status   int
	out, err string
}

func newProgram(t *testing.T, out, err *bytes.Buffer) *program {
	return &program{out: out, err: err, fs: &readOnly{t: t}, use: func(string) usage { return usage{state: unused} }, now: func() time.Time { return time.Unix(0, 0) },
		pause: func(time.Duration) {}}
}

func run(t *testing.T, change func(*program), args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	p := newProgram(t, &out, &err)
	if change != nil {
		change(p)
	}
	status := p.run(args)
	return result{status, out.String(), err.String()}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// contents names every file below a directory with its size, mode, time and bytes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, name, info.Size(), info.Mode(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%x\n", content)
		}
		return nil
	}))
	return b.String()
}
