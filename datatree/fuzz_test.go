package datatree

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

// What decodes encodes to the same bytes, and what is refused does no harm.
func FuzzDecodeOps(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 8 {
		b, err := AppendOps(nil, []Op{randomOp(r), randomOp(r)}, true, testMax)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, multi, err := DecodeOps(b)
		tree := New(testMax)
		direct, derr := New(testMax).PrepareRequest(1, 1, b, nil)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if oe, ok := errors.AsType[*OpError](derr); !ok || oe.Index != -1 || oe.Err != ErrBadArguments {
				t.Fatalf("PrepareRequest: %v", derr)
			}
			return
		}
		txn, perr := tree.Prepare(1, 1, ops, multi, nil)
		if !bytes.Equal(direct, txn) || !reflect.DeepEqual(derr, perr) {
			t.Fatalf("PrepareRequest gives % x, %v; Prepare % x, %v", direct, derr, txn, perr)
		}
		again, err := AppendOps(nil, ops, multi, testMax)
		if err != nil {
			if perr == nil {
				t.Fatalf("prepared %v, which AppendOps refuses: %v", ops, err)
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("% x became % x", b, again)
		}
		if perr == nil {
			if _, err := tree.Apply(1, 1, txn); err != nil {
				t.Fatal(err)
			}
			held := tree.View()
			if recompute(held) != tree.Digest() {
				t.Fatal("digest")
			}
		}
	})
}

// Whatever Apply is given, the tree stays sound: the digest follows, and a refused transaction leaves no trace.
func FuzzApply(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 8 {
		tree := New(testMax)
		if txn, err := tree.Prepare(1, 1, []Op{CreateOp{Path: "/a"}, CreateOp{Path: "/a/b", Data: []byte("x")}, randomOp(r)}, true, nil); err == nil {
			f.Add(txn)
		}
	}
	f.Fuzz(func(t *testing.T, txn []byte) {
		tree := New(testMax)
		must(t, tree, CreateOp{Path: "/a"}, CreateOp{Path: "/a/c"}, CreateOp{Path: "/d"})
		before := tree.View()
		kept := collect(before)
		_, err := tree.Apply(2, 2, txn)
		if err != nil && (tree.Digest() != before.Digest() || tree.Len() != before.Len() || tree.Zxid() != 1) {
			t.Fatal("a refused transaction has changed the tree")
		}
		after := tree.View()
		if recompute(after) != tree.Digest() {
			t.Fatal("digest")
		}
		if n := len(collect(after)); n != tree.Len() {
			t.Fatalf("%d znodes, %d counted", n, tree.Len())
		}
		if !reflect.DeepEqual(collect(before), kept) {
			t.Fatal("a view has changed")
		}
		before.Release()
		after.Release()
		noLeftovers(t, tree)
	})
}

func collect(v *View) (all []Znode) {
	for z := range v.Walk("/") {
		all = append(all, z)
	}
	return all
}

// A stream that loads is the very stream that the loaded tree gives.
func FuzzLoader(f *testing.F) {
	tree := New(testMax)
	stream := func(tree *Tree) []byte {
		chunk, last := tree.View().Chunks(1 << 20).Next()
		if !last {
			f.Fatal("more than one chunk")
		}
		return chunk
	}
	f.Add(stream(tree), uint16(1))
	must(f, tree, CreateOp{Path: "/a", Data: []byte("data")}, CreateOp{Path: "/a/b"}, CreateOp{Path: "/a/c", Mode: Sequential})
	f.Add(stream(tree), uint16(7))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		l := NewLoader(testMax)
		for rest := b; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			if err := l.Add(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		loaded, err := l.Finish()
		if err != nil {
			return
		}
		again, _ := loaded.View().Chunks(1 << 20).Next()
		if !bytes.Equal(again, b) {
			t.Fatalf("% x became % x", b, again)
		}
		must(t, loaded, CreateOp{Path: "/fresh"})
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a//b", "/..", "/\u00e9\uf8ff", "/\U0001f600", "/\xff", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if CheckPath(path) == nil {
			if want := plainCheckPath(path); !want {
				t.Fatalf("%q is accepted", path)
			}
		} else if len(path) < 1000 && plainCheckPath(path) {
			t.Fatalf("%q is refused", path)
		}
	})
}
