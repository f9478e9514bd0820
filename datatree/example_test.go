package datatree_test

import (
	"errors"
	"fmt"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

func Example() {
	leader, follower := datatree.New(1<<20), datatree.New(1<<20)
	write := func(z zab.Zxid, ops ...datatree.Op) ([]datatree.Result, error) {
		txn, err := leader.Prepare(z, 1000, ops, len(ops) > 1, nil)
		if err != nil {
			return nil, err
		}
		if _, err := follower.Apply(z, 1000, txn); err != nil {
			return nil, err
		}
		return leader.Apply(z, 1000, txn)
	}

	r, _ := write(zab.MakeZxid(1, 1), datatree.CreateOp{Path: "/jobs"}, datatree.CreateOp{Path: "/jobs/j-", Data: []byte("x"), Mode: datatree.Sequential})
	fmt.Println(r[1].Path)
	before := leader.View()
	_, err := write(zab.MakeZxid(1, 2), datatree.SetOp{Path: "/jobs", Data: []byte("y"), Version: datatree.VersionOf(7)})
	fmt.Println(err, errors.Is(err, datatree.ErrBadVersion))
	_, _ = write(zab.MakeZxid(1, 3), datatree.DeleteOp{Path: r[1].Path})
	for z := range before.Walk("/jobs") {
		fmt.Printf("%s %q\n", z.Path, z.Data)
	}
	fmt.Println(leader.Len(), before.Len(), leader.Digest() == follower.Digest())
	// Output:
	// /jobs/j-0000000000
	// set "/jobs": version does not match true
	// /jobs ""
	// /jobs/j-0000000000 "x"
	// 5 6 true
}
