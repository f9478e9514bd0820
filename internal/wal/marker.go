package wal

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

const (
	markerName  = "repair"
	markerDone  = "repair.done" // what it is called in the end, beside the evidence
	markerMagic = "ENSBLRPR"

	evidencePrefix = "damaged-"
	evidencePart   = ".part"

	whyAt   = 352
	mostWhy = 155
)

// marker says that a repair is under way, and what the new log begins with. As long as it is there, nothing in the directory is judged.
type marker struct {
	id       uint64 // of the directory with the evidence
	member   quorum.ID
	name     string
	ensemble zab.EnsembleID
	born     bool // the ensemble is known, and born
	spoilt   bool // there was a state, or there may have been one
	why      string
}

// Flags of a marker.
const (
	markerBorn = 1 << iota
	markerSpoilt
)

// evidence is the directory that the damaged files go to.
func (m *marker) evidence() string { return fmt.Sprintf("%s%016x", evidencePrefix, m.id) }

// mark is the first of the new log: that of a blank member, whose state is given up if there ever was one.
func (m *marker) mark() zab.Mark {
	return zab.Mark{Ensemble: m.ensemble, Member: m.member, Born: m.born, Spoilt: m.spoilt}
}

// parseEvidence reports whether name is that of a directory with evidence, and whether all of it is there.
func parseEvidence(name string) (whole, ok bool) {
	id, ok := strings.CutPrefix(name, evidencePrefix)
	id, part := strings.CutSuffix(id, evidencePart)
	n, err := strconv.ParseUint(id, 16, 64)
	return !part, ok && err == nil && id == fmt.Sprintf("%016x", n)
}

func (m *marker) encode(version uint16) *header {
	h := newHeader(markerMagic, version)
	flags := uint32(0)
	if m.born {
		flags |= markerBorn
	}
	if m.spoilt {
		flags |= markerSpoilt
	}
	le.PutUint32(h[12:], flags)
	le.PutUint64(h[16:], m.id)
	le.PutUint64(h[24:], uint64(m.member))
	copy(h[32:48], m.ensemble[:])
	h.putName(96, m.name)
	h.putName(whyAt, m.why[:min(len(m.why), mostWhy)])
	h.seal()
	return h
}

func (m *marker) decode(h *header) {
	flags := le.Uint32(h[12:])
	*m = marker{born: flags&markerBorn != 0, spoilt: flags&markerSpoilt != 0, id: le.Uint64(h[16:]), member: quorum.ID(le.Uint64(h[24:])), name: h.name(96), why: h.name(whyAt)}
	copy(m.ensemble[:], h[32:48])
}

// readMarker returns the marker of that name, and, if it cannot be used, why. The error is a *VersionError.
func readMarker(fsys vfs.FS, dir, name string, newest uint16) (m *marker, why string, err error) {
	im := &image{fs: fsys, dir: dir}
	b, size, err := im.load(name, headerSize)
	switch {
	case err != nil:
		return nil, "unreadable: " + err.Error(), nil
	case size != headerSize:
		return nil, fmt.Sprintf("%d bytes long", size), nil
	}
	h := (*header)(b)
	version, why := h.open(markerMagic, newest)
	if why != "" {
		return nil, why, nil
	}
	if !readable(version, newest) {
		return nil, "", &VersionError{filepath.Join(dir, name), version, newest}
	}
	m = new(marker)
	m.decode(h)
	return m, "", nil
}
