package snapshot

import (
	"context"

	"github.com/ensemble-go/ensemble/zab"
)

// Writer writes one snapshot, chunk by chunk.
type Writer struct{ o *output }

// Create begins a snapshot. Until Commit it is nothing.
func (s *Store) Create(m Meta) (*Writer, error) {
	if m.ID == (ID{}) {
		le.PutUint64(m.ID[:], s.opt.Random())
		le.PutUint64(m.ID[8:], s.opt.Random())
	}
	o, err := s.create(m, tempSuffix)
	if err != nil {
		return nil, err
	}
	return &Writer{o}, nil
}

// Add takes the next chunk, of at most MaxChunk bytes, and keeps nothing of it. An error is for good.
func (w *Writer) Add(chunk []byte) error {
	err := w.o.addChunk(chunk)
	if err != nil {
		w.o.discard()
	}
	return err
}

// Commit makes it a snapshot. One without chunks is refused. After an error it is removed, or, if it was renamed already, the Store has ended.
func (w *Writer) Commit() (Info, error) { return w.o.install() }

// Abort removes what was written. After Commit it does nothing.
func (w *Writer) Abort() { w.o.discard() }

// Write writes the state that r holds, and does not close r. Between two chunks ctx may end it.
func (s *Store) Write(ctx context.Context, m Meta, r zab.SnapshotReader) (Info, error) {
	w, err := s.Create(m)
	if err != nil {
		return Info{}, err
	}
	defer w.Abort()
	if err := copyChunks(ctx, &m, r, w.Add); err != nil {
		return Info{}, err
	}
	return w.Commit()
}
