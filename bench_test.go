package ensemble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// BenchmarkWrite sets one of 10 000 znodes to 128 bytes, at the leader of three members in memory; each caller waits for its own answer.
func BenchmarkWrite(b *testing.B) {
	benchmarkWrite(b, func(c *ensemble.Config) { c.Dir = "" })
}

// BenchmarkDurableWrite does so with a directory for each member, all of them on the file system of the temporary directory.
func BenchmarkDurableWrite(b *testing.B) {
	benchmarkWrite(b, func(c *ensemble.Config) { c.Dir = filepath.Join(c.Dir, fmt.Sprint(c.ID)) })
}

func benchmarkWrite(b *testing.B, opt func(*ensemble.Config)) {
	for _, callers := range []int{1, 64, 512, 1024} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			dir := b.TempDir()
			c := ensembletest.New(b, 3, func(c *ensemble.Config) { c.Dir = dir }, opt)
			n, ctx := c.Node(c.WaitLeader()), context.Background()
			paths := fill(b, n, 10_000)
			data := make([]byte, 128)
			var next atomic.Int64
			var group sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range callers {
				group.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := n.Set(ctx, paths[i%int64(len(paths))], data, ensemble.AnyVersion); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

func fill(b *testing.B, n *ensemble.Node, count int) []string {
	paths := make([]string, count)
	pending := make([]*ensemble.Pending, 0, 1000)
	for i := range paths {
		paths[i] = fmt.Sprintf("/node-%05d", i)
		pending = append(pending, n.Submit(ensemble.CreateOp{Path: paths[i], Data: make([]byte, 128)}))
		if len(pending) == cap(pending) || i == len(paths)-1 {
			for _, p := range pending {
				if _, err := p.Wait(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			pending = pending[:0]
		}
	}
	return paths
}

// BenchmarkGet reads a znode that exists, on all cores.
func BenchmarkGet(b *testing.B) {
	c := ensembletest.New(b, 3)
	n, ctx := c.Node(c.WaitLeader()), context.Background()
	paths := fill(b, n, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := n.Get(ctx, paths[i%len(paths)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReads reads one of 100 000 znodes of 100 bytes, four deep, in random order and on all cores, by Node.Get and by View.Get, without and beside 64 callers that set
// znodes as fast as an ensemble of one lets them.
func BenchmarkReads(b *testing.B) {
	c := ensembletest.New(b, 1)
	n, ctx := c.Node(1), context.Background()
	var paths []string
	var ops []ensemble.Op
	for i := range 100 {
		for k := range 1000 {
			paths = append(paths, fmt.Sprintf("/app/a%d/service-%d/instance-%d", i%10, i/10, k))
			ops = append(ops, ensemble.CreateOp{Path: paths[len(paths)-1], Data: make([]byte, 100), Parents: true})
		}
		if _, err := n.Multi(ctx, ops...); err != nil {
			b.Fatal(err)
		}
		ops = ops[:0]
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for i, p := range paths {
		paths[i] = strings.Clone(p) // in this order: the cost of the caller's own keys is not what is measured
	}
	v := n.View()
	for _, x := range []struct {
		name string
		get  func(path string) bool
	}{
		{"Node", func(path string) bool { _, err := n.Get(ctx, path); return err == nil }},
		{"View", func(path string) bool { _, ok := v.Get(path); return ok }},
	} {
		for _, writers := range []int{0, 64} {
			b.Run(fmt.Sprintf("%s/%d", x.name, writers), func(b *testing.B) {
				var stop atomic.Bool
				var writes, at atomic.Int64
				var group sync.WaitGroup
				for k := range writers {
					group.Go(func() {
						for i := k * 1000; !stop.Load(); i++ {
							if _, err := n.Set(ctx, paths[i%len(paths)], make([]byte, 100), ensemble.AnyVersion); err != nil {
								b.Error(err)
								return
							}
							writes.Add(1)
						}
					})
				}
				if writers == 0 {
					b.ReportAllocs()
				}
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for i := int(at.Add(1)) * 31337; pb.Next(); i++ {
						if !x.get(paths[i%len(paths)]) {
							b.Error("not there")
							return
						}
					}
				})
				b.StopTimer()
				stop.Store(true)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M-reads/s")
				b.ReportMetric(float64(writes.Load())/b.Elapsed().Seconds(), "writes/s")
				group.Wait()
			})
		}
	}
}
