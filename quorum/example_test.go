package quorum_test

import (
	"fmt"

	"github.com/ensemble-go/ensemble/quorum"
)

func ExampleNew() {
	// Two data centres with three voters each, a third with a tie-breaker, and an observer.
	v, err := quorum.New([]quorum.Member{
		{ID: 1, Group: 1, Weight: 1}, {ID: 2, Group: 1, Weight: 1}, {ID: 3, Group: 1, Weight: 1},
		{ID: 4, Group: 2, Weight: 1}, {ID: 5, Group: 2, Weight: 1}, {ID: 6, Group: 2, Weight: 1},
		{ID: 7, Group: 3, Weight: 1},
		{ID: 8, Observer: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Two of the first centre and the tie-breaker are a quorum; one whole centre and one of another are not.
	fmt.Println(v.Contains(func(id quorum.ID) bool { return id == 1 || id == 2 || id == 7 }))
	fmt.Println(v.Contains(func(id quorum.ID) bool { return id <= 4 }))

	// The leader commits up to the position that a quorum has acknowledged.
	acked := map[quorum.ID]uint64{1: 12, 2: 10, 4: 12, 5: 11, 7: 9, 8: 12}
	fmt.Println(v.Position(func(id quorum.ID) uint64 { return acked[id] }))
	// Output:
	// true
	// false
	// 10
}

func ExampleDescribe() {
	// The passage from members 1, 2, 3 to members 3, 4, 5.
	from, _ := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}})
	to, _ := quorum.New([]quorum.Member{{ID: 3}, {ID: 4}, {ID: 5}})
	acked := map[quorum.ID]uint64{1: 7, 2: 7, 3: 5, 4: 4}
	fmt.Print(quorum.Describe(quorum.Joint(from, to), func(id quorum.ID) uint64 { return acked[id] }))
	// Output:
	// both -> 4
	//   2 of 3 voters -> 7
	//     * x>  7  id 1
	//     * x>  7  id 2
	//       >   5  id 3
	//   2 of 3 voters -> 4
	//     * xx> 5  id 3
	//     * x>  4  id 4
	//       ?   0  id 5
}
