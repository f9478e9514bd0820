package durable

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
)

// The membership of a member's ensemble is a file of its data directory, so that no later configuration can give it another idea of what a quorum is. It is
// text: a line with the version, a line for each member, and a checksum of all before.
//
//	ensemble members 1
//	1 voter 0 0 "10.0.0.1:7000"
//	2 observer 0 0 "10.0.0.2:7000"
//	c31f09ab
const (
	membersFile    = "members"
	membersMagic   = "ensemble members "
	membersVersion = 1
	mostBytes      = 1 << 20 // of the file
)

// ErrMembers says that the file is there, and that what it says cannot be relied on.
var ErrMembers = errors.New("the membership in it is damaged")

// ReadMembers returns the membership that a data directory holds; nil if it holds none. A file that is damaged is ErrMembers; one of a later version, a *wal.VersionError.
func ReadMembers(fsys vfs.FS, dir string) ([]quorum.Member, error) {
	f, err := fsys.Open(filepath.Join(dir, membersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var b []byte
	if err == nil {
		b, err = whole(f)
	}
	if err == nil {
		return parseMembers(b)
	}
	if vfs.OfMedium(err) {
		err = fmt.Errorf("%w: %w", ErrMembers, err)
	}
	return nil, fmt.Errorf("read %s: %w", membersFile, err)
}

func whole(f vfs.File) ([]byte, error) {
	size, err := f.Size()
	if err == nil && size > mostBytes {
		err = fmt.Errorf("%w: %d bytes", ErrMembers, size)
	}
	var b []byte
	if err == nil {
		b = make([]byte, size)
		if n, e := f.ReadAt(b, 0); n < len(b) {
			err = e
		}
	}
	return b, errors.Join(err, f.Close())
}

// WriteMembers makes a membership durable. Of one that is there already nothing is kept.
func WriteMembers(fsys vfs.FS, dir string, members []quorum.Member) error {
	path := filepath.Join(dir, membersFile)
	temp := path + ".tmp"
	for _, name := range []string{temp, path} {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	if _, err = f.Write(formatMembers(members)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, path); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

func formatMembers(members []quorum.Member) []byte {
	b := fmt.Appendf(nil, "%s%d\n", membersMagic, membersVersion)
	for _, m := range members {
		kind := "voter"
		if m.Observer {
			kind = "observer"
		}
		b = fmt.Appendf(b, "%d %s %d %d %q\n", m.ID, kind, m.Group, m.Weight, m.Addr)
	}
	return fmt.Appendf(b, "%08x\n", sum(b))
}

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func parseMembers(b []byte) ([]quorum.Member, error) {
	const sumSize = 8 + 1
	end := len(b) - sumSize
	if end < 0 || string(b[end:]) != fmt.Sprintf("%08x\n", sum(b[:end])) {
		return nil, ErrMembers
	}
	first, rest, _ := bytes.Cut(b[:end], []byte("\n"))
	number, ok := strings.CutPrefix(string(first), membersMagic)
	version, err := strconv.ParseUint(number, 10, 16)
	switch {
	case !ok || err != nil:
		return nil, ErrMembers
	case version != membersVersion:
		return nil, &wal.VersionError{File: membersFile, Version: uint16(version), Newest: membersVersion}
	}
	var members []quorum.Member
	for line := range strings.Lines(string(rest)) {
		m, err := parseMember(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMembers, err)
		}
		members = append(members, m)
	}
	if err := quorum.Validate(members); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMembers, err)
	}
	return members, nil
}

func parseMember(line string) (m quorum.Member, err error) {
	f := strings.SplitN(line, " ", 5)
	if len(f) != 5 || f[1] != "voter" && f[1] != "observer" {
		return m, fmt.Errorf("%q is no member", line)
	}
	var errs [4]error
	var id uint64
	id, errs[0] = strconv.ParseUint(f[0], 10, 64)
	m.ID, m.Observer = quorum.ID(id), f[1] == "observer"
	m.Group, errs[1] = strconv.Atoi(f[2])
	m.Weight, errs[2] = strconv.Atoi(f[3])
	m.Addr, errs[3] = strconv.Unquote(f[4])
	return m, errors.Join(errs[:]...)
}
