package datatree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// do prepares and applies one request.
func do(t testing.TB, tree *Tree, ops ...Op) ([]Result, error) {
	t.Helper()
	z := tree.Zxid() + 1
	txn, err := tree.Prepare(z, 1, ops, len(ops) != 1, nil)
	if err != nil {
		return nil, err
	}
	r, err := tree.Apply(z, 1, txn)
	if err != nil {
		t.Fatal(err)
	}
	return r, nil
}

func must(t testing.TB, tree *Tree, ops ...Op) []Result {
	t.Helper()
	r, err := do(t, tree, ops...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRefusals(t *testing.T) {
	tree := New(4)
	for _, c := range []struct {
		op    Op
		want  error
		early bool // AppendOps refuses it too
	}{
		{CreateOp{Path: "/e", Mode: Ephemeral}, ErrUnsupported, false},
		{CreateOp{Path: "/e", TTL: 1}, ErrBadArguments, true},
		{CreateOp{Path: "/e", TTL: MaxTTL + time.Millisecond}, ErrBadArguments, true},
		{CreateOp{Path: "/e", TTL: time.Second, Mode: Container}, ErrBadArguments, true},
		{CreateOp{Path: "/e", ACL: []ACL{}}, ErrInvalidACL, false},
		{SetACLOp{Path: "/"}, ErrInvalidACL, false},
		{SetACLOp{Path: configPath, ACL: OpenACL}, ErrNoAuth, false},
		{CreateOp{Path: "/e", ACL: []ACL{{PermAll, World, strings.Repeat("x", MaxACL)}}}, ErrTooLarge, true},
		{CreateOp{Path: "/" + strings.Repeat("x/", MaxParents+1) + "y", Parents: true}, ErrTooLarge, false},
		{CloseSessionOp{}, ErrBadArguments, true},
		{CreateOp{Path: "/e", Mode: 8}, ErrBadArguments, true},
		{CreateOp{Path: "/e", TTL: -1}, ErrBadArguments, true},
		{CreateOp{Path: "/e", Data: []byte("12345")}, ErrTooLarge, true},
		{SetOp{Path: "/", Data: []byte("12345")}, ErrTooLarge, true},
		{CreateOp{Path: "/" + strings.Repeat("x", MaxPath)}, ErrBadArguments, true},
		{SetOp{Path: configPath}, ErrNoAuth, false},
		{CreateOp{Path: configPath + "/x"}, ErrNoAuth, false},
		{nil, ErrBadArguments, true},
	} {
		_, err := tree.Prepare(1, 1, []Op{c.op}, false, nil)
		if !errors.Is(err, c.want) {
			t.Errorf("Prepare(%v) = %v, want %v", c.op, err, c.want)
		}
		if CodeOf(err).Err() != c.want {
			t.Errorf("code %d of %v gives %v", CodeOf(err), err, CodeOf(err).Err())
		}
		_, err = AppendOps(nil, []Op{c.op}, false, 4)
		if err == nil && c.early {
			t.Errorf("AppendOps(%v) = %v, want %v", c.op, err, c.want)
		}
	}
	if !errors.Is(ErrUnsupported, ErrBadArguments) {
		t.Error("ErrUnsupported is no ErrBadArguments")
	}
	if _, err := tree.Prepare(1, 1, nil, false, nil); !errors.Is(err, ErrBadArguments) {
		t.Error(err)
	}
}

func TestCodes(t *testing.T) {
	for c := range codes {
		if err := Code(c).Err(); CodeOf(err) != Code(c) {
			t.Errorf("code %d is %v is code %d", c, err, CodeOf(err))
		}
	}
	if CodeOf(errors.New("x")) != CodeUnknown || CodeOf(CodeUnknown.Err()) != CodeUnknown {
		t.Error("unknown")
	}
}

func TestSequenceExhausted(t *testing.T) {
	tree := New(4)
	v := tree.index.find("/", hashPath("/"))
	v.creates = 1<<31 - 1
	if r := must(t, tree, CreateOp{Path: "/s", Mode: Sequential}); r[0].Path != "/s2147483647" {
		t.Error(r)
	}
	if _, err := do(t, tree, CreateOp{Path: "/s", Mode: Sequential}); !errors.Is(err, ErrSequenceExhausted) {
		t.Error(err)
	}
	must(t, tree, CreateOp{Path: "/s"})
}

func TestVersionSkipsAny(t *testing.T) {
	tree := New(4)
	tree.index.find("/", hashPath("/")).version = -2
	if r := must(t, tree, SetOp{Path: "/", Version: VersionOf(-2)}); r[0].Stat.Version != VersionOf(0) {
		t.Error(r)
	}
	if AnyVersion != VersionOf(-1) || VersionOf(7).Int() != 7 || VersionOf(7).String() != "7" || AnyVersion.String() != "any" {
		t.Error("Version")
	}
}

func TestXXH64(t *testing.T) {
	// From the reference implementation.
	for s, want := range map[string]uint64{"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b, "abc": 0x44bc2cf5ad770999} {
		if h := xxh64([]byte(s), 0); h != want {
			t.Errorf("%q: %x", s, h)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if seed := r.Uint64(); xxh64(b, seed) != plainXXH64(b, seed) {
			t.Fatalf("%d bytes", n)
		}
	}
}

func TestManyZnodes(t *testing.T) {
	n := 30000
	tree := New(4)
	r := rand.New(rand.NewPCG(3, 4))
	var paths []string
	for i := range 30 {
		must(t, tree, CreateOp{Path: fmt.Sprintf("/p%d", i)})
	}
	for i := range n {
		p := fmt.Sprintf("/p%d/%x-%d", i%30, r.Uint32(), i)
		must(t, tree, CreateOp{Path: p})
		paths = append(paths, p)
	}
	v := tree.View()
	r.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for _, p := range paths[:n/2] {
		must(t, tree, DeleteOp{Path: p})
	}
	for _, p := range paths {
		if _, ok := v.Get(p); !ok {
			t.Fatal(p)
		}
	}
	for i, p := range paths {
		if _, ok := tree.Get(p); ok != (i >= n/2) {
			t.Fatal(p, ok)
		}
	}
	if d := recompute(v); d != v.Digest() {
		t.Error("digest of the view")
	}
	v.Release()
	if _, ok := v.Get("/"); ok {
		t.Error("a released view shows something")
	}
	noLeftovers(t, tree)
	if d := recompute(tree.View()); d != tree.Digest() {
		t.Error("digest")
	}
	for range tree.View().Walk("/p1") {
		break
	}
}

func TestNoAllocations(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a", Data: []byte("data")})
	if n := testing.AllocsPerRun(100, func() { tree.Get("/a"); tree.Get("/b") }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}
