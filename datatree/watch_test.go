package datatree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naiveWatches is what each watcher should be told, from the trees before and after each op: it looks at every watch at every event.
type naiveWatches struct {
	data, child, persistent, recursive []map[string]bool // by watcher
}

func (n *naiveWatches) event(what WatchEventType, path string, tell func(i int, e string)) {
	up := path[:parentLen(path)]
	for i := range n.data {
		below := false
		for p := range n.recursive[i] {
			below = below || p == path || p == "/" || strings.HasPrefix(path, p+"/")
		}
		told := n.data[i][path] || n.persistent[i][path] || below
		if what == NodeDeleted {
			told = told || n.child[i][path]
			delete(n.child[i], path)
		}
		delete(n.data[i], path)
		if told {
			tell(i, fmt.Sprint(what, path))
		}
		if what != NodeDataChanged && (n.child[i][up] || n.persistent[i][up]) {
			delete(n.child[i], up)
			tell(i, fmt.Sprint(NodeChildrenChanged, up))
		}
	}
}

// Watches of every type on few paths, while transactions come, some of them torn.
func TestWatches(t *testing.T) {
	const watchers = 4
	r := rand.New(rand.NewPCG(11, 12))
	tree := New(64)
	var have, want [watchers][]string
	var all []*Watcher
	naive := naiveWatches{}
	for i := range watchers {
		all = append(all, tree.Watch().New(nil, func(e WatchEvent) { have[i] = append(have[i], fmt.Sprint(e.Type, e.Path)) }))
		for _, m := range []*[]map[string]bool{&naive.data, &naive.child, &naive.persistent, &naive.recursive} {
			*m = append(*m, map[string]bool{})
		}
	}
	tell := func(i int, e string) { want[i] = append(want[i], e) }
	path := func() string {
		p := ""
		for range 1 + r.IntN(3) {
			p += "/" + string(rune('a'+r.IntN(3)))
		}
		return p
	}
	tables := map[WatchType][]map[string]bool{
		WatchData: naive.data, WatchChild: naive.child, WatchPersistent: naive.persistent, WatchRecursive: naive.recursive,
	}
	told := 0
	for step := range 20000 {
		i, p := r.IntN(watchers), path()
		types := WatchType(1) << r.IntN(4)
		switch r.IntN(10) {
		case 0, 1:
			all[i].Add(p, types)
			tables[types][i][p] = true
		case 2:
			if all[i].Remove(p, types) != tables[types][i][p] {
				t.Fatalf("step %d: Remove", step)
			}
			delete(tables[types][i], p)
		case 3:
			if r.IntN(20) == 0 {
				all[i].Close()
				for _, m := range tables {
					clear(m[i])
				}
			}
		default:
			op := []Op{CreateOp{Path: p}, SetOp{Path: p}, DeleteOp{Path: p}, CreateOp{Path: p, Parents: true}, DeleteOp{Path: p, Recursive: true}}[r.IntN(5)]
			z := tree.Zxid() + 1
			txn, err := tree.Prepare(z, 1, []Op{op}, false, nil)
			if err != nil {
				continue
			}
			if _, err := tree.Apply(z, 1, txn[:len(txn)-1]); !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			switch op := op.(type) {
			case CreateOp:
				for i := 1; i <= len(p); i++ {
					if _, ok := tree.Get(p[:i]); (i == len(p) || p[i] == '/') && !ok {
						naive.event(NodeCreated, p[:i], tell)
					}
				}
			case SetOp:
				naive.event(NodeDataChanged, p, tell)
			case DeleteOp:
				below := collectBelow(tree, op.Path)
				for _, z := range slices.Backward(below) {
					naive.event(NodeDeleted, z, tell)
				}
			}
			if _, err := tree.Apply(z, 1, txn); err != nil {
				t.Fatal(err)
			}
			for i := range watchers {
				slices.Sort(have[i]) // what goes together with others has no order of its own here
				slices.Sort(want[i])
				if !slices.Equal(have[i], want[i]) {
					t.Fatalf("step %d: %v tells %d %q, want %q", step, op, i, have[i], want[i])
				}
				told += len(have[i])
				have[i], want[i] = nil, nil
			}
		}
	}
	if told < 1000 {
		t.Errorf("only %d events", told)
	}
	for _, w := range all {
		w.Close()
	}
	if ws := tree.Watch(); len(ws.paths) != 0 || ws.below != 0 {
		t.Errorf("%d paths and %d recursive watches are left", len(ws.paths), ws.below)
	}
}

func collectBelow(tree *Tree, path string) (paths []string) {
	v := tree.View()
	defer v.Release()
	for z := range v.Walk(path) {
		paths = append(paths, z.Path)
	}
	return paths
}
