package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// slowParse is the format once more, read from the whole of it: the chunks before the first damage, and whether the end was reached.
func slowParse(b []byte) (chunks [][]byte, whole, header bool, size int) {
	sum := func(seed uint32, b []byte) uint32 { return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b) }
	if len(b) < 84 || string(b[:12]) != "ENSBLSNP\x01\x00\xfe\xff" {
		return
	}
	n := uint64(le.Uint32(b[12:]))
	spans, members := uint64(le.Uint32(b[72:])), uint64(le.Uint32(b[76:]))
	if n > uint64(len(b)) || n != 84+8*spans+24*members || le.Uint32(b[n-4:]) != sum(0, b[:n-4]) || bytes.Equal(b[16:32], make([]byte, 16)) {
		return
	}
	epoch := uint32(0)
	for i := range spans {
		e, last := le.Uint32(b[80+8*i:]), le.Uint32(b[84+8*i:])
		if i > 0 && e <= epoch || uint64(e)<<32|uint64(last) > le.Uint64(b[48:]) {
			return
		}
		epoch = e
	}
	header = true
	seed, length, digest := le.Uint32(b[n-4:]), uint64(0), uint64(0)
	at := b[n:]
	for len(at) >= 32 {
		if le.Uint32(at) != sum(seed, at[4:32]) || le.Uint32(at[12:]) != uint32(len(chunks)) || le.Uint64(at[16:]) != length || le.Uint64(at[24:]) != digest {
			break
		}
		body, size := le.Uint32(at[4:]), uint64(le.Uint32(at[8:]))
		if size == 1<<32-1 {
			return chunks, len(chunks) > 0 && body == 0, true, len(b) - len(at) + 32
		}
		if size > 16<<20 || size > uint64(len(at)-32) || sum(seed, at[32:32+size]) != body {
			break
		}
		c := at[32 : 32+size]
		chunks, length, digest = append(chunks, c), length+size, crc64.Update(digest, crc64.MakeTable(crc64.ECMA), c)
		at = at[32+size:]
	}
	return
}

// reseal makes checksums hold, as far as the lengths in b lead, so that what is behind them is reached.
func reseal(b []byte) {
	if len(b) < 84 {
		return
	}
	n := uint64(le.Uint32(b[12:]))
	if n < 84 || n > uint64(len(b)) {
		return
	}
	seed := crc32.Checksum(b[:n-4], castagnoli)
	le.PutUint32(b[n-4:], seed)
	for at := b[n:]; len(at) >= 32; {
		size := uint64(le.Uint32(at[8:]))
		end := size > uint64(len(at)-32)
		if !end {
			le.PutUint32(at[4:], crc32.Update(seed, castagnoli, at[32:32+size]))
		}
		le.PutUint32(at, crc32.Update(seed, castagnoli, at[4:32]))
		if end {
			return
		}
		at = at[32+size:]
	}
}

// Any bytes as a container, as a stream and as a file: no panic, no memory beyond a multiple of their number, and exactly the chunks that a slow parser
// finds, with an end where it finds one.
func FuzzSnapshot(f *testing.F) {
	r := rand.New(rand.NewPCG(8, 8))
	for z := range zab.Zxid(8) {
		c := draw(r, z+zab.MakeZxid(uint32(z), 1))
		b, err := encodeContent(c)
		must(f, err)
		f.Add(b, true)
		f.Add(b[:len(b)*3/4], false)
	}
	huge := container(f, smallContent())
	le.PutUint32(huge[smallContent().meta.size()+8:], MaxChunk)
	f.Add(huge, true)
	le.PutUint32(huge[12:], maxHeader)
	f.Add(huge, true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		b = bytes.Clone(b)
		if seal {
			reseal(b)
		}
		want, whole, header, size := slowParse(b)
		for _, file := range []bool{false, true} {
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			var r *Reader
			var err error
			if file {
				r, err = newReader(&fileSource{f: bytes.NewReader(b), size: int64(len(b))}, "f", Version)
			} else {
				r, err = NewReader(bytes.NewReader(b))
			}
			var got [][]byte
			for err == nil {
				var c []byte
				if c, err = r.Chunk(); err == nil {
					got = append(got, c)
				}
			}
			runtime.ReadMemStats(&now)
			if used := now.TotalAlloc - before.TotalAlloc; used > 12*uint64(len(b))+1<<20 {
				t.Errorf("%d bytes allocated for %d", used, len(b))
			}
			if header != (r != nil) {
				t.Fatalf("header: %v, want %v: %v", r != nil, header, err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%d chunks, want %d: %v", len(got), len(want), err)
			}
			if end := whole && (!file || size == len(b)); end != (err == io.EOF) {
				t.Fatalf("end: %v, want %v", err, end)
			}
			var damage *DamageError
			var version *VersionError
			if err != io.EOF && !errors.As(err, &damage) && !errors.As(err, &version) {
				t.Fatal(err)
			}
			if err != io.EOF || file {
				continue
			}
			// What was read is written to the same bytes.
			c := &content{r.Meta(), got}
			var again bytes.Buffer
			if _, err := Write(context.Background(), &again, c.meta, c.reader()); err != nil || !bytes.Equal(again.Bytes(), b[:size]) {
				t.Fatalf("written again: %v", err)
			}
		}
	})
}

// Any bytes as an interrupted file: what is used again is a prefix of what a slow parser finds in it.
func FuzzResume(f *testing.F) {
	c := smallContent()
	b, err := encodeContent(c)
	must(f, err)
	for _, n := range []int{0, 50, len(b) / 2, len(b) - 40, len(b)} {
		f.Add(b[:n], true)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		b = bytes.Clone(b)
		if seal {
			reseal(b)
		}
		x := newBench(1)
		file, err := x.disk.Create("/d/snap/" + stem(1, 1) + partSuffix)
		must(t, err)
		_, err = file.Write(b)
		must(t, err, file.Close())
		x.open()
		must(t, x.err)
		r, err := x.s.Receive(c.meta, nil)
		must(t, err)
		chunks, _, header, _ := slowParse(b)
		at := Position{}
		for _, c := range chunks {
			at = at.after(c)
		}
		if r.Position() != at && r.Position() != (Position{}) || !header && r.Position().Chunk > 0 {
			t.Fatalf("goes on at %+v, want %+v or the beginning", r.Position(), at)
		}
		for i := int(r.Position().Chunk); i < len(c.chunks); i++ {
			must(t, r.Add(uint32(i), c.chunks[i]))
		}
		i, err := r.Commit(uint64(len(c.bytes())), c.digest())
		if err != nil {
			return // made by somebody who knew the ID: the digest tells
		}
		rd, err := x.s.Open(i.File)
		must(t, err)
		var got []byte
		for {
			b, err := rd.Chunk()
			if err == io.EOF {
				break
			}
			must(t, err)
			got = append(got, b...)
		}
		rd.Close()
		if !bytes.Equal(got, c.bytes()) {
			t.Fatal("another snapshot")
		}
	})
}
