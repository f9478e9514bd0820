package datatree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// many is a caller with as many identities as there may be.
func many() *Caller {
	who := &Caller{Session: 7}
	for i := range 256 {
		who.Identities = append(who.Identities, Identity{"digest", DigestID(fmt.Sprintf("user%d:p", i))})
	}
	return who
}

// refused prepares ops in both ways, and wants it refused with nothing changed and nothing outstanding.
func refused(t *testing.T, tree *Tree, who *Caller, at int, ops []Op) {
	t.Helper()
	request, err := AppendOps(nil, ops, true, tree.maxData)
	if err != nil {
		t.Fatal(err)
	}
	z, before := max(tree.Zxid(), tree.last)+1, tree.changes.end()
	dst := []byte("before")
	for _, prepare := range []func() ([]byte, error){
		func() ([]byte, error) { return tree.PrepareFor(who, z, 1, ops, true, dst) },
		func() ([]byte, error) { return tree.PrepareRequestFor(who, z, 1, request, dst) },
	} {
		txn, err := prepare()
		e, ok := errors.AsType[*OpError](err)
		if !ok || !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%v", err)
		}
		if at >= 0 && e.Index != at {
			t.Errorf("refused at %d, want %d", e.Index, at)
		}
		if !bytes.Equal(txn, dst) || tree.changes.end() != before || tree.last >= z {
			t.Errorf("something is left: %d bytes, %d changes", len(txn), tree.changes.end()-before)
		}
	}
}

// An ACL that says "auth" is some bytes in a request, and in the transaction all that the caller is.
func TestTransactionBytesAreBounded(t *testing.T) {
	tree, who := New(1<<20), many()
	multi := func(n int) (ops []Op) {
		for i := range n {
			ops = append(ops, CreateOp{Path: fmt.Sprintf("/n%d", i), ACL: []ACL{{PermAll, Auth, ""}}})
		}
		return ops
	}
	one, err := tree.PrepareFor(who, 1, 1, multi(1), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	tree.Abandon()
	fit := MaxTxn / len(one)
	refused(t, tree, who, -1, multi(800))
	refused(t, tree, who, fit, multi(fit+1))
	for i, ops := range [][]Op{multi(fit), {CreateOp{Path: "/s"}}} {
		z := tree.Zxid() + 1
		txn, err := tree.PrepareFor(who, z, 1, ops, true, nil)
		if err != nil || len(txn) > MaxTxn {
			t.Fatalf("%d: %d bytes, %v", i, len(txn), err)
		}
		if _, err := tree.Apply(z, 1, txn); err != nil {
			t.Fatal(err)
		}
	}
	var lists []Op
	for range 800 {
		lists = append(lists, SetACLOp{Path: "/s", ACL: []ACL{{PermAll, Auth, ""}}})
	}
	refused(t, tree, who, -1, lists)

	// Parents are not in the transaction, but in the tree, each with its path.
	long := "/" + strings.Repeat("x", MaxPath/2)
	deep := func(n int) (ops []Op) {
		for i := range n {
			ops = append(ops, CreateOp{Path: fmt.Sprintf("%s%d%s", long, i, strings.Repeat("/p", MaxParents-1)), Parents: true})
		}
		return ops
	}
	refused(t, tree, nil, 1, deep(2))
	if _, err := as(t, tree, nil, 1, deep(1)...); err != nil {
		t.Fatal(err)
	}
}

// What one transaction does is bounded, however few bytes say it.
func TestChangesAreBounded(t *testing.T) {
	tree := New(64)
	const depth = 30
	deep := func(n int) (ops []Op) {
		for i := range n {
			ops = append(ops, CreateOp{Path: fmt.Sprintf("/a%d%s", i, strings.Repeat("/p", depth)), Parents: true})
		}
		return ops
	}
	const each = depth + 2 // with the parent that was there
	fit := MaxChanges / each
	refused(t, tree, nil, fit, deep(fit+1))
	if _, err := as(t, tree, nil, 1, deep(fit)...); err != nil {
		t.Fatal(err)
	}
	var all []Op
	for i := range fit {
		all = append(all, DeleteOp{Path: fmt.Sprintf("/a%d", i), Recursive: true})
	}
	more := append(slices.Clone(all), DeleteOp{Path: "/b", Recursive: true})
	must(t, tree, CreateOp{Path: "/b"})
	for i := range each {
		must(t, tree, CreateOp{Path: fmt.Sprintf("/b/%d", i)})
	}
	refused(t, tree, nil, fit, more)
	if _, err := as(t, tree, nil, 1, all...); err != nil {
		t.Fatal(err)
	}
	if _, ok := tree.Get("/a1"); ok {
		t.Error("it is still there")
	}
}

// A session has at most so many ephemerals however fast it makes them, and so its end is never more than a transaction may be, and never refused.
func TestEphemeralsThatAreOutstandingCount(t *testing.T) {
	tree := New(64)
	who := &Caller{Session: 9}
	z := tree.Zxid()
	create := func(n int) error {
		var ops []Op
		for range n {
			ops = append(ops, CreateOp{Path: "/e", Mode: Ephemeral | Sequential})
		}
		z++
		_, err := tree.PrepareFor(who, z, 1, ops, true, nil)
		return err
	}
	if err := create(MaxEphemerals + 1); !errors.Is(err, ErrQuotaExceeded) {
		t.Fatalf("in one: %v", err)
	}
	for i, n := range []int{MaxEphemerals - 1, 2, 1, 1} {
		want := []error{nil, ErrQuotaExceeded, nil, ErrQuotaExceeded}[i]
		if err := create(n); !errors.Is(err, want) {
			t.Fatalf("%d: %v, want %v", i, err, want)
		}
	}
	z++
	txn, err := tree.Prepare(z, 1, []Op{CloseSessionOp{Session: who.Session}}, false, nil)
	if err != nil || len(txn) > 16 {
		t.Fatalf("%d bytes, %v", len(txn), err)
	}
	tree.Abandon()
	who.Session = 10 // of what is abandoned nothing is counted
	for range 2 {
		if err := create(MaxEphemerals); err != nil {
			t.Fatal(err)
		}
		tree.Abandon()
	}
	z = tree.Zxid()
	var paths []string
	for i := range 3 { // nor twice of what is applied
		z++
		ops := []Op{CreateOp{Path: fmt.Sprintf("/x%d", i), Mode: Ephemeral}, SetOp{Path: fmt.Sprintf("/x%d", i)}}
		txn, err := tree.PrepareFor(who, z, 1, ops, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Apply(z, 1, txn); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, fmt.Sprintf("/x%d", i))
	}
	if n := tree.begun[who.Session]; n != 0 || len(tree.begun) != 0 || !slices.Equal(tree.Ephemerals(who.Session), paths) {
		t.Errorf("%d are outstanding, of %d sessions", n, len(tree.begun))
	}
	if err := create(MaxEphemerals - len(paths)); err != nil {
		t.Error(err)
	}
	if err := create(1); !errors.Is(err, ErrQuotaExceeded) {
		t.Error(err)
	}
}
