package ensemble_test

import (
	"context"
	"fmt"
	"path/filepath"
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
