package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// container returns a content as a stream.
func container(t testing.TB, c *content) []byte {
	t.Helper()
	b, err := encodeContent(c)
	must(t, err)
	return b
}

func encodeContent(c *content) ([]byte, error) {
	var b bytes.Buffer
	i, err := Write(context.Background(), &b, c.meta, c.reader())
	if err == nil && (i.Size != int64(b.Len()) || i.Digest != c.digest() || i.Length != uint64(len(c.bytes())) || int(i.Chunks) != len(c.chunks)) {
		err = fmt.Errorf("Info %+v", i)
	}
	return b.Bytes(), err
}

// detected reads a damaged container as a stream and as a file: both must notice.
func detected(c *content, b []byte) error {
	stream, err := NewReader(bytes.NewReader(b))
	if err == nil {
		err = c.same(stream)
	}
	if err := noticed(err); err != nil {
		return fmt.Errorf("as a stream: %w", err)
	}
	file, err := newReader(&fileSource{f: bytes.NewReader(b), size: int64(len(b))}, "f", Version)
	if err == nil {
		err = c.same(file)
	}
	if err := noticed(err); err != nil {
		return fmt.Errorf("as a file: %w", err)
	}
	return nil
}

func noticed(err error) error {
	var damage *DamageError
	switch {
	case err == nil:
		return errors.New("not noticed")
	case errors.Is(err, errWrong) || !errors.As(err, &damage):
		return err
	}
	return nil
}

func smallContent() *content {
	c := draw(rand.New(rand.NewPCG(1, 1)), zab.MakeZxid(3, 9), 40, 0, 300, 7)
	c.meta.Members = []zab.Readmitted{{Member: 2, Incarnation: zab.Incarnation{5}}}
	return c
}

// Every bit of a small container, and random ones of larger ones.
func TestBitFlips(t *testing.T) {
	random := 600
	if crashtest.Slow {
		random = 60
	}
	n, err := bitFlips(random)
	must(t, err)
	t.Logf("%d bit flips, all noticed, nothing of them handed out", n)
}

func bitFlips(random int) (n int, err error) {
	c := smallContent()
	b, err := encodeContent(c)
	if err != nil {
		return 0, err
	}
	flip := func(bit int) error {
		n++
		b[bit/8] ^= 1 << (bit % 8)
		err := detected(c, b)
		b[bit/8] ^= 1 << (bit % 8)
		if err != nil {
			return fmt.Errorf("bit %d of byte %d of %d: %w", bit%8, bit/8, len(b), err)
		}
		return nil
	}
	for bit := range 8 * len(b) {
		if err := flip(bit); err != nil {
			return n, err
		}
	}
	r := rand.New(rand.NewPCG(2, 2))
	c = draw(r, zab.MakeZxid(2, 5), 30000, 50000, 70001, 1, 20000)
	if b, err = encodeContent(c); err != nil {
		return n, err
	}
	for range random {
		if err := flip(r.IntN(8 * len(b))); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Every length.
func TestTruncations(t *testing.T) { must(t, truncations()) }

func truncations() error {
	c := smallContent()
	b, err := encodeContent(c)
	if err != nil {
		return err
	}
	for n := range b {
		if err := detected(c, b[:n]); err != nil {
			return fmt.Errorf("the first %d of %d bytes: %w", n, len(b), err)
		}
	}
	return nil
}

// Chunks that are left out, doubled, exchanged or taken from another container, each whole by itself.
func TestMisplacedChunks(t *testing.T) {
	c := draw(rand.New(rand.NewPCG(1, 1)), zab.MakeZxid(1, 9), 100, 100, 100, 100)
	b := container(t, c)
	other := draw(rand.New(rand.NewPCG(2, 1)), zab.MakeZxid(1, 9), 100, 100, 100, 100)
	other.chunks = c.chunks
	o := container(t, other)
	first := len(b) - headSize - 4*(headSize+100)
	at := func(i int) int { return first + i*(headSize+100) }
	for i := range 4 {
		for j := range 4 {
			if i == j {
				continue
			}
			x := bytes.Clone(b)
			copy(x[at(i):at(i+1)], b[at(j):])
			must(t, detected(c, x))
			copy(x[at(j):at(j+1)], b[at(i):])
			must(t, detected(c, x))
		}
		must(t, detected(c, append(bytes.Clone(b[:at(i)]), b[at(i+1):]...)))
		x := bytes.Clone(b)
		copy(x[at(i):at(i+1)], o[at(i):])
		if bytes.Equal(x, b) {
			t.Fatal("two containers share a seed")
		}
		must(t, detected(c, x))
	}
	must(t, detected(c, append(bytes.Clone(b[:at(4)]), o[at(4):]...)))
	// A file ends with its trailer, a stream may go on.
	long := append(bytes.Clone(b), 0)
	r, err := newReader(&fileSource{f: bytes.NewReader(long), size: int64(len(long))}, "f", Version)
	if err == nil {
		err = c.same(r)
	}
	must(t, noticed(err))
	in := bytes.NewReader(append(bytes.Clone(b), "more"...))
	r, err = NewReader(in)
	must(t, err, c.same(r))
	if in.Len() != 4 {
		t.Errorf("%d bytes left of 4", in.Len())
	}
}

// The same flips in a directory: what is damaged is listed as such or found when it is read, and an older one is used.
func TestFlipsInStore(t *testing.T) {
	disk, w := vfs.NewMemory(), newTwin()
	s, err := Open(testOptions(disk, 1))
	must(t, err)
	old, young := draw(rand.New(rand.NewPCG(3, 3)), zab.MakeZxid(1, 3)), smallContent()
	for _, c := range []*content{old, young} {
		w.issue(c)
		_, err := s.Write(context.Background(), c.meta, c.reader())
		must(t, err)
	}
	name := filepath.Join("/d/snap", s.List()[0].File)
	size := s.List()[0].Size
	for bit := int64(0); bit < 8*size; bit += 3 {
		must(t, disk.FlipBit(name, bit))
		s, err := Open(testOptions(disk, 2))
		must(t, err)
		i, faults, err := s.Load(w.need, func(r *Reader) error { return w.state[r.Zxid()].same(r) })
		if err != nil || i.Zxid != old.meta.Zxid || len(faults) != 1 {
			t.Fatalf("bit %d: %v, %v, %v", bit, i.Zxid, faults, err)
		}
		if s.List()[0].Fault == nil {
			t.Fatalf("bit %d: not listed as damaged", bit)
		}
		must(t, disk.FlipBit(name, bit))
	}
}
