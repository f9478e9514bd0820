package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
)

// inspect carries out the verb.
func (p *program) inspect(args []string) int {
	flags := newFlags("inspect")
	asJSON := flags.Bool("json", false, "")
	records := flags.Bool("records", false, "")
	verify := flags.Bool("verify", false, "")
	progress := flags.Bool("progress", false, "")
	dir, status := p.oneDir(flags, args, inspectText)
	if dir == "" {
		return status
	}
	m := &meter{w: io.Discard, now: p.now}
	if *progress || p.terminal {
		m.w = p.err
	}
	f, err := p.look(dir, *verify, m)
	if err != nil {
		return p.fail("inspect: %v", explain(err))
	}
	var s sheet = &textSheet{w: p.out}
	if *asJSON {
		s = newJSONSheet(p.out)
	}
	f.show(s)
	if *records || *verify {
		sum := f.walk(p.fs, m, func(name string, rows []recordRow) {
			if *records {
				s.records(name, rows)
			}
		})
		if *verify {
			s.verify(sum)
		}
	}
	m.done()
	v := f.verdict()
	s.verdict(v)
	if err := s.flush(); err != nil {
		return p.fail("inspect: %v", err)
	}
	if *verify && v.Damaged {
		return exitDamaged
	}
	return exitOK
}

// explain says of an error what an operator can do about it.
func explain(err error) error {
	var version *wal.VersionError
	if errors.As(err, &version) && version.Version > version.Newest {
		return fmt.Errorf("%s was written by a newer version of the library (format %d, and this program reads up to %d): use the program of that version",
			version.File, version.Version, version.Newest)
	}
	if errors.As(err, &version) {
		return fmt.Errorf("%s has format %d, which is too old for this program (it reads %d and the one before): use an older one",
			version.File, version.Version, version.Newest)
	}
	var snap *snapshot.VersionError
	if errors.As(err, &snap) {
		version = &wal.VersionError{File: snapshotsDir + "/" + snap.File, Version: snap.Version, Newest: snap.Newest}
		return explain(version)
	}
	return err
}
