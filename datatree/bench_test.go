package datatree

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/msgpack"
)

// benchPaths are 100 000 znodes four deep: 10 applications with 10 services with 1000 instances.
func benchTree(b *testing.B) (*Tree, []string) {
	tree := New(1 << 20)
	must(b, tree, CreateOp{Path: "/app"})
	var paths []string
	data := make([]byte, 100)
	for i := range 10 {
		app := fmt.Sprintf("/app/a%d", i)
		must(b, tree, CreateOp{Path: app})
		for j := range 10 {
			service := fmt.Sprintf("%s/service-%d", app, j)
			must(b, tree, CreateOp{Path: service})
			for k := range 1000 {
				p := fmt.Sprintf("%s/instance-%d", service, k)
				must(b, tree, CreateOp{Path: p, Data: data})
				paths = append(paths, p)
			}
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for i, p := range paths {
		paths[i] = strings.Clone(p) // in this order: the cost of the caller's own keys is not what is measured
	}
	runtime.GC()
	return tree, paths
}

func BenchmarkGet(b *testing.B) {
	tree, paths := benchTree(b)
	missing := make([]string, len(paths))
	for i, p := range paths {
		missing[i] = p + "x"
	}
	v := tree.View()
	run := func(name string, paths []string, get func(string) (Znode, bool), want bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := get(paths[i]); ok != want {
					b.Fatal(ok)
				}
				if i++; i == len(paths) {
					i = 0
				}
			}
		})
	}
	run("hit", paths, tree.Get, true)
	run("hot", paths[:100], tree.Get, true)
	run("miss", missing, tree.Get, false)
	run("view", paths, v.Get, true)
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				tree.Get(paths[i%len(paths)])
			}
		})
	})
}

// BenchmarkMap is what a plain map of the same znodes takes, for comparison.
func BenchmarkMap(b *testing.B) {
	tree, paths := benchTree(b)
	m := map[string]*Znode{}
	for z := range tree.View().Walk("/") {
		m[z.Path] = &z
	}
	i := 0
	var z Znode
	for b.Loop() {
		z = *m[paths[i]]
		if i++; i == len(paths) {
			i = 0
		}
	}
	_ = z
}

func BenchmarkView(b *testing.B) {
	tree := New(1)
	b.ReportAllocs()
	for b.Loop() {
		tree.View().Release()
		_ = tree.Advance(tree.Zxid() + 1)
	}
}

// txns prepares one transaction for each op on a tree; they are absolute, so all can be prepared before the first is applied.
func txns(b *testing.B, tree *Tree, n int, op func(i int) Op) [][]byte {
	all := make([][]byte, n)
	z := tree.Zxid()
	for i := range all {
		var err error
		z++
		if all[i], err = tree.Prepare(z, 1, []Op{op(i)}, false, nil); err != nil {
			b.Fatal(err)
		}
	}
	tree.Abandon()
	tree.outstanding = outstanding{overlay: map[uint64]int{}}
	return all
}

func BenchmarkApplySet(b *testing.B) {
	tree, paths := benchTree(b)
	data := make([]byte, 100)
	all := txns(b, tree, len(paths), func(i int) Op { return SetOp{Path: paths[i], Data: data} })
	run := func(b *testing.B) {
		b.ReportAllocs()
		i, z := 0, tree.Zxid()
		for b.Loop() {
			z++
			if _, err := tree.Apply(z, 1, all[i]); err != nil {
				b.Fatal(err)
			}
			if i++; i == len(all) {
				i = 0
			}
		}
	}
	b.Run("plain", run)
	v := tree.View()
	b.Run("viewed", run) // a view holds what it saw
	v.Release()
}

func BenchmarkApplyCreate(b *testing.B) {
	for _, order := range []string{"appended", "random"} {
		b.Run(order, func(b *testing.B) {
			tree, _ := benchTree(b)
			data := make([]byte, 100)
			n := 100000
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("/app/a%d/service-%d/n%06d", i%10, i/10%10, i)
			}
			if order == "random" {
				rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
			}
			creates := txns(b, tree, n, func(i int) Op { return CreateOp{Path: names[i], Data: data} })
			all := txns(b, tree, 0, nil)
			for _, p := range names {
				all = append(all, msgpack.AppendString(msgpack.AppendUint(msgpack.AppendArray([]byte{0x91}, 2), kindDelete), p, nil))
			}
			runtime.GC()
			b.ReportAllocs()
			i, z := 0, tree.Zxid()
			for b.Loop() {
				if i == n {
					b.StopTimer()
					for _, txn := range all {
						z++
						if _, err := tree.Apply(z, 1, txn); err != nil {
							b.Fatal(err)
						}
					}
					i = 0
					b.StartTimer()
				}
				z++
				if _, err := tree.Apply(z, 1, creates[i]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkApplyDelete(b *testing.B) {
	tree, _ := benchTree(b)
	data := make([]byte, 100)
	create := txns(b, tree, 1, func(int) Op { return CreateOp{Path: "/app/a5/service-5/x", Data: data} })[0]
	del := msgpack.AppendString(msgpack.AppendUint(msgpack.AppendArray([]byte{0x91}, 2), kindDelete), "/app/a5/service-5/x", nil)
	b.ReportAllocs()
	z := tree.Zxid()
	for b.Loop() { // and the create before it
		if _, err := tree.Apply(z+1, 1, create); err != nil {
			b.Fatal(err)
		}
		z += 2
		if _, err := tree.Apply(z, 1, del); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrepareApply keeps 64 transactions outstanding.
func BenchmarkPrepareApply(b *testing.B) {
	tree, paths := benchTree(b)
	data := make([]byte, 100)
	const depth = 64
	var ring [depth][]byte
	ops := make([]Op, 1)
	b.ReportAllocs()
	i, z := 0, tree.Zxid()
	for b.Loop() {
		z++
		ops[0] = SetOp{Path: paths[i%len(paths)], Data: data}
		slot := &ring[i%depth]
		if i >= depth {
			if _, err := tree.Apply(z-depth, 1, *slot); err != nil {
				b.Fatal(err)
			}
		}
		var err error
		if *slot, err = tree.Prepare(z, 1, ops, false, (*slot)[:0]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkPrepareRequest is BenchmarkPrepareApply from encoded requests.
func BenchmarkPrepareRequest(b *testing.B) {
	tree, paths := benchTree(b)
	data := make([]byte, 100)
	const depth = 64
	var ring [depth][]byte
	requests := make([][]byte, len(paths))
	for i, p := range paths {
		requests[i], _ = AppendOps(nil, []Op{SetOp{Path: p, Data: data}}, false, 1<<20)
	}
	b.ReportAllocs()
	i, z := 0, tree.Zxid()
	for b.Loop() {
		z++
		slot := &ring[i%depth]
		if i >= depth {
			if _, err := tree.Apply(z-depth, 1, *slot); err != nil {
				b.Fatal(err)
			}
		}
		var err error
		if *slot, err = tree.PrepareRequest(z, 1, requests[i%len(requests)], (*slot)[:0]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkManyViews sets a znode of which 10 000 views hold a version each. Now and then one is let go and another taken.
func BenchmarkManyViews(b *testing.B) {
	for _, n := range []int{0, 100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tree := New(1 << 20)
			must(b, tree, CreateOp{Path: "/a"})
			set := txns(b, tree, 1, func(int) Op { return SetOp{Path: "/a", Data: make([]byte, 100)} })[0]
			z := tree.Zxid()
			apply := func() {
				z++
				if _, err := tree.Apply(z, 1, set); err != nil {
					b.Fatal(err)
				}
			}
			views := make([]*View, n)
			for i := range views {
				views[i] = tree.View()
				apply()
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; n > 0 && i%16 == 0 {
					v := &views[i/16%n]
					(*v).Release()
					*v = tree.View()
				}
				apply()
			}
			runtime.KeepAlive(views)
		})
	}
}

func BenchmarkWalk(b *testing.B) {
	tree, _ := benchTree(b)
	v := tree.View()
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range v.Walk("/") {
			n++
		}
	}
}

// BenchmarkMemory makes 1 000 000 znodes of 100 bytes, a thousand below each parent, and measures the live heap of each, all included, after a collection.
func BenchmarkMemory(b *testing.B) {
	live := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := live()
		tree, data := New(1<<20), make([]byte, 100)
		count := 0
		for i := range 1000 {
			up := fmt.Sprintf("/node-%03d", i)
			ops := []Op{CreateOp{Path: up}}
			for k := range 1000 {
				ops = append(ops, CreateOp{Path: fmt.Sprintf("%s/child-%03d", up, k), Data: data})
			}
			must(b, tree, ops...)
			count += len(ops)
		}
		b.ReportMetric((live()-before)/float64(count), "B/znode")
		runtime.KeepAlive(tree)
	}
}
