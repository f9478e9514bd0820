package byid_test

import (
	"fmt"

	"github.com/ensemble-go/ensemble/internal/byid"
)

type session struct {
	id    uint64
	owner string
}

func (s *session) Key() uint64 { return s.id }

func Example() {
	var m byid.Map[*session]
	m.Put(&session{id: 7, owner: "a"})
	m.Put(&session{id: 3, owner: "b"})
	m.Put(&session{id: 7, owner: "c"}) // instead of the first
	fmt.Println(m.Len(), m.Get(7).owner, m.Get(8) == nil)
	for _, s := range m.Sorted() {
		fmt.Println(s.id, s.owner)
	}
	fmt.Println(m.Delete(7), m.Delete(7))
	// Output:
	// 2 c true
	// 3 b
	// 7 c
	// true false
}
