package core

import (
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// What a window keeps of a request is small, however long the paths in it are: whoever asked knows them.
func TestWindowEntriesAreSmall(t *testing.T) {
	s, n := started(t)
	long := "/" + strings.Repeat("x", datatree.MaxPath-20)
	for i, payload := range [][]byte{
		request(t, false, datatree.CreateOp{Path: long}),
		request(t, false, datatree.CreateOp{Path: long, Mode: datatree.Sequential}),
		request(t, true, datatree.CheckOp{Path: long}, datatree.SetOp{Path: long}, datatree.CreateOp{Path: long, Mode: datatree.Sequential}),
	} {
		n.Sequence = uint64(i + 1)
		z, c := zab.Zxid(i+2), Call{Name: n, Low: 1, Payload: payload}
		before := len(s.sessions.Append(nil))
		txn, ok := s.Prepare(z, 1, c)
		if !ok {
			t.Fatal(n)
		}
		o, err := s.Apply(z, txn)
		if err != nil || o.Err != nil {
			t.Fatal(i, err, o.Err)
		}
		if size := len(s.sessions.Append(nil)) - before; size > 10 {
			t.Errorf("the answer to request %d takes %d bytes", i+1, size)
		}
		if again, ok := s.Decided(c); !ok || again.Result.First.Path != o.Result.First.Path || len(again.Result.Rest) != len(o.Result.Rest) {
			t.Errorf("request %d: the answer is another one", i+1)
		}
	}
}

func TestNumberOf(t *testing.T) {
	for path, want := range map[string]int32{ // any order: each by itself
		"/a0000000000": 0, "/0000000041": 41, "/a2147483647": 1<<31 - 1, "/a2147483648": -1, "/a9999999999": -1, "/a-000000001": -1,
		"/a000000001": -1, "0000000001": -1, "": -1, "/a00000000010": 10, "/a 000000001": -1,
	} {
		if got := numberOf(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}
