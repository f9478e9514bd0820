package core

import (
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// clientAlone is a leader with a session of its own and that of a client, 2, with a timeout of 700 ms.
func clientAlone(t *testing.T) (*Znodes, func(zab.Zxid, []byte, bool)) {
	sm := NewZnodes(1 << 10)
	sm.SetSecret(session.Key{7})
	apply := func(z zab.Zxid, txn []byte, ok bool) {
		t.Helper()
		if !ok {
			t.Fatal("not prepared")
		}
		if _, err := sm.Apply(z, txn); err != nil {
			t.Fatal(err)
		}
	}
	txn, ok := sm.PrepareOpen(1, 9, 1, zab.Incarnation{1}, 0)
	apply(1, txn, ok)
	txn, ok = sm.Prepare(2, 9, Call{Name: Name{1, 0, 1}, Low: 1, Payload: AppendCreate(nil, 700)})
	apply(2, txn, ok)
	sm.Lead(50 * time.Millisecond)
	return sm, apply
}

// A session is resumed just before its time is over: the move is proposed, and not applied yet.
func TestMoveThenEnd(t *testing.T) {
	sm, apply := clientAlone(t)
	resume := Call{Name: Name{1, 0, 2}, Low: 1, Payload: AppendResume(nil, 2, sm.Password(2))}
	for range session.Ticks(700*time.Millisecond, 50*time.Millisecond) - 1 {
		sm.Elapse()
	}
	if _, ok := sm.PrepareEnd(3, 9); ok {
		t.Fatal("too early")
	}
	move, ok := sm.Prepare(3, 9, resume)
	sm.Elapse()
	end, over := sm.PrepareEnd(4, 9)
	apply(3, move, ok)
	if over {
		t.Error("a session that is being resumed is ended for its silence before")
		apply(4, end, over)
	}
}

// Its time was over, but it waited for others that end; then it is resumed, and that is applied.
func TestEndAfterMove(t *testing.T) {
	sm, apply := clientAlone(t)
	resume := Call{Name: Name{1, 0, 2}, Low: 1, Payload: AppendResume(nil, 2, sm.Password(2))}
	for range session.Ticks(700*time.Millisecond, 50*time.Millisecond) {
		sm.Elapse() // PrepareEnd cannot be called now: no CanPropose, or mostEnds are outstanding
	}
	move, ok := sm.Prepare(3, 9, resume)
	apply(3, move, ok)
	if !sm.Touch(2, 1) {
		t.Error("not tracked")
	}
	if _, over := sm.PrepareEnd(4, 9); over {
		t.Error("a session that was resumed, and heard of, is ended at once")
	}
}
