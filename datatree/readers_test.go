package datatree

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// TestReadersWhileItGrows lets readers look for what must be there while segments, leaves and branches are divided and shrink again, versions are
// replaced, and transactions are taken back in the middle.
func TestReadersWhileItGrows(t *testing.T) {
	n := 12000
	if testing.Short() {
		n = 3000
	}
	tree := New(64)
	r := rand.New(rand.NewPCG(11, 12))
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("/p%d/%s%05d", i%3, strings.Repeat("long-", i%3*5), i) // some are longer than keySize
	}
	r.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for i := range 3 {
		must(t, tree, CreateOp{Path: fmt.Sprintf("/p%d", i)})
	}
	var made, gone atomic.Int64 // paths[gone:made] are there
	var stop atomic.Bool
	errs := make(chan error, 4)
	reader := func(seed uint64, f func(r *rand.Rand) error) {
		r := rand.New(rand.NewPCG(seed, 1))
		for !stop.Load() {
			if err := f(r); err != nil {
				errs <- err
				return
			}
			runtime.Gosched()
		}
		errs <- nil
	}
	get := func(r *rand.Rand) error {
		from, to := gone.Load(), made.Load()
		if from == to {
			return nil
		}
		i := from + r.Int64N(to-from)
		before := tree.Zxid()
		z, ok := tree.Get(paths[i])
		if !ok && gone.Load() <= i {
			return fmt.Errorf("%q is not found", paths[i])
		}
		if ok && (z.Path != paths[i] || z.Zxid < before || z.Stat.Mzxid > z.Zxid || bytes.Equal(z.Data, []byte("torn"))) {
			return fmt.Errorf("%q: %+v", paths[i], z)
		}
		return nil
	}
	for i := range 2 {
		go reader(uint64(i), get)
	}
	go reader(2, func(r *rand.Rand) error {
		v := tree.View()
		defer v.Release()
		if d := recompute(v); d != v.Digest() {
			return fmt.Errorf("digest %x, want %x", d, v.Digest())
		}
		return nil
	})
	go reader(3, func(r *rand.Rand) error { // pages of a parent's children
		v := tree.View()
		p := fmt.Sprintf("/p%d", r.IntN(3))
		want, _ := v.ChildNames(p)
		var have []string
		for {
			last, more := "", 0
			if len(have) > 0 {
				last = have[len(have)-1]
			}
			for c := range v.ChildrenAfter(p, last) {
				have = append(have, c.Path[strings.LastIndexByte(c.Path, '/')+1:])
				if more++; more == 50 {
					break
				}
			}
			if more == 0 {
				break
			}
			runtime.Gosched()
		}
		z, _ := v.Get(p)
		if !slices.Equal(have, want) || !slices.IsSorted(have) || len(have) != z.Stat.NumChildren {
			return fmt.Errorf("pages have %d names of %d", len(have), z.Stat.NumChildren)
		}
		return nil
	})
	torn := func() {
		z := tree.Zxid() + 1
		i := gone.Load()
		ops := []Op{SetOp{Path: paths[i], Data: []byte("torn")}, CreateOp{Path: "/torn"}, CreateOp{Path: "/torn/a"}}
		for j := range 20 {
			ops = append(ops, CreateOp{Path: fmt.Sprintf("/p0/torn%05d", r.IntN(1000)*20+j)})
		}
		txn, err := tree.Prepare(z, 1, append(ops, DeleteOp{Path: paths[i]}), true, nil)
		if err != nil {
			t.Fatal(err)
		}
		tree.Abandon()
		if _, err := tree.Apply(z, 1, txn[:len(txn)-1]); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	}
	for i, p := range paths {
		must(t, tree, CreateOp{Path: p, Data: []byte("a")})
		made.Store(int64(i + 1))
		must(t, tree, SetOp{Path: paths[r.IntN(i+1)], Data: bytes.Repeat([]byte("b"), r.IntN(64))})
		if i%16 == 0 {
			torn()
			runtime.Gosched()
		}
	}
	for i, p := range paths[:n-10] {
		gone.Store(int64(i + 1))
		must(t, tree, DeleteOp{Path: p})
		if i%16 == 0 {
			torn()
			runtime.Gosched()
		}
	}
	stop.Store(true)
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	noLeftovers(t, tree)
}

// TestViewsCostNothing holds very many views and counts how often the writer looks at versions: when one is replaced, and when the last view that
// holds it goes. It looks at no pin but when that comes and goes.
func TestViewsCostNothing(t *testing.T) {
	const n = 10000
	tree := New(4)
	must(t, tree, CreateOp{Path: "/a"})
	for i := range n {
		must(t, tree, CreateOp{Path: fmt.Sprintf("/z%d", i)}) // every version of the root and of /a is held
	}
	var views []*View
	for range n {
		views = append(views, tree.View())
		must(t, tree, SetOp{Path: "/a"})
	}
	if tree.kept != n || len(tree.pins.marks) != n {
		t.Fatalf("%d versions, %d states are held", tree.kept, len(tree.pins.marks))
	}
	before := tree.looks
	for range 1000 {
		must(t, tree, SetOp{Path: "/z1"})
	}
	if looks := tree.looks - before; looks != 1000 || tree.kept != n+1 {
		t.Errorf("%d looks for 1000 sets", looks)
	}
	for _, order := range []string{"first", "last", "random"} {
		before = tree.looks
		r := rand.New(rand.NewPCG(1, 1))
		for range n / 4 {
			i := 0
			switch order {
			case "last":
				i = len(views) - 1
			case "random":
				i = r.IntN(len(views))
			}
			views[i].Release()
			views = slices.Delete(views, i, i+1)
			must(t, tree, SetOp{Path: "/z2"})
		}
		// A version that was there all the time is looked at again whenever the newest of its views goes.
		if looks := tree.looks - before; looks > 4*n/4 || order == "first" && looks > 3*n/4 {
			t.Errorf("%s: %d looks for %d views that go", order, looks, n/4)
		}
		if tree.kept < len(views) || tree.kept > len(views)+2 || len(tree.pins.marks) > 2*len(views)+1 {
			t.Errorf("%s: %d versions and %d states are held by %d views", order, tree.kept, len(tree.pins.marks), len(views))
		}
	}
	for _, v := range views {
		if _, ok := v.Get("/a"); !ok {
			t.Fatal("a view lost what it holds")
		}
		v.Release()
	}
	noLeftovers(t, tree)
}

// TestLargeTransactionsLeaveNothing replaces many versions at a time, all of which a view holds that goes at once.
func TestLargeTransactionsLeaveNothing(t *testing.T) {
	const n = 500
	tree := New(4)
	var ops []Op
	for i := range n {
		p := fmt.Sprintf("/z%d", i)
		must(t, tree, CreateOp{Path: p})
		ops = append(ops, SetOp{Path: p})
	}
	for i := range 100 {
		v := tree.View()
		z := tree.Zxid() + 1
		txn, err := tree.Prepare(z, 1, ops, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Apply(z, 1, txn); err != nil {
			t.Fatal(err)
		}
		v.Release()
		if tree.kept > 2*n {
			t.Fatalf("after %d transactions %d versions are kept", i+1, tree.kept)
		}
	}
	noLeftovers(t, tree)
}

// TestDataOutlivesItsVersion keeps what was handed out, and nothing that was older with it.
func TestDataOutlivesItsVersion(t *testing.T) {
	tree := New(400)
	must(t, tree, CreateOp{Path: "/a", Data: []byte("0")})
	var keep []Znode
	var views []*View
	freed := make(chan int, 100)
	for i := range 50 {
		data := bytes.Repeat([]byte{byte(i)}, 1+8*i) // of every size class
		must(t, tree, SetOp{Path: "/a", Data: data})
		z, _ := tree.Get("/a")
		if i%10 == 9 {
			keep = append(keep, z)
		} else {
			runtime.AddCleanup(tree.index.find("/a", hashPath("/a")), func(i int) { freed <- i }, i)
		}
		views = append(views, tree.View())
	}
	for len(views) > 0 { // the middle first, so that chains are cut in the middle
		i := len(views) / 2
		views[i].Release()
		views = slices.Delete(views, i, i+1)
		must(t, tree, SetOp{Path: "/", Data: nil})
	}
	must(t, tree, SetOp{Path: "/a", Data: nil})
	for range 45 {
		runtime.GC()
		<-freed
	}
	for i, z := range keep {
		if want := bytes.Repeat([]byte{byte(10*i + 9)}, 1+8*(10*i+9)); !bytes.Equal(z.Data, want) {
			t.Errorf("%v has become %v", want, z.Data)
		}
	}
}

func TestForgottenView(t *testing.T) {
	tree := New(4)
	must(t, tree, CreateOp{Path: "/a"})
	tree.View() // forgotten at once
	must(t, tree, SetOp{Path: "/a"})
	must(t, tree, DeleteOp{Path: "/a"})
	noLeftovers(t, tree)
}

// TestReaders lets readers of every kind run beside the writer. Each transaction keeps what they check: /x and /y hold the same number, and the
// children of /c are as many as it says.
func TestReaders(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/x", Data: []byte("0")}, CreateOp{Path: "/y", Data: []byte("0")}, CreateOp{Path: "/c"}, CreateOp{Path: "/flip"})
	var stop atomic.Bool
	errs := make(chan error, 8)
	reader := func(f func() error) {
		for !stop.Load() {
			if err := f(); err != nil {
				errs <- err
				return
			}
			runtime.Gosched()
		}
		errs <- nil
	}
	var sum [2]zab.Zxid
	for i := range 2 {
		go reader(func() error { // a reader never goes back in time, and meets /x always
			z, ok := tree.Get("/x")
			if !ok || z.Stat.Mzxid > z.Zxid || z.Zxid < sum[i] {
				return fmt.Errorf("%+v, %v after %v", z, ok, sum[i])
			}
			sum[i] = z.Zxid
			if v := tree.View(); v.Zxid() < z.Zxid {
				return fmt.Errorf("view at %v after a read at %v", v.Zxid(), z.Zxid)
			}
			tree.Get("/flip/a")
			return nil
		})
		go reader(func() error {
			v := tree.View()
			x, _ := v.Get("/x")
			runtime.Gosched()
			y, _ := v.Get("/y")
			if !bytes.Equal(x.Data, y.Data) {
				return fmt.Errorf("%q and %q in one view", x.Data, y.Data)
			}
			c, _ := v.Get("/c")
			names, _ := v.ChildNames("/c")
			if len(names) != c.Stat.NumChildren || !slices.IsSorted(names) {
				return fmt.Errorf("%d names for %d children", len(names), c.Stat.NumChildren)
			}
			if d := recompute(v); d != v.Digest() {
				return fmt.Errorf("digest %x, want %x", d, v.Digest())
			}
			if i == 0 {
				v.Release()
			}
			return nil
		})
	}
	r := rand.New(rand.NewPCG(5, 6))
	exists := map[string]bool{}
	steps := 20000
	if testing.Short() {
		steps = 2000
	}
	for i := range steps {
		n := []byte(fmt.Sprint(i))
		ops := []Op{SetOp{Path: "/x", Data: n}, SetOp{Path: "/y", Data: n}}
		p := fmt.Sprintf("/c/%d", r.IntN(50))
		if exists[p] {
			ops = append(ops, DeleteOp{Path: p})
		} else {
			ops = append(ops, CreateOp{Path: p, Data: n})
		}
		exists[p] = !exists[p]
		if i%2 == 0 {
			ops = append(ops, CreateOp{Path: "/flip/a"}, CreateOp{Path: "/flip/a/b"})
		} else {
			ops = append(ops, DeleteOp{Path: "/flip/a/b"}, DeleteOp{Path: "/flip/a"})
		}
		must(t, tree, ops...)
		if i%16 == 0 {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	noLeftovers(t, tree)
}

// A watcher may know a view of its own tree, as a host's does that shows the newest state: when nobody else has the tree, it is collected with both.
func TestWatchedTreeIsCollected(t *testing.T) {
	gone := make(chan struct{})
	func() {
		type host struct{ shown *View }
		tree, h := New(64), new(host)
		must(t, tree, CreateOp{Path: "/a"})
		h.shown = tree.View()
		tree.Watch().New(nil, func(WatchEvent) { h.shown = nil }).Add("/a", WatchPersistent)
		runtime.AddCleanup(h, func(c chan struct{}) { close(c) }, gone)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		default:
			runtime.Gosched()
		}
	}
	t.Fatal("it is held by nobody but itself, and stays")
}
