package snapshot

import (
	"errors"
	"fmt"
	"slices"
)

// Receiver writes a snapshot as its chunks come from somewhere else, and goes on where an earlier one was interrupted.
type Receiver struct{ o *output }

// Receive begins to receive a snapshot, or goes on: what is there of the same ID, ensemble, zxid, spans and members is used again, and Position tells how
// far it goes. What is there of others is removed. Without an ID nothing can be used again. Pos is taken for 0. reused, if it is not nil, is shown each chunk that is
// used again and keeps nothing of it; its error ends the Receiver, and what was shown is removed, unless the error is ErrClosed: then it stays for another time.
func (s *Store) Receive(m Meta, reused func(chunk []byte) error) (*Receiver, error) {
	m.Pos = 0 // it is no position of the log here
	o, err := s.create(m, partSuffix)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	var parts []string
	for name := range s.parts {
		if !s.inUse[name] {
			parts = append(parts, name)
		}
	}
	s.parts[o.temp], s.inUse[o.temp] = true, true
	s.mu.Unlock()
	slices.Sort(parts)
	r := &Receiver{o}
	for _, name := range parts {
		if err := r.reuse(name, reused); err != nil {
			r.Abort()
			if !errors.Is(err, ErrClosed) {
				s.removePart(name)
			}
			return nil, err
		}
	}
	for _, name := range parts {
		s.removePart(name)
	}
	return r, nil
}

// reuse copies what is whole of an interrupted file. It is copied, since what can be read of it now may never have reached the disk, and a sync would not
// tell.
func (r *Receiver) reuse(name string, reused func([]byte) error) error {
	from, err := r.o.s.opt.open(name)
	if err != nil {
		return nil // not even a header
	}
	defer from.Close()
	if !from.meta.same(&r.o.meta) || from.Resume(r.o.at) != nil {
		return nil
	}
	for {
		chunk, err := from.Chunk()
		if err != nil {
			return nil // as far as it goes
		}
		if err := r.o.addChunk(chunk); err != nil {
			return err
		}
		if reused == nil {
			continue
		}
		if err := reused(chunk); err != nil {
			return err
		}
	}
}

func (s *Store) removePart(name string) {
	s.mu.Lock()
	delete(s.parts, name)
	delete(s.inUse, name)
	s.mu.Unlock()
	s.opt.FS.Remove(s.path(name)) // what stays is of no account
}

// Position tells how far the snapshot has come: Position.Chunk is the one that is wanted next. Whoever sends it compares all of it (Reader.Resume).
func (r *Receiver) Position() Position { return r.o.at }

// Add takes the chunk of this index, of at most MaxChunk bytes, and keeps nothing of it. Another than the wanted one is ErrOrder and changes nothing; other
// errors are for good.
func (r *Receiver) Add(index uint32, chunk []byte) error {
	if r.o.err == nil && index != r.o.at.Chunk {
		return ErrOrder
	}
	err := r.o.addChunk(chunk)
	if err != nil {
		r.Abort()
	}
	return err
}

// Commit makes it a snapshot if length and digest are those of the chunks that came. Otherwise it is worthless and removed.
func (r *Receiver) Commit(length, digest uint64) (Info, error) {
	if at := r.o.at; r.o.err == nil && (at.Length != length || at.Digest != digest) {
		r.Abort()
		return Info{}, fmt.Errorf("snapshot: received %d bytes with digest %x, and %d with %x were sent", at.Length, at.Digest, length, digest)
	}
	r.o.received = true
	i, err := r.o.install()
	r.o.s.forgetPart(r.o.temp)
	return i, err
}

// Close ends it and keeps what has come for a later Receive. After Commit or Abort it does nothing.
func (r *Receiver) Close() error {
	o := r.o
	if o.err != nil {
		return nil
	}
	if err := o.keep(o.buf.Flush()); err != nil {
		o.s.forgetPart(o.temp)
		return err
	}
	o.err = ErrClosed
	f := o.f
	o.f = nil
	o.s.mu.Lock()
	delete(o.s.inUse, o.temp)
	o.s.mu.Unlock()
	if err := f.Close(); err != nil {
		return &FailedError{"close " + o.temp, err}
	}
	return nil
}

// Abort removes what has come. After Commit or Close it does nothing.
func (r *Receiver) Abort() {
	if r.o.f != nil {
		r.o.discard()
		r.o.s.forgetPart(r.o.temp)
	}
}

func (s *Store) forgetPart(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parts, name)
	delete(s.inUse, name)
}
