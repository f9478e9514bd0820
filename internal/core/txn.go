package core

import (
	"math"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Header is what a transaction of Znodes says of itself, whatever it does to the tree: for tools and checks that read a log.
type Header struct {
	Opens   bool // a session, for Owner's Run
	Owner   quorum.ID
	Run     zab.Incarnation
	Timeout uint32 // of what it opens, or creates, in milliseconds; 0: it does not expire
	Ends    uint64 // the session that it ends; 0: none
	Creates bool   // a client's session, on the call of the member that serves it
	Moves   uint64 // the session that it lets the member serve that called; 0: none

	Name  Name // of the call that it decides
	Low   uint64
	Code  uint8 // of the verdict; 0: done
	Index int   // of the operation refused; -1: none, or it was the only one

	Time int64 // milliseconds since 1970
}

// ReadHeader reads the header of a transaction.
func ReadHeader(txn []byte) (t Header, ok bool) {
	if len(txn) == 0 {
		return t, false
	}
	t.Index = -1
	h := header{b: txn[1:]}
	switch txn[0] {
	case txnOpen:
		t.Opens, t.Owner = true, quorum.ID(h.uint(math.MaxUint64))
		h.b = h.b[copy(t.Run[:], h.b):]
		t.Time = int64(h.uint(math.MaxInt64))
		return t, !h.bad && len(h.b) == 0
	case txnBegin:
		t.Opens, t.Owner = true, quorum.ID(h.uint(math.MaxUint64))
		h.b = h.b[copy(t.Run[:], h.b):]
		t.Time, t.Timeout, t.Ends = int64(h.uint(math.MaxInt64)), uint32(h.uint(math.MaxUint32)), h.uint(math.MaxUint64)
		h.key()
		return t, !h.bad
	case txnEnd:
		t.Ends, t.Time = h.uint(math.MaxUint64), int64(h.uint(math.MaxInt64))
		return t, !h.bad
	case txnCall, txnCreate, txnMove, txnClose:
		t.Name = Name{h.uint(math.MaxUint64), uint32(h.uint(math.MaxUint32)), h.uint(math.MaxUint64)}
		t.Low, t.Time, t.Code = h.uint(math.MaxUint64), int64(h.uint(math.MaxInt64)), uint8(h.uint(math.MaxUint8))
		if t.Code != 0 {
			t.Index = int(h.uint(math.MaxInt32)) - 1
		}
		switch txn[0] {
		case txnCreate:
			t.Creates, t.Timeout = true, uint32(h.uint(math.MaxUint32))
		case txnMove:
			t.Moves = h.uint(math.MaxUint64)
		case txnClose:
			t.Ends = t.Name.Session
		}
		return t, !h.bad
	}
	return t, false
}
