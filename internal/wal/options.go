package wal

import (
	"errors"
	"io"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Options describe a log. Dir, Member and Random are required.
type Options struct {
	Dir      string         // created if it is not there
	Name     string         // of the ensemble, at most 255 bytes
	Member   quorum.ID      // whose directory this is
	Ensemble zab.EnsembleID // refuse a directory of any other; zero: take what it says

	// Lock is that of the directory, if the caller holds it already. It becomes the log's, also when there will be none.
	Lock io.Closer

	// Random draws the ids of segments, which must never repeat.
	Random func() uint64

	SegmentSize int64 // bytes allocated for a segment; 0: 16 MiB. A batch that is larger gets a larger one. At most 4 GiB.
	Sector      int   // bytes that the disk may damage around a write: a power of two of at least 512; 0: 512

	// Now is a monotonic clock, read to write the acknowledged position at most once a second; nil: that of the system.
	Now func() time.Duration

	// Judge, if not nil, is shown what was found before anything is changed, with the lock held. It may call it Impaired, and fill in Mark.Ensemble and
	// Mark.Born of one that is, if it knows what the log does not. An error refuses the directory.
	Judge func(*Recovery) error
	// Repair has an Impaired directory set aside, with all that belongs to the log and the names in Aside, and a blank log made in its place. The caller
	// knows that others can bring this member up to date.
	Repair bool
	Aside  []string

	nobody  bool   // Member is 0, and may be
	version uint16 // of the format that is written; 0: this package's. Tests stand in for the next one.
	ahead   int64  // how far zeros are written ahead; 0: 1 MiB
}

func (o *Options) complete() error {
	if o.SegmentSize == 0 {
		o.SegmentSize = 16 << 20
	}
	if o.ahead == 0 {
		o.ahead = 1 << 20
	}
	if o.Sector == 0 {
		o.Sector = headerSize
	}
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	if o.version == 0 {
		o.version = Version
	}
	switch {
	case o.Dir == "", o.Member == 0 && !o.nobody, o.Random == nil:
		return errors.New("wal: Dir, Member and Random are required")
	case len(o.Name) > maxName:
		return errors.New("wal: the name of the ensemble is too long")
	case !validSector(uint32(o.Sector)) || o.SegmentSize < headerSize, o.SegmentSize > maxSegment:
		return errors.New("wal: a size is out of range")
	}
	return nil
}

// unlock gives up the lock, if it is held.
func (o *Options) unlock() error {
	if o.Lock == nil {
		return nil
	}
	return o.Lock.Close()
}

func validSector(n uint32) bool { return n >= headerSize && n <= 1<<20 && n&(n-1) == 0 }
