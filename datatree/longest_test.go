package datatree

import (
	"errors"
	"strings"
	"testing"
)

// What Prepare lets pass can be applied, read, written and put into a snapshot, up to the longest path there can be.
func TestLongestPath(t *testing.T) {
	tree := New(1 << 10)
	z := tree.Zxid()
	do := func(op Op) (Result, error) {
		z++
		txn, err := tree.Prepare(z, 1, []Op{op}, false, nil)
		if err != nil {
			return Result{}, err
		}
		r, err := tree.Apply(z, 1, txn)
		if err != nil {
			t.Fatalf("a transaction that was prepared cannot be applied: %v", err)
		}
		return r[0], nil
	}
	stem := "/" + strings.Repeat("x", MaxPath-sequenceDigits-1)
	for cut := range 2 * sequenceDigits {
		op := CreateOp{Path: stem[:len(stem)-cut], Mode: Sequential}
		r, err := do(op)
		if err != nil || len(r.Path) != MaxPath-cut {
			t.Fatalf("%d bytes: %v", len(op.Path), err)
		}
		if _, ok := tree.Get(r.Path); !ok {
			t.Errorf("%d bytes: cannot be read", len(r.Path))
		}
		if _, err := do(SetOp{Path: r.Path}); err != nil {
			t.Errorf("%d bytes: cannot be written: %v", len(r.Path), err)
		}
	}
	for _, op := range []Op{CreateOp{Path: stem + "x", Mode: Sequential}, CreateOp{Path: stem + strings.Repeat("y", sequenceDigits+1)}} {
		if _, err := do(op); !errors.Is(err, ErrBadArguments) {
			t.Errorf("a path that is too long: %v", err)
		}
	}
	if _, err := do(CreateOp{Path: stem + strings.Repeat("y", sequenceDigits)}); err != nil {
		t.Error(err)
	}
	view := tree.View()
	defer view.Release()
	chunks, loader := view.Chunks(1<<16), NewLoader(1<<10)
	for last := false; !last; {
		var c []byte
		if c, last = chunks.Next(); loader.Add(c) != nil {
			t.Fatal("the snapshot cannot be read")
		}
	}
	again, err := loader.Finish()
	if err != nil || again.Digest() != tree.Digest() {
		t.Errorf("the snapshot is another state: %v", err)
	}
}
