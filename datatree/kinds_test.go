package datatree

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// as prepares and applies one request of who, at a time.
func as(t *testing.T, tree *Tree, who *Caller, at int64, ops ...Op) ([]Result, error) {
	t.Helper()
	z := tree.Zxid() + 1
	txn, err := tree.PrepareFor(who, z, at, ops, len(ops) != 1, nil)
	if err != nil {
		return nil, err
	}
	r, err := tree.Apply(z, at, txn)
	if err != nil {
		t.Fatal(err)
	}
	return r, nil
}

// A znode with a TTL that was set, or has got a child, after it was chosen is not reaped.
func TestReapLooksAgain(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/t", TTL: 10 * time.Millisecond}, CreateOp{Path: "/c/x", Parents: true})
	must(t, tree, DeleteOp{Path: "/c/x"})
	if due := tree.Due(11); fmt.Sprint(due) != "[{/c 0.1 any}]" {
		t.Fatalf("due at 11: %v", due)
	}
	due := tree.Due(12)
	if fmt.Sprint(due) != "[{/c 0.1 any} {/t 0.1 any}]" {
		t.Fatalf("due at 12: %v", due)
	}
	if _, err := as(t, tree, nil, 12, SetOp{Path: "/t"}); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int64]error{12: ErrBadVersion, 22: ErrBadVersion} {
		if _, err := as(t, tree, nil, at, due[1]); !errors.Is(err, want) {
			t.Errorf("at %d: %v", at, err)
		}
	}
	// A set that is only outstanding counts too.
	z := tree.Zxid() + 1
	if _, err := tree.Prepare(z, 25, []Op{SetOp{Path: "/t"}}, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Prepare(z+1, 30, []Op{due[1]}, false, nil); !errors.Is(err, ErrBadVersion) {
		t.Error(err)
	}
	tree.Abandon()
	must(t, tree, CreateOp{Path: "/c/y"})
	if _, err := as(t, tree, nil, 30, due[0]); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
	must(t, tree, DeleteOp{Path: "/c", Recursive: true})
	must(t, tree, CreateOp{Path: "/c", Mode: Container})
	if _, err := as(t, tree, nil, 30, due[0]); !errors.Is(err, ErrBadVersion) { // another /c
		t.Error(err)
	}
	if _, err := as(t, tree, nil, 30, ReapOp{Path: "/c"}); !errors.Is(err, ErrBadVersion) { // it never had a child
		t.Error(err)
	}
	if _, err := as(t, tree, &Caller{}, 30, due[1]); !errors.Is(err, ErrBadArguments) { // not for clients
		t.Error(err)
	}
	if _, err := as(t, tree, nil, 30, due[1]); err != nil {
		t.Error(err)
	}
}

// What is bounded is refused as a whole, and leaves nothing outstanding.
func TestBoundsOfOneOp(t *testing.T) {
	tree := New(64)
	deep := strings.Repeat("/d", MaxParents)
	must(t, tree, CreateOp{Path: deep + "/x", Parents: true})
	if _, err := do(t, tree, CreateOp{Path: strings.Repeat("/e", MaxParents+2), Parents: true}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	var ops []Op
	must(t, tree, CreateOp{Path: "/wide"})
	for i := range MaxRecursive - 1 {
		ops = append(ops, CreateOp{Path: fmt.Sprintf("/wide/%d", i)})
	}
	must(t, tree, ops...)
	// One more that is only outstanding counts too.
	z := tree.Zxid() + 1
	txn, err := tree.Prepare(z, 1, []Op{CreateOp{Path: "/wide/more"}}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Prepare(z+1, 1, []Op{DeleteOp{Path: "/wide", Recursive: true}}, false, nil); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := tree.Apply(z, 1, txn); err != nil {
		t.Fatal(err)
	}
	must(t, tree, DeleteOp{Path: "/wide/more"})
	must(t, tree, DeleteOp{Path: "/wide", Recursive: true}, DeleteOp{Path: "/d", Recursive: true})
	if tree.Len() != 4 || len(tree.overlay) != 0 {
		t.Errorf("%d znodes, %d changes are left", tree.Len(), len(tree.overlay))
	}
	noLeftovers(t, tree)
}

// Without znodes that have it, an ACL is forgotten.
func TestACLsAreForgotten(t *testing.T) {
	tree := New(64)
	for i := range 2000 {
		must(t, tree, CreateOp{Path: "/x", ACL: []ACL{{PermAll, "digest", fmt.Sprintf("u:%d", i)}}})
		must(t, tree, DeleteOp{Path: "/x"})
		if i%100 == 99 {
			runtime.GC()
		}
	}
	if n := len(tree.acls); n > 400 {
		t.Errorf("%d ACLs are kept", n)
	}
}

// Transactions and states of before there were ACLs are read as they were written.
func TestOldForms(t *testing.T) {
	tree := New(64)
	txn := []byte{0x91, 0x95, kindCreate, 0xa2, '/', 'a', 0xc0, 0, 1}
	r, err := tree.Apply(1, 1, txn)
	if err != nil || r[0].Path != "/a" {
		t.Fatal(r, err)
	}
	if now, err := tree.Prepare(2, 1, []Op{CreateOp{Path: "/b"}}, false, nil); err != nil || len(now) != len(txn) {
		t.Errorf("a plain create is % x, %v", now, err)
	}
	v := tree.View()
	chunk, _ := v.Chunks(1 << 20).Next()
	for b := chunk[4:]; ; {
		d := decoder{}
		d.B = b
		n := d.Array()
		if n == 1 {
			break
		}
		if n != nodeFields {
			t.Fatalf("a plain znode has %d fields", n)
		}
		d.String(MaxPath)
		d.Bytes(64)
		for range nodeFields - 2 {
			d.Uint()
		}
		if b = d.B; d.Bad {
			t.Fatal("cannot be read")
		}
	}
}

// The session's own ephemerals go with it, those of an outstanding transaction too, and no other's.
func TestCloseSession(t *testing.T) {
	tree := New(64)
	one, two := &Caller{Session: 1}, &Caller{Session: 2}
	var txns [][]byte
	prepare := func(who *Caller, op Op) {
		t.Helper()
		txn, err := tree.PrepareFor(who, zab.Zxid(len(txns)+1), 1, []Op{op}, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		txns = append(txns, txn)
	}
	prepare(one, CreateOp{Path: "/a", Mode: Ephemeral})
	prepare(two, CreateOp{Path: "/b", Mode: Ephemeral})
	prepare(nil, CloseSessionOp{1})
	prepare(two, CreateOp{Path: "/a", Mode: Ephemeral}) // it will be gone
	prepare(nil, CloseSessionOp{2})
	prepare(one, CreateOp{Path: "/b", Mode: Ephemeral})
	for i, txn := range txns {
		if _, err := tree.Apply(zab.Zxid(i+1), 1, txn); err != nil {
			t.Fatal(i, err)
		}
	}
	if e := fmt.Sprint(tree.Ephemerals(1), tree.Ephemerals(2), tree.Len()); e != "[/b] [] 5" {
		t.Error(e)
	}
	if _, err := as(t, tree, one, 1, CreateOp{Path: "/b/c"}); !errors.Is(err, ErrNoChildrenForEphemerals) {
		t.Error(err)
	}
	if _, err := as(t, tree, one, 1, CreateOp{Path: "/b/c/d", Parents: true}); !errors.Is(err, ErrNoChildrenForEphemerals) {
		t.Error(err)
	}
	if _, err := as(t, tree, one, 1, CloseSessionOp{1}); !errors.Is(err, ErrBadArguments) {
		t.Error(err)
	}
}

// A caller may be more than fits into an ACL. What is prepared can be applied.
func TestAuthIsBounded(t *testing.T) {
	tree := New(64)
	who := &Caller{}
	for i := range 60 {
		if !tree.Authenticate(who, "digest", []byte(fmt.Sprintf("%s%d:p", strings.Repeat("u", 1000), i))) {
			t.Fatal("refused")
		}
	}
	all := ACL{PermAll, Auth, ""}
	r, err := as(t, tree, who, 1, CreateOp{Path: "/a", ACL: []ACL{all, all}})
	if err != nil {
		t.Fatal(r, err)
	}
	v := tree.View()
	defer v.Release()
	if list, _, err := v.For(who).ACL("/a"); err != nil || len(list) != 60 {
		t.Error(len(list), err)
	}
	for _, op := range []Op{
		CreateOp{Path: "/b", ACL: []ACL{all, {PermRead, Auth, ""}}}, SetACLOp{Path: "/a", ACL: []ACL{all, {PermRead, Auth, ""}}},
		CreateOp{Path: "/b/c", ACL: []ACL{all, {PermRead, Auth, ""}}, Parents: true},
	} {
		if _, err := as(t, tree, who, 1, op); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%T: %v", op, err)
		}
	}
}

// Nobody sees through an Access what its caller may not read.
func TestAccess(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/p", ACL: []ACL{{PermAll &^ PermRead, World, Anyone}}}, CreateOp{Path: "/o"}, CreateOp{Path: "/o/a"}, CreateOp{Path: "/o/b"}, CreateOp{Path: "/o/c"})
	v := tree.View()
	defer v.Release()
	a := v.For(&Caller{})
	for what, read := range map[string]func(string) error{
		"Get":           func(p string) error { _, err := a.Get(p); return err },
		"Exists":        func(p string) error { _, err := a.Exists(p); return err },
		"Children":      func(p string) error { _, _, err := a.Children(p); return err },
		"ChildrenAfter": func(p string) error { _, err := a.ChildrenAfter(p, ""); return err },
		"Count":         func(p string) error { _, err := a.Count(p); return err },
	} {
		for path, want := range map[string]error{"/p": ErrNoAuth, "/o": nil, "": nil, "/none": ErrNoNode} {
			if err := read(path); err != want {
				t.Errorf("%s of %q: %v", what, path, err)
			}
		}
	}
	names, err := a.ChildrenAfter("/o", "a")
	if err != nil || fmt.Sprint(slices.Collect(names)) != "[b c]" {
		t.Error(err)
	}
	if _, _, err := a.ACL("/p"); err != nil { // PermAdmin is enough
		t.Error(err)
	}
}

// A recursive delete takes what is only outstanding with it.
func TestDeleteOutstanding(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a/b", Parents: true}, CreateOp{Path: "/a/gone"})
	var txns [][]byte
	for _, x := range []struct {
		op   Op
		want error
	}{
		{CreateOp{Path: "/a/b/c"}, nil},
		{CreateOp{Path: "/a/x/y", Parents: true}, nil},
		{DeleteOp{Path: "/a/gone"}, nil},
		{CreateOp{Path: "/a/gone"}, nil},
		{CreateOp{Path: "/ab"}, nil}, // is not below /a
		{DeleteOp{Path: "/a", Recursive: true}, nil},
		{SetOp{Path: "/a/b/c"}, ErrNoNode},
		{SetOp{Path: "/a/x/y"}, ErrNoNode},
		{SetOp{Path: "/a/gone"}, ErrNoNode},
		{SetOp{Path: "/ab"}, nil},
		{CreateOp{Path: "/a/x/y", Parents: true}, nil},
		{DeleteOp{Path: "/a/x", Recursive: true}, nil},
		{DeleteOp{Path: "/a"}, nil},
	} {
		txn, err := tree.Prepare(tree.Zxid()+zab.Zxid(len(txns))+1, 1, []Op{x.op}, false, nil)
		if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Fatalf("%+v: %v", x.op, err)
		}
		if err == nil {
			txns = append(txns, txn)
		}
	}
	for _, txn := range txns {
		if _, err := tree.Apply(tree.Zxid()+1, 1, txn); err != nil {
			t.Fatal(err)
		}
	}
	if tree.Len() != 5 || len(tree.overlay) != 0 {
		t.Errorf("%d znodes, %d changes are left", tree.Len(), len(tree.overlay))
	}
	noLeftovers(t, tree)
}

// A torn transaction leaves what happens by itself as it was, and tells nobody.
func TestTornSpecial(t *testing.T) {
	tree := New(64)
	who := &Caller{Session: 1}
	if _, err := as(t, tree, who, 1, CreateOp{Path: "/e", Mode: Ephemeral}, CreateOp{Path: "/c", Mode: Container}, CreateOp{Path: "/zookeeper/quota/c/zookeeper_limits", Parents: true}); err != nil {
		t.Fatal(err)
	}
	var told []WatchEvent
	tree.Watch().New(nil, func(e WatchEvent) { told = append(told, e) }).Add("/", WatchRecursive)
	z := tree.Zxid() + 1
	txn, err := tree.Prepare(z, 1, []Op{
		CloseSessionOp{1}, DeleteOp{Path: "/c"}, DeleteOp{Path: "/zookeeper/quota/c", Recursive: true}, CreateOp{Path: "/d", TTL: time.Second}, CheckOp{Path: "/d"},
	}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Apply(z, 1, txn[:len(txn)-1]); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if s := fmt.Sprint(tree.special); s != "{map[1:map[/e:{}]] map[/c:{} /zookeeper/quota/c:{}] map[/c:{}]}" || told != nil {
		t.Error(s, told)
	}
	if _, err := tree.Apply(z, 1, txn); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(tree.special); s != "{map[] map[/d:{}] map[]}" || fmt.Sprint(told) !=
		"[{2 /e 0.2} {2 /c 0.2} {2 /zookeeper/quota/c/zookeeper_limits 0.2} {2 /zookeeper/quota/c 0.2} {1 /d 0.2}]" {
		t.Error(s, told)
	}
}

// String leaves out the order in which the reaper looks, which is each member's own.
func (s special) String() string {
	mortal := map[string]struct{}{}
	for path, i := range s.mortal {
		if mortal[path] = struct{}{}; s.mortals[i].path != path || len(s.mortals) != len(s.mortal) {
			return fmt.Sprintf("%s is not number %d of %v", path, i, s.mortals)
		}
	}
	return fmt.Sprint("{", s.owned, " ", mortal, " ", s.quotas, "}")
}
