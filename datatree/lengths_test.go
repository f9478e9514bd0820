package datatree

import (
	"errors"
	"testing"
)

// A length of 32 bits is more than an int of 32 bits holds. What is no request must be refused by the leader: its transaction would end every member.
func TestLengthsThatLie(t *testing.T) {
	for _, n := range []string{"\xff\xff\xff\xff", "\x80\x00\x00\x00", "\x7f\xff\xff\xff", "\x00\x01\x00\x00"} {
		b := []byte("\x92\xc3\xdd" + n)
		if ops, _, err := DecodeOps(b); err != ErrCorrupt {
			t.Errorf("DecodeOps(% x) = %v, %v", b, ops, err)
		}
		tree := New(testMax)
		txn, err := tree.PrepareRequest(1, 1, b, nil)
		if !errors.Is(err, ErrBadArguments) || len(txn) != 0 {
			t.Errorf("PrepareRequest(% x) = % x, %v", b, txn, err)
		}
		if _, err := tree.Apply(1, 1, b[2:]); err != ErrCorrupt {
			t.Errorf("Apply(% x) = %v", b[2:], err)
		}
	}
}
