package snapshot

import "io"

// source gives bytes in order.
type source interface {
	// read returns the next n bytes in memory of their own, or fewer and why. It takes no memory for bytes that are not there, but for a constant.
	read(n int) ([]byte, error)
	// skip passes over n bytes.
	skip(n int64) error
	// ended reports whether nothing follows, as far as that is to be demanded.
	ended() bool
}

// fileSource reads a file from off on.
type fileSource struct {
	f         io.ReaderAt
	off, size int64
	spare     []byte // for the next read, if it is large enough
}

func (s *fileSource) read(n int) ([]byte, error) {
	var short error
	if left := s.size - s.off; int64(n) > left {
		n, short = int(left), io.ErrUnexpectedEOF
	}
	b := s.spare
	if s.spare = nil; cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	n, err := s.f.ReadAt(b, s.off)
	if n == len(b) {
		err = short // also where ReadAt tells that the file ends here
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.off += int64(n)
	return b[:n], err
}

func (s *fileSource) skip(n int64) error {
	if s.size-s.off < n {
		return io.ErrUnexpectedEOF
	}
	s.off += n
	return nil
}

func (s *fileSource) ended() bool { return s.off == s.size }

// streamSource reads a stream, and never beyond what it was asked for.
type streamSource struct{ r io.Reader }

// piece is what a stream may have taken before any of it is there.
const piece = 64<<10 + headSize

func (s *streamSource) read(n int) ([]byte, error) {
	b := make([]byte, min(n, piece))
	have := 0
	for {
		k, err := io.ReadFull(s.r, b[have:])
		have += k
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || have == n {
			return b[:have], err
		}
		more := make([]byte, min(n, 2*have))
		copy(more, b)
		b = more
	}
}

func (s *streamSource) skip(n int64) error {
	_, err := io.CopyN(io.Discard, s.r, n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// ended is always true: what follows a container in a stream is somebody else's.
func (s *streamSource) ended() bool { return true }
