package snapshot

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/ensemble-go/ensemble/zab"
)

// encoder writes a container. The first error is for good.
type encoder struct {
	w    io.Writer
	seed uint32
	at   Position
	size int64
	head [headSize]byte
}

func (e *encoder) begin(m *Meta, version uint16) error {
	b := m.encode(version)
	e.seed = le.Uint32(b[len(b)-sumSize:])
	return e.write(b)
}

func (e *encoder) write(b []byte) error {
	n, err := e.w.Write(b)
	e.size += int64(n)
	return err
}

// add takes the next chunk, and keeps nothing of it.
func (e *encoder) add(chunk []byte) error {
	switch {
	case len(chunk) > MaxChunk:
		return errors.New("snapshot: the chunk is too large")
	case e.at.Chunk == theEnd-1:
		return errors.New("snapshot: too many chunks")
	}
	h := head{crc32.Update(e.seed, castagnoli, chunk), uint32(len(chunk)), e.at}
	h.put(&e.head, e.seed)
	if err := e.write(e.head[:]); err != nil {
		return err
	}
	e.at = e.at.after(chunk)
	return e.write(chunk)
}

// end writes the trailer.
func (e *encoder) end() error {
	if e.at.Chunk == 0 {
		return errors.New("snapshot: no chunks")
	}
	h := head{length: theEnd, at: e.at}
	h.put(&e.head, e.seed)
	return e.write(e.head[:])
}

// copyChunks gives all chunks of r to add. Between two of them ctx may end it.
func copyChunks(ctx context.Context, m *Meta, r zab.SnapshotReader, add func([]byte) error) error {
	if r.Zxid() != m.Zxid {
		return errors.New("snapshot: the state is of another zxid than its Meta")
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk, last, err := r.Next()
		if err != nil {
			return err
		}
		if err := add(chunk); err != nil {
			return err
		}
		runtime.Gosched() // whoever waits for an answer comes first
		if last {
			return nil
		}
	}
}

// Write writes a state as a container to w, which is not closed and gets many small writes. It does not close r. After an error what was written is a container
// without an end, which nobody takes for a whole one.
func Write(ctx context.Context, w io.Writer, m Meta, r zab.SnapshotReader) (Info, error) {
	if err := m.check(); err != nil {
		return Info{}, err
	}
	e := encoder{w: w}
	if err := e.begin(&m, Version); err != nil {
		return Info{}, err
	}
	if err := copyChunks(ctx, &m, r, e.add); err != nil {
		return Info{}, err
	}
	if err := e.end(); err != nil {
		return Info{}, err
	}
	return e.info(m), nil
}

func (e *encoder) info(m Meta) Info {
	m.Created = millis(m.Created)
	return Info{Meta: m, Chunks: e.at.Chunk, Length: e.at.Length, Digest: e.at.Digest, Size: e.size}
}
