package datatree

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"
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
	for _, op := range []Op{
		CreateOp{Path: "/e", Mode: Ephemeral, ACL: []ACL{{3, "digest", "a:b"}}}, CreateOp{Path: "/d/x/y/z", Mode: Sequential, Parents: true},
		CreateOp{Path: "/zookeeper/quota/a/zookeeper_limits", Parents: true}, CreateOp{Path: "/zookeeper/quota/a/zookeeper_stats", Parents: true},
		SetACLOp{Path: "/a", ACL: []ACL{{1, World, Anyone}}}, DeleteOp{Path: "/a", Recursive: true}, CloseSessionOp{1},
	} {
		tree := New(testMax)
		must(f, tree, CreateOp{Path: "/a"}, CreateOp{Path: "/a/c"}, CreateOp{Path: "/d"})
		txn, err := tree.PrepareFor(&Caller{Session: 1, Identities: []Identity{{Super, ""}}}, 2, 1, []Op{op}, false, nil)
		if _, host := op.(CloseSessionOp); host {
			txn, err = tree.Prepare(2, 1, []Op{op}, false, nil)
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(txn)
	}
	f.Fuzz(func(t *testing.T, txn []byte) {
		tree := New(testMax)
		z, err := tree.PrepareFor(&Caller{Session: 1}, 1, 1, []Op{
			CreateOp{Path: "/a"}, CreateOp{Path: "/a/c", Mode: Ephemeral}, CreateOp{Path: "/d", TTL: time.Second}, CreateOp{Path: "/k", Mode: Container},
			CreateOp{Path: "/zookeeper/quota/a/zookeeper_limits", Parents: true},
		}, true, nil)
		if err == nil {
			_, err = tree.Apply(1, 1, z)
		}
		if err != nil {
			t.Fatal(err)
		}
		before := tree.View()
		kept := collect(before)
		_, err = tree.Apply(2, 2, txn)
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
	must(f, tree, CreateOp{Path: "/x/y", Parents: true, TTL: time.Second, ACL: []ACL{{3, "digest", "a:b"}}}, CreateOp{Path: "/zookeeper/quota/x/zookeeper_limits", Parents: true})
	txn, err := tree.PrepareFor(&Caller{Session: 9}, 9, 9, []Op{CreateOp{Path: "/e", Mode: Ephemeral}}, false, nil)
	if err == nil {
		_, err = tree.Apply(9, 9, txn)
	}
	if err != nil {
		f.Fatal(err)
	}
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

// What is used is read as it was written, whatever was read before.
func FuzzQuota(f *testing.F) {
	for _, s := range []string{"count=1,bytes=2", "count=-1,bytes=-1=;byteHardLimit=3;countHardLimit=4", "count=,bytes", "", "count==1", "count=1=", "xcount=3"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		q := parseQuota(text)
		again := parseQuota(q.appendUsage(nil))
		if again.count != q.count || again.bytes != q.bytes || again.hardCount != -1 || again.hardBytes != -1 {
			t.Fatalf("%q: %+v became %+v", text, q, again)
		}
	})
}

// What is valid in an ACL matches at most what is meant, whatever it is asked about.
func FuzzSchemes(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "10.0.0.0/8", "::1/64", "1.2.3.4/33", "/", "::ffff:1.2.3.4/100", "a:b", "a:b:", ":", "fe80::1%eth0", "1.2.3.4/-1", "1.2.3.4/+8", "::ffff:1.2.3.4"} {
		f.Add(s, "10.0.0.1")
	}
	f.Fuzz(func(t *testing.T, id, who string) {
		valid, matches := (IP{}).Valid(id), (IP{}).Matches(who, id)
		if !valid && matches {
			t.Fatalf("%q is not valid, and matches %q", id, who)
		}
		if a, err := netip.ParseAddr(who); matches && (err != nil || a.Zone() != "" && a.Is4()) {
			t.Fatalf("%q is no address, and matches %q", who, id)
		}
		if a, err := netip.ParseAddr(id); valid && err == nil && !(IP{}).Matches(a.String(), id) {
			t.Fatalf("%q does not match itself", id)
		}
		if p, err := netip.ParsePrefix(id); err == nil && !valid && !p.Addr().Is4In6() {
			t.Fatalf("%v is a network, and not valid", p)
		}
		if (Digest{}).Matches(who, id) != (who == id) {
			t.Fatal("digest")
		}
		list, err := builtinSchemes().resolve(nil, []ACL{{1, "ip", id}, {1, "ip", id}})
		if (err == nil) != valid || err == nil && len(list) != 1 {
			t.Fatalf("resolved to %v, %v", list, err)
		}
	})
}
