package sim

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"hash/crc64"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// A snapshot that was received is a file beside the log, durable with its name before the RESET that names it is written.

const snapSuffix = ".snap"

var ecma = crc64.MakeTable(crc64.ECMA)

func snapName(s *zab.Snapshot) string { return snapFile(s.Zxid, s.Length, s.Digest) }

func snapFile(z zab.Zxid, length, digest uint64) string {
	return fmt.Sprintf("%016x-%x-%016x%s", uint64(z), length, digest, snapSuffix)
}

// keep makes a snapshot durable, unless it is the one that the log names already.
func (d *drive) keep(s *zab.Snapshot) error {
	base := snapName(s)
	if base == d.reset {
		return nil
	}
	names, err := d.mem.List(driveDir)
	if err != nil {
		return err
	}
	name := filepath.Join(driveDir, base)
	if slices.Contains(names, base) { // left by a crash, whole or not
		if err := d.mem.Remove(name); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return err
	}
	f, err := d.mem.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(b.Bytes()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return d.mem.SyncDir(driveDir)
}

// load reads the snapshot back that a RESET names.
func (d *drive) load(r *wal.Reset) (*zab.Snapshot, error) {
	f, err := d.mem.Open(filepath.Join(driveDir, snapFile(r.Zxid, r.Length, r.Digest)))
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	s := new(zab.Snapshot)
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(s); err != nil {
		return nil, err
	}
	length, digest := uint64(0), uint64(0)
	for _, c := range s.Chunks {
		length += uint64(len(c))
		digest = crc64.Update(digest, ecma, c)
	}
	if s.Zxid != r.Zxid || length != r.Length || digest != r.Digest {
		return nil, fmt.Errorf("the snapshot of %v with %d bytes and digest %x is not the one of the RESET: %+v", s.Zxid, length, digest, *r)
	}
	return s, f.Close()
}

// forget removes the snapshots that the log does not name.
func (d *drive) forget() error {
	names, err := d.mem.List(driveDir)
	if err != nil {
		return err
	}
	for _, base := range names {
		if strings.HasSuffix(base, snapSuffix) && base != d.reset {
			if err := d.mem.Remove(filepath.Join(driveDir, base)); err != nil {
				return err
			}
		}
	}
	return nil
}
