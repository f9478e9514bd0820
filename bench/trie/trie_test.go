package trie

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
)

// TestTrie runs a random program against a map, and holds published states against copies of it.
func TestTrie(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	trie := New()
	now := map[string]string{}
	type held struct {
		root *node
		want map[string]string
	}
	var states []held
	check := func(root *node, want map[string]string) {
		t.Helper()
		for i := range 300 {
			p := fmt.Sprint("/", i)
			data, ok := want[p]
			x := root.find(maphash.String(trie.seed, p), p)
			if (x != nil) != ok || ok && string(x.data) != data {
				t.Fatalf("%q: %v, want %q, %v", p, x, data, ok)
			}
		}
	}
	trie.Create(1, 1, "", "/", nil)
	for z := range 5000 {
		p, data := fmt.Sprint("/", r.IntN(300)), fmt.Sprint(z)
		if _, ok := now[p]; ok {
			trie.Set(2, 2, p, []byte(data))
		} else {
			trie.Create(2, 2, "/", p, []byte(data))
		}
		now[p] = data
		if r.IntN(10) == 0 {
			trie.Publish()
			if z2, ok := trie.Get(p); !ok || string(z2.Data) != data || z2.Path != p {
				t.Fatalf("%q: %v", p, z2)
			}
			want := map[string]string{}
			for p, d := range now {
				want[p] = d
			}
			states = append(states, held{trie.root, want})
		}
	}
	for _, s := range states {
		check(s.root, s.want)
	}
	check(trie.root, now)
	if z, _ := trie.Get("/"); z.Stat.NumChildren != 300 {
		t.Error(z)
	}
}

// TestCollisions gives all paths the same hash, or nearly.
func TestCollisions(t *testing.T) {
	trie := New()
	for i := range 40 {
		x := &item{hash: uint64(i%2) << 57, path: fmt.Sprint(i)}
		trie.root = trie.put(trie.root, 0, x)
		trie.Publish()
		trie.root = trie.put(trie.root, 0, x)
	}
	for i := range 40 {
		if x := trie.root.find(uint64(i%2)<<57, fmt.Sprint(i)); x == nil || x.path != fmt.Sprint(i) {
			t.Error(i, x)
		}
	}
	if trie.root.find(0, "1") != nil {
		t.Error("found what is not there")
	}
}

// world is 100 000 znodes, four deep, kept in both ways.
type world struct {
	tree  *datatree.Tree
	trie  *Trie
	plain map[string]*datatree.Znode
	paths []string // in random order
}

var data = make([]byte, 100)

func build(b *testing.B) *world {
	w := &world{tree: datatree.New(1 << 20), trie: New(), plain: map[string]*datatree.Znode{}}
	w.trie.Create(1, 1, "", "/", nil)
	add := func(p string, data []byte) {
		w.apply(b, w.prepare(b, datatree.CreateOp{Path: p, Data: data}))
		w.trie.Create(w.tree.Zxid(), 1, p[:max(1, strings.LastIndexByte(p, '/'))], p, data)
		w.trie.Publish()
	}
	add("/app", nil)
	for i := range 10 {
		add(fmt.Sprintf("/app/a%d", i), nil)
		for j := range 10 {
			service := fmt.Sprintf("/app/a%d/service-%d", i, j)
			add(service, nil)
			for k := range 1000 {
				p := fmt.Sprintf("%s/instance-%d", service, k)
				add(p, data)
				w.paths = append(w.paths, p)
			}
		}
	}
	for _, p := range w.paths {
		z, _ := w.tree.Get(p)
		z.Data = bytes.Clone(z.Data)
		w.plain[p] = &z
	}
	shuffle(w.paths)
	for i, p := range w.paths {
		w.paths[i] = strings.Clone(p) // in this order: the cost of the caller's own keys is not what is measured
	}
	runtime.GC()
	return w
}

func shuffle(s []string) {
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

func (w *world) prepare(b *testing.B, op datatree.Op) []byte {
	txn, err := w.tree.Prepare(w.tree.Zxid()+1, 1, []datatree.Op{op}, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	w.tree.Abandon()
	return txn
}

func (w *world) apply(b *testing.B, txn []byte) {
	if _, err := w.tree.Apply(w.tree.Zxid()+1, 1, txn); err != nil {
		b.Fatal(err)
	}
}

// loop calls f with 0 to n-1, over and over; between rounds again is called, which does not count.
func loop(b *testing.B, n int, f func(i int), again func()) {
	b.ReportAllocs()
	runtime.GC()
	i, from := 0, cpuTime()
	for b.Loop() {
		if i == n {
			b.StopTimer()
			pause := cpuTime()
			again()
			from += cpuTime() - pause
			i = 0
			b.StartTimer()
		}
		f(i)
		i++
	}
	b.ReportMetric(float64(cpuTime()-from)/float64(b.N), "cpu-ns/op")
}

func BenchmarkGet(b *testing.B) {
	w := build(b)
	run := func(name string, get func(path string) (datatree.Znode, bool)) {
		b.Run(name, func(b *testing.B) {
			loop(b, len(w.paths), func(i int) {
				if _, ok := get(w.paths[i]); !ok {
					b.Fatal(w.paths[i])
				}
			}, func() {})
		})
	}
	run("tree", w.tree.Get)
	run("trie", w.trie.Get)
	run("map", func(path string) (datatree.Znode, bool) { return *w.plain[path], true })
	runtime.KeepAlive(w)
}

func BenchmarkSet(b *testing.B) {
	w := build(b)
	w.plain = nil
	txns := make([][]byte, len(w.paths))
	for i, p := range w.paths {
		txns[i] = w.prepare(b, datatree.SetOp{Path: p, Data: data})
	}
	run := func(name string, set func(i int)) {
		b.Run(name, func(b *testing.B) { loop(b, len(w.paths), set, func() {}) })
	}
	run("tree", func(i int) { w.apply(b, txns[i]) })
	run("trie", func(i int) {
		w.trie.Set(2, 2, w.paths[i], data)
		w.trie.Publish()
	})
	run("trie-by-64", func(i int) {
		w.trie.Set(2, 2, w.paths[i], data)
		if i%64 == 63 {
			w.trie.Publish()
		}
	})
	runtime.KeepAlive(w)
}

// BenchmarkCreate adds 100 000 more znodes, and takes them out again while the clock stands.
func BenchmarkCreate(b *testing.B) {
	for _, order := range []string{"appended", "random"} {
		w := build(b)
		w.plain = nil
		names := make([]string, len(w.paths))
		for i := range names {
			names[i] = fmt.Sprintf("/app/a%d/service-%d/n%06d", i%10, i/10%10, i)
		}
		if order == "random" {
			shuffle(names)
		}
		creates, deletes := make([][]byte, len(names)), make([][]byte, len(names))
		for i, p := range names {
			creates[i] = w.prepare(b, datatree.CreateOp{Path: p, Data: data})
			w.apply(b, creates[i])
			deletes[i] = w.prepare(b, datatree.DeleteOp{Path: p})
			w.apply(b, deletes[i])
		}
		empty := w.trie.root
		run := func(name string, create func(i int), reset func()) {
			b.Run(order+"/"+name, func(b *testing.B) {
				made := 0
				loop(b, len(names), func(i int) { create(i); made = i + 1 }, reset)
				for j := made; j < len(names); j++ {
					create(j)
				}
				reset()
			})
		}
		run("tree", func(i int) { w.apply(b, creates[i]) }, func() {
			for _, txn := range deletes {
				w.apply(b, txn)
			}
		})
		trie := func(every int) func(i int) {
			return func(i int) {
				p := names[i]
				w.trie.Create(2, 2, p[:strings.LastIndexByte(p, '/')], p, data)
				if i%every == every-1 {
					w.trie.Publish()
				}
			}
		}
		reset := func() {
			w.trie.root = empty
			w.trie.Publish()
		}
		run("trie", trie(1), reset)
		run("trie-by-64", trie(64), reset)
	}
}
