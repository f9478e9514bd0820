package session_test

import (
	"fmt"

	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

func Example() {
	var t session.Table
	// Transaction 1.1 opens a session for member 3. Its first request is judged by the leader, which proposes it as 1.2.
	id := uint64(zab.MakeZxid(1, 1))
	t.Open(id, 3, zab.Incarnation{7}, 5000)
	first := session.Name{Session: id, Sequence: 1}
	fmt.Println("judge it:", t.Fresh(first, 1))
	t.Claim(first, 1)
	// The answer is lost on its way, and the member asks again, before and after 1.2 is applied.
	fmt.Println("judge it:", t.Fresh(first, 1))
	t.Decide(first, 1, session.Entry{Zxid: zab.MakeZxid(1, 2), Index: -1, Number: 41})
	fmt.Println("judge it:", t.Fresh(first, 1))
	e, ok := t.Lookup(first)
	fmt.Println(e.Zxid, e.Number, ok)
	// Output:
	// judge it: true
	// judge it: false
	// judge it: false
	// 1.2 41 true
}
