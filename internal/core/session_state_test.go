package core

import (
	"errors"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// story is every kind of transaction that concerns sessions, in an order in which they may come, with what each says of itself.
func story(t *testing.T) (sm *Znodes, txns [][]byte, headers []Header, calls []Call) {
	sm = NewZnodes(1 << 10)
	sm.SetSecret(session.Key{7})
	run := zab.Incarnation{1}
	z := func() zab.Zxid { return zab.Zxid(len(txns) + 1) }
	add := func(txn []byte, ok bool, h Header) Outcome[Result] {
		t.Helper()
		o, err := sm.Apply(z(), txn)
		if !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		txns, headers = append(txns, txn), append(headers, h)
		return o
	}
	call := func(s uint64, g uint32, seq uint64, payload []byte, h Header) Outcome[Result] {
		t.Helper()
		c := Call{Name: Name{s, g, seq}, Low: 1, Payload: payload}
		txn, ok := sm.Prepare(z(), 9, c)
		h.Name, h.Low, h.Time = c.Name, 1, 9
		if h.Code == 0 {
			h.Index = -1
		}
		calls = append(calls, c)
		return add(txn, ok, h)
	}
	txn, ok := sm.PrepareOpen(z(), 9, 1, run, 5000)
	add(txn, ok, Header{Opens: true, Owner: 1, Run: run, Timeout: 5000, Time: 9, Index: -1})
	call(1, 0, 1, AppendCreate(nil, 700), Header{Creates: true, Timeout: 700})
	call(2, 0, 1, ephemeralAs(t, "/e"), Header{})
	call(1, 0, 2, AppendResume(nil, 2, sm.Password(2)), Header{Moves: 2})
	call(1, 0, 3, AppendResume(nil, 2, make([]byte, session.PasswordBytes)), Header{Code: codeExpired, Index: -1})
	call(2, 1, 1, ephemeralAs(t, "/f"), Header{})
	call(1, 0, 4, AppendCreate(nil, 800), Header{Creates: true, Timeout: 800})
	call(7, 0, 1, AppendClose(nil), Header{Ends: 7})
	sm.Lead(sessionTick)
	for range 100 {
		sm.Elapse()
	}
	txn, ok = sm.PrepareEnd(z(), 9)
	add(txn, ok, Header{Ends: 2, Time: 9, Index: -1})
	txn, ok = sm.PrepareOpen(z(), 9, 1, zab.Incarnation{2}, 6000)
	add(txn, ok, Header{Opens: true, Owner: 1, Run: zab.Incarnation{2}, Timeout: 6000, Time: 9, Ends: 1, Index: -1})
	return sm, txns, headers, calls
}

func TestSessionTransactions(t *testing.T) {
	sm, txns, headers, _ := story(t)
	for i, txn := range txns {
		if h, ok := ReadHeader(txn); !ok || h != headers[i] {
			t.Errorf("transaction %d says %+v, %v, want %+v", i+1, h, ok, headers[i])
		}
	}
	// All members come to the same, and a transaction that was cut short is applied by none.
	twin := NewZnodes(1 << 10)
	for i, txn := range txns {
		for n := range txn {
			if n < len(txn)-1 && n > 24 {
				continue // of the tree
			}
			cut := NewZnodes(1 << 10)
			for j := range i {
				if _, err := cut.Apply(zab.Zxid(j+1), txns[j]); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := cut.Apply(zab.Zxid(i+1), txn[:n]); err == nil {
				t.Errorf("transaction %d is applied without its end, from %d of %d on", i+1, n, len(txn))
			}
		}
		if _, err := twin.Apply(zab.Zxid(i+1), txn); err != nil {
			t.Fatal(err)
		}
	}
	if twin.Digest() != sm.Digest() || twin.Sessions() != 1 {
		t.Errorf("%d sessions", twin.Sessions())
	}
	if names, _ := twin.Tree().View().ChildNames("/"); len(names) != 1 {
		t.Errorf("%v are left", names)
	}
}

// What a request about a session has led to is known to whoever has the state only, as far as it is so still.
func TestDecidedSessions(t *testing.T) {
	_, txns, _, calls := story(t)
	sm := NewZnodes(1 << 10)
	want := map[int]func(Outcome[Result]) bool{
		0: func(o Outcome[Result]) bool { // opened, and moved to the same member since
			return o.Attached && o.Session == 2 && o.Generation == 1 && o.Timeout == 700
		},
		2: func(o Outcome[Result]) bool { return o.Attached && o.Session == 2 && o.Generation == 1 },
		3: func(o Outcome[Result]) bool { return errors.Is(o.Err, ErrExpired) && !o.Attached },
		4: func(o Outcome[Result]) bool { return o.Err == nil && o.Result.First.Path == "/f" },
		5: func(o Outcome[Result]) bool { return errors.Is(o.Err, ErrExpired) }, // opened, and closed since
	}
	for i, txn := range txns[:8] {
		if _, err := sm.Apply(zab.Zxid(i+1), txn); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range calls {
		o, ok := sm.Decided(c)
		if want[i] == nil {
			if ok {
				t.Errorf("call %d: %+v", i, o)
			}
		} else if !ok || !want[i](o) {
			t.Errorf("call %d: %+v, %v", i, o, ok)
		}
	}
}

// A leader whose disk is slow is asked about a session that others have opened, and it has not: it waits.
func TestLeaderWaitsForASession(t *testing.T) {
	sm := NewZnodes(1 << 10)
	sm.SetSecret(session.Key{7})
	txn, _ := sm.PrepareOpen(1, 9, 1, zab.Incarnation{1}, 5000)
	own := Call{Name: Name{1, 0, 1}, Low: 1, Payload: AppendCreate(nil, 700)}
	if !sm.Waits(own) {
		t.Error("a call of a session that is about to be opened is judged")
	}
	if _, err := sm.Apply(1, txn); err != nil || sm.Waits(own) {
		t.Errorf("it waits for nothing: %v", err)
	}
	txn, _ = sm.Prepare(2, 9, own)
	resume := Call{Name: Name{1, 0, 2}, Low: 1, Payload: AppendResume(nil, 2, sm.Password(2))}
	client := Call{Name: Name{2, 0, 1}, Low: 1, Payload: ephemeralAs(t, "/e")}
	other := Call{Name: Name{1, 0, 2}, Low: 1, Payload: AppendResume(nil, 3, nil)}
	if !sm.Waits(resume) || !sm.Waits(client) || sm.Waits(other) {
		t.Error("it judges what it cannot, or waits for nothing")
	}
	if _, err := sm.Apply(2, txn); err != nil || sm.Waits(resume) || sm.Waits(client) {
		t.Errorf("it waits for nothing: %v", err)
	}
	if txn, ok := sm.Prepare(3, 9, resume); !ok || txn[0] != txnMove {
		t.Error("it is not moved")
	}
	if _, ok := sm.Prepare(4, 9, client); ok {
		t.Error("a call of a generation that is about to end is judged")
	}
	if _, ok := sm.Prepare(4, 9, Call{Name: Name{2, 1, 1}, Low: 1, Payload: ephemeralAs(t, "/e")}); !ok {
		t.Error("a call of the generation that is about to begin is not judged")
	}
	if errors.Is(refusal(session.Entry{Code: codeExpired}), datatree.ErrNoNode) {
		t.Error("codes are mixed up")
	}
}

// Whoever resumes a session is a sign of life, from when that is proposed on; and from then on nothing is confirmed to who had it before.
func TestSilenceEndsNoSessionThatMoves(t *testing.T) {
	apply := func(sm *Znodes, z zab.Zxid, txn []byte, ok bool) {
		t.Helper()
		if _, err := sm.Apply(z, txn); !ok || err != nil {
			t.Fatalf("%v: %v, %v", z, ok, err)
		}
	}
	const early, late, never = "its time is over before, and its end could not be proposed", "its time is over while the move is outstanding", "neither"
	for _, when := range []string{early, late, never} {
		sm := NewZnodes(1 << 10)
		sm.SetSecret(session.Key{7})
		txn, ok := sm.PrepareOpen(1, 9, 1, zab.Incarnation{1}, 0)
		apply(sm, 1, txn, ok)
		txn, ok = sm.Prepare(2, 9, Call{Name: Name{1, 0, 1}, Low: 1, Payload: AppendCreate(nil, 700)})
		apply(sm, 2, txn, ok)
		sm.Lead(sessionTick)
		silence := func() {
			for range session.Ticks(700*time.Millisecond, sessionTick) {
				sm.Elapse()
			}
		}
		if when == early {
			silence()
		}
		txn, ok = sm.Prepare(3, 9, Call{Name: Name{1, 0, 2}, Low: 1, Payload: AppendResume(nil, 2, sm.Password(2))})
		if sm.Touch(2, 0) {
			t.Errorf("%s: the former generation is confirmed while the next one is proposed", when)
		}
		if when == late {
			silence()
			if _, ends := sm.PrepareEnd(4, 9); ends {
				t.Errorf("%s: the session is ended", when)
			}
		}
		apply(sm, 3, txn, ok)
		if _, ends := sm.PrepareEnd(4, 9); ends || !sm.Touch(2, 1) {
			t.Errorf("%s: it has no time of its own", when)
		}
		silence()
		if txn, ends := sm.PrepareEnd(4, 9); !ends || txn[0] != txnEnd {
			t.Errorf("%s: later silence does not end it", when)
		}
	}
}
