package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// record is the file of what was acknowledged, a line for each: path and data.
type record struct{ *os.File }

// openRecord reads what is there. A last line that is not whole was never counted, and is cut.
func openRecord(name string) (*record, map[string]string, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	former := map[string]string{}
	for line := range strings.Lines(string(text)) {
		path, data, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			f.Close()
			return nil, nil, fmt.Errorf("%s has a line %q", name, line)
		}
		former[path] = data
	}
	if err := cut(f, int64(len(text))); err != nil {
		f.Close()
		return nil, nil, err
	}
	if d, err := os.Open(filepath.Dir(name)); err == nil {
		d.Sync() // not every system can; the file is synced in any case
		d.Close()
	}
	return &record{f}, former, nil
}

// cut makes the file this long, durably, and has it go on there.
func cut(f *os.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	if _, err := f.Seek(size, 0); err != nil {
		return err
	}
	return f.Sync()
}

// add makes lines durable.
func (r *record) add(paths, values []string) error {
	var b bytes.Buffer
	for i := range paths {
		fmt.Fprintf(&b, "%s %s\n", paths[i], values[i])
	}
	if _, err := r.Write(b.Bytes()); err != nil {
		return err
	}
	return r.Sync()
}
