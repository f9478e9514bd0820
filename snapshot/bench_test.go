package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
)

// benchState is 100 000 znodes of 100 bytes, four deep.
func benchState(b *testing.B) *member {
	m, err := newMember()
	must(b, err)
	var ops []datatree.Op
	flush := func() {
		must(b, m.do(true, ops...))
		ops = nil
		m.log = nil
	}
	ops = append(ops, datatree.CreateOp{Path: "/app"})
	for i := range 10 {
		for j := range 10 {
			if j == 0 {
				ops = append(ops, datatree.CreateOp{Path: fmt.Sprintf("/app/a%d", i)})
			}
			service := fmt.Sprintf("/app/a%d/service-%d", i, j)
			ops = append(ops, datatree.CreateOp{Path: service})
			for k := range 1000 {
				ops = append(ops, datatree.CreateOp{Path: fmt.Sprintf("%s/instance-%d", service, k), Data: make([]byte, 100)})
			}
			flush()
		}
	}
	return m
}

func benchStore(b *testing.B) *Store {
	r := rand.New(rand.NewPCG(1, 1))
	s, err := Open(Options{Dir: b.TempDir(), Ensemble: testEnsemble, Random: r.Uint64, Keep: 1})
	must(b, err)
	return s
}

const benchChunk = 64 << 10

// From a View to an installed file, on the disk of this machine.
func BenchmarkWrite(b *testing.B) {
	m, s := benchState(b), benchStore(b)
	b.ReportAllocs()
	var i Info
	for b.Loop() {
		r := m.Snapshot(benchChunk)
		var err error
		i, err = s.Write(context.Background(), m.meta(), r)
		r.Close()
		must(b, err)
		b.StopTimer()
		must(b, second(s.Retain(Need{Upto: m.zxid})))
		b.StartTimer()
	}
	b.SetBytes(int64(i.Length))
}

// The same into nothing: what encoding the tree and the container cost.
func BenchmarkEncode(b *testing.B) {
	m := benchState(b)
	b.ReportAllocs()
	var i Info
	for b.Loop() {
		r := m.Snapshot(benchChunk)
		var err error
		i, err = Write(context.Background(), io.Discard, m.meta(), r)
		r.Close()
		must(b, err)
	}
	b.SetBytes(int64(i.Length))
}

// The container alone: chunks that are there already, into nothing.
func BenchmarkContainer(b *testing.B) {
	c := benchContent(b)
	b.SetBytes(int64(len(c.bytes())))
	b.ReportAllocs()
	for b.Loop() {
		e := encoder{w: io.Discard}
		must(b, e.begin(&c.meta, Version))
		for _, chunk := range c.chunks {
			must(b, e.add(chunk))
		}
		must(b, e.end())
	}
}

func benchContent(b *testing.B) *content {
	m := benchState(b)
	c := &content{meta: m.meta()}
	r := m.Snapshot(benchChunk)
	defer r.Close()
	for last := false; !last; {
		var chunk []byte
		chunk, last, _ = r.Next()
		c.chunks = append(c.chunks, chunk)
	}
	return c
}

// From a file, in the page cache, to checked chunks.
func BenchmarkRead(b *testing.B) {
	s, i := benchInstalled(b)
	b.SetBytes(int64(i.Length))
	b.ReportAllocs()
	for b.Loop() {
		_, faults, err := s.Load(Need{From: i.Zxid, Upto: i.Zxid}, through)
		if err != nil || len(faults) > 0 {
			b.Fatal(faults, err)
		}
	}
}

// And on to a tree that can be read.
func BenchmarkLoad(b *testing.B) {
	s, i := benchInstalled(b)
	b.SetBytes(int64(i.Length))
	b.ReportAllocs()
	for b.Loop() {
		var z *core.Znodes
		_, _, err := s.Load(Need{From: i.Zxid, Upto: i.Zxid}, func(r *Reader) (err error) {
			z, err = decode(r)
			return err
		})
		must(b, err)
		if z.Tree().Len() < 100_000 {
			b.Fatal(z.Tree().Len())
		}
	}
}

func benchInstalled(b *testing.B) (*Store, Info) {
	s, c := benchStore(b), benchContent(b)
	i, err := s.Write(context.Background(), c.meta, c.reader())
	must(b, err)
	return s, i
}

// From a stream of the same.
func BenchmarkReadStream(b *testing.B) {
	c := benchContent(b)
	stream := container(b, c)
	b.SetBytes(int64(len(c.bytes())))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(stream))
		for err == nil {
			_, err = r.Chunk()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}
