package core

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// A state is the same however it is cut, and what is cut off at the end is none.
func TestLoader(t *testing.T) {
	sm := NewZnodes(1 << 20)
	apply := func(z zab.Zxid, txn []byte, ok bool) {
		t.Helper()
		if !ok {
			t.Fatal("not prepared")
		}
		if _, err := sm.Apply(z, txn); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		z := zab.MakeZxid(1, uint32(i+1))
		txn, ok := sm.PrepareOpen(z, 5, quorum.ID(i+1), zab.Incarnation{byte(i + 1)}, 0)
		apply(z, txn, ok)
	}
	for i := range 20 {
		payload, err := datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: fmt.Sprint("/", i), Data: make([]byte, 50*i)}}, false, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		z := zab.MakeZxid(1, uint32(i+6))
		txn, ok := sm.Prepare(z, 9, Call{Name: Name{uint64(zab.MakeZxid(1, 1)), 0, uint64(i + 1)}, Low: 1, Payload: payload})
		apply(z, txn, ok)
	}
	for _, size := range []int{1, 2, 7, 100, 1 << 20} {
		l := NewLoader(1 << 20)
		r := sm.Snapshot(size)
		for last := false; !last; {
			var c []byte
			var err error
			if c, last, err = r.Next(); err == nil {
				err = l.Add(c)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
		got, err := l.Finish()
		if err != nil || got.Digest() != sm.Digest() || got.Sessions() != 5 || got.Tree().Zxid() != sm.Tree().Zxid() {
			t.Fatalf("chunks of %d: %v", size, err)
		}
	}
	cut := NewLoader(1 << 20) // as many chunks as it may have without being whole
	r := sm.Snapshot(7)
	for {
		c, last, _ := r.Next()
		if last {
			break
		}
		if err := cut.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	if _, err := cut.Finish(); err == nil {
		t.Fatal("what was cut off is no loss")
	}
	if _, err := NewLoader(1 << 20).Finish(); err == nil {
		t.Fatal("nothing is a state")
	}
	for _, b := range [][]byte{{2, 0, 0}, bytes.Repeat([]byte{0x80}, 30), {1, 0, 0, 1}, {1, 0, 1, 9}} {
		l := NewLoader(1 << 20)
		if err := l.Add(b); err == nil {
			t.Fatalf("%x is taken", b)
		}
		if err := l.Add([]byte{1}); err == nil {
			t.Fatal("it goes on after an error")
		}
		if _, err := l.Finish(); err == nil {
			t.Fatal("it ends well after an error")
		}
	}
}
