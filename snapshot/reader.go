package snapshot

import (
	"hash/crc32"
	"io"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// Reader hands out the chunks of a container, each when it is checked. It implements zab.SnapshotReader.
type Reader struct {
	meta    Meta
	file    string
	src     source
	off     int64 // of next
	seed    uint32
	at      Position
	next    head // of the chunk at, or the trailer
	skipped bool // not all chunks were looked at
	err     error
	release func()
}

var _ zab.SnapshotReader = (*Reader)(nil)

// NewReader reads a container from r, header first, and never beyond its end. Errors are *DamageError and *VersionError.
func NewReader(r io.Reader) (*Reader, error) {
	return newReader(&streamSource{r}, "", Version)
}

func newReader(src source, file string, newest uint16) (*Reader, error) {
	r := &Reader{src: src, file: file}
	b, err := src.read(prefixSize)
	if err != nil {
		return nil, r.damage("no whole header", err)
	}
	size, version, why := headerSize(b, newest)
	if why != "" {
		return nil, r.damage(why, nil)
	}
	if size == 0 {
		return nil, &VersionError{file, version, newest}
	}
	rest, err := src.read(int(size) - prefixSize)
	if err != nil {
		return nil, r.damage("no whole header", err)
	}
	var ok bool
	if r.seed, ok = r.meta.decode(append(b, rest...)); !ok {
		return nil, r.damage("damaged header", nil)
	}
	r.off = size
	b, err = src.read(headSize)
	r.follow(b, err)
	return r, nil
}

func (r *Reader) damage(why string, err error) error {
	return &DamageError{r.file, r.off, why, err}
}

// follow takes the head that stands at off. Its position must be the one that was reached.
func (r *Reader) follow(b []byte, err error) {
	h, ok := parseHead(b, r.seed)
	switch {
	case ok && h.at != r.at:
		r.err = r.damage("a head of another place", nil)
	case ok && h.length != theEnd:
		r.next = h
	case ok && h.at.Chunk > 0 && h.body == 0 && r.src.ended():
		r.next, r.err = h, io.EOF
	case mutant.On("snapshot-no-trailer") && r.at.Chunk > 0:
		r.err = io.EOF
	case err != nil:
		r.err = r.damage("it ends too early", err)
	case ok:
		r.err = r.damage("damaged end", nil)
	default:
		r.err = r.damage("damaged head", nil)
	}
}

// Meta tells what the snapshot is of.
func (r *Reader) Meta() Meta { return r.meta }

// Zxid is that of the state.
func (r *Reader) Zxid() zab.Zxid { return r.meta.Zxid }

// Position is where the next chunk stands. Behind the last, it tells count, length and digest of all.
func (r *Reader) Position() Position { return r.at }

// Chunk returns the next chunk, which the caller owns, and io.EOF after the last. Any other error is for good: a *DamageError, or ErrClosed.
func (r *Reader) Chunk() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	// With the head behind it, so that a chunk is one read, and the last known to be it.
	n := int(r.next.length)
	b, err := r.src.read(n + headSize)
	r.off += headSize
	switch {
	case len(b) < n:
		r.err = r.damage("it ends within a chunk", err)
	case crc32.Update(r.seed, castagnoli, b[:n]) != r.next.body:
		r.err = r.damage("damaged chunk", nil)
	default:
		r.off += int64(n)
		r.at = r.at.after(b[:n])
		r.follow(b[n:], err)
		return b[:n], nil // the head behind it has been read
	}
	return nil, r.err
}

// Reuse gives a chunk back, whose memory a later one may have. It is not to be looked at any more.
func (r *Reader) Reuse(chunk []byte) {
	if s, ok := r.src.(*fileSource); ok {
		s.spare = chunk[:0]
	}
}

// Next is Chunk for those who take a zab.SnapshotReader.
func (r *Reader) Next() (chunk []byte, last bool, err error) {
	chunk, err = r.Chunk()
	return chunk, err == nil && r.err == io.EOF, err
}

// Err returns why the Reader does not go on, if it does not and is not at the end.
func (r *Reader) Err() error {
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// Resume passes over chunks that somebody has already, without looking into them. ErrPosition tells that they are not of this snapshot; then, as
// after any other error, the Reader is of no more use.
func (r *Reader) Resume(p Position) error {
	for r.err == nil && r.at.Chunk < p.Chunk {
		r.skipped = true
		n := int64(r.next.length)
		if err := r.src.skip(n); err != nil {
			r.off += headSize
			r.err = r.damage("it ends within a chunk", err)
			break
		}
		r.off += headSize + n
		b, err := r.src.read(headSize)
		if h, ok := parseHead(b, r.seed); ok {
			r.at = Position{r.at.Chunk + 1, r.at.Length + uint64(n), h.at.Digest} // unseen chunks: their digest is only known from here
		}
		r.follow(b, err)
	}
	if err := r.Err(); err != nil {
		return err
	}
	if r.at != p {
		r.err = ErrPosition
		return r.err
	}
	return nil
}

// Close lets go of the file. It may be called more than once, and early.
func (r *Reader) Close() {
	if r.release != nil {
		r.release()
		r.release = nil
	}
	if r.err == nil {
		r.err = ErrClosed
	}
}
