package datatree

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// Whatever is outstanding, applied, taken back or abandoned: a recursive deletion takes along what is below its znode, and nothing else.
func TestBelow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tree := New(64)
	var all []string
	for level, up := 0, []string{""}; level < 3; level++ {
		var next []string
		for _, p := range up {
			next = append(next, p+"/a", p+"/b")
		}
		all, up = append(all, next...), next
	}
	type txn struct {
		z     zab.Zxid
		bytes []byte
		after map[string]bool
	}
	var queue []txn
	z, applied, now := tree.Zxid(), map[string]bool{}, map[string]bool{}
	deleted, undone := 0, 0
	for range 30_000 {
		switch k := r.IntN(20); {
		case k < 12:
			was := maps.Clone(now)
			var ops []Op
			for range 1 + r.IntN(4) {
				p := all[r.IntN(len(all))]
				switch r.IntN(4) {
				case 0:
					if now[p] {
						ops = append(ops, SetOp{Path: p})
					}
				case 1, 2:
					if !now[p] {
						ops = append(ops, CreateOp{Path: p, Parents: true})
					}
					for up := p; up != ""; up = up[:strings.LastIndexByte(up, '/')] {
						now[up] = true
					}
				default:
					if now[p] {
						ops = append(ops, DeleteOp{Path: p, Recursive: true})
						maps.DeleteFunc(now, func(q string, _ bool) bool { return q == p || strings.HasPrefix(q, p+"/") })
						deleted++
					}
				}
			}
			z++
			if r.IntN(4) == 0 {
				if _, err := tree.Prepare(z, 1, append(ops, CheckOp{Path: "/none"}), true, nil); err == nil {
					t.Fatal("it is not refused")
				}
				now = was
				undone++
				break
			}
			b, err := tree.Prepare(z, 1, ops, true, nil)
			if err != nil {
				t.Fatalf("%v: %v", ops, err)
			}
			queue = append(queue, txn{z, b, maps.Clone(now)})
		case k < 19:
			if len(queue) > 0 {
				if _, err := tree.Apply(queue[0].z, 1, queue[0].bytes); err != nil {
					t.Fatal(err)
				}
				applied, queue = queue[0].after, queue[1:]
			}
		case r.IntN(20) == 0:
			tree.Abandon()
			queue, now = nil, maps.Clone(applied)
		}
		for _, p := range all {
			if n, _ := tree.look(p, hashPath(p)); n.exists != now[p] {
				t.Fatalf("%s: %v, want %v", p, n.exists, now[p])
			}
		}
	}
	if deleted < 1000 || undone < 1000 {
		t.Errorf("%d deleted, %d undone", deleted, undone)
	}
}
