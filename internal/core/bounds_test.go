package core

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// set runs directives and returns the stage that they leave.
func set(t testing.TB, directives ...string) *stage {
	var last *stage
	var list [][]string
	for _, d := range directives {
		list = append(list, strings.Fields(d))
	}
	last = newStage(t)
	last.Quiet = true
	for _, f := range list {
		last.do(f[0], f[1:])
	}
	return last
}

// busy is an established leader, 3, that cannot propose: it hands over to a member whose disk is slow.
func busy(t testing.TB) (*stage, *Machine[*datatree.View, Result]) {
	s := set(t, "members 1 2 3", "start all", "link all", "settle 8", "slow 1", "create 3 /a", "run", "transfer 3 1")
	m := s.actors[3].m
	if m.zab.Role() != zab.Leading || m.zab.CanPropose() {
		t.Fatal("it can propose")
	}
	return s, m
}

func calls(owner quorum.ID, n int, payload []byte) *Forward {
	f := &Forward{Owner: owner, Run: zab.Incarnation{byte(owner)}}
	for i := range n {
		f.Calls = append(f.Calls, Call{Name: Name{Session: 77, Sequence: uint64(i + 1)}, Low: 1, Payload: payload})
	}
	return f
}

// waits tells what waits at a leader: the calls of each member, and who wants a session.
func waits(m *Machine[*datatree.View, Result]) string {
	n := map[quorum.ID]int{}
	for i := range m.inbox.len() {
		n[m.inbox.at(i).from.id]++
	}
	s := fmt.Sprint(n)
	for _, o := range m.opens {
		s += fmt.Sprintf(" open %d:%d", o.owner, o.run[0])
	}
	for _, a := range m.syncs.at {
		s += fmt.Sprintf(" sync %d:%d", a.from, a.id)
	}
	for i := range m.peers {
		if p := &m.peers[i]; p.calls != n[p.id] || p.calls == 0 && p.bytes != 0 {
			s += fmt.Sprintf(" counted %d", p.calls)
		}
	}
	return s
}

func TestInboxForgetsFormerAttempts(t *testing.T) {
	for name, end := range map[string][]Input{ // any order: each by itself
		"lost":    {&Lost{Peer: 1}},
		"linked":  {&Linked{Peer: 1}},
		"follows": {&Receive{From: 1, Message: &zab.FollowerInfo{Session: 9, Counts: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := busy(t)
			step := func(in Input) { s.step(s.actors[3], in) }
			for range 3 {
				open := calls(1, 2, []byte("x"))
				open.Open = true
				step(&Receive{From: 1, Message: open})
				step(&Receive{From: 2, Message: calls(2, 1, []byte("y"))})
			}
			step(&Receive{From: 2, Message: &Forward{Owner: 2, Open: true, Run: zab.Incarnation{5}}})
			step(&Receive{From: 2, Message: &Forward{Owner: 2, Open: true, Run: zab.Incarnation{6}}})
			step(&Receive{From: 2, Message: &Forward{Owner: 1, Open: true, Run: zab.Incarnation{7}, Calls: calls(1, 5, nil).Calls}}) // not its own
			step(&Receive{From: 1, Message: &SyncAsk{ID: 5}})
			step(&Receive{From: 2, Message: &SyncAsk{ID: 6}})
			if got, want := waits(m), "map[1:6 2:3] open 1:1 open 2:6 sync 1:5 sync 2:6"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			for _, in := range end {
				step(in)
			}
			if got, want := waits(m), "map[2:3] open 2:6 sync 2:6"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestInboxIsBounded(t *testing.T) {
	s, m := busy(t)
	big := make([]byte, MostWaiting+1)
	s.step(s.actors[3], &Receive{From: 1, Message: calls(1, 4, big[:MostWaiting/2-1])})
	s.step(s.actors[3], &Receive{From: 2, Message: calls(2, 1, big)}) // one is always taken
	s.step(s.actors[3], &Receive{From: 2, Message: calls(2, 1, []byte("x"))})
	if got, want := waits(m), "map[1:2 2:1]"; got != want {
		t.Errorf("bytes: %s, want %s", got, want)
	}
	s.step(s.actors[3], &Lost{Peer: 1})
	s.step(s.actors[3], &Linked{Peer: 1})
	few := calls(1, 4, nil)
	m.peer(1).calls = session.MaxWindow - 6 // as if so many waited
	for range 3 {
		s.step(s.actors[3], &Receive{From: 1, Message: few})
	}
	if got, want := m.inbox.len(), 6+1; got != want {
		t.Errorf("%d calls wait, want %d", got, want)
	}
	m.peer(1).calls = 6
	// When it does not lead any more, nothing waits.
	s.step(s.actors[3], &Lost{Peer: 2})
	s.step(s.actors[3], &Receive{From: 1, Message: &SyncAsk{ID: 5}})
	s.do("tick", []string{"3", "20"})
	if got := waits(m); got != "map[]" || m.zab.Role() == zab.Leading {
		t.Errorf("%s waits for a member that is %v", got, m.zab.Role())
	}
}

// Asks whose round has not begun are one of each member.
func TestSyncsAreBounded(t *testing.T) {
	s := set(t, "limits counter=6", "members 1 2 3", "start all", "link all", "settle 8", "slow 1", "slow 2", "create 3 /a /b /c")
	m := s.actors[3].m
	if m.zab.Serving() {
		t.Fatal("no renewal")
	}
	for i := range uint64(100) {
		s.step(s.actors[3], &Receive{From: 1, Message: &SyncAsk{ID: i + 1}})
		s.step(s.actors[3], &Receive{From: 2, Message: &SyncAsk{ID: 2*i + 1}})
	}
	if got, want := waits(m), "map[] sync 1:100 sync 2:199"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Every request that is taken has its place in the window of its session, whatever was configured: that the window has room for MaxWindow is
// tested beside it.
func TestInFlightFitsTheWindow(t *testing.T) {
	for configured, want := range map[int]int{1 << 30: session.MaxWindow, session.MaxWindow: session.MaxWindow, 3: 3} { // any order: each by itself
		s := newStage(t)
		s.cfg.MaxInFlight = configured
		s.do("members", []string{"1", "2"})
		s.do("start", []string{"1"})
		m := s.actors[1].m
		var out Output[*datatree.View, Result]
		m.Step(&Request{Ticket: 1}, &out)
		for m.outbox.count < want-1 {
			m.outbox.push(&m.outbox.own, waiting{})
		}
		if m.Step(&Request{Ticket: 2}, &out); len(out.Replies) > 0 {
			t.Errorf("%d configured: request %d is refused: %v", configured, want, out.Replies[0].Err)
		}
		if m.Step(&Request{Ticket: 3}, &out); len(out.Replies) != 1 || !errors.Is(out.Replies[0].Err, ErrOverloaded) {
			t.Errorf("%d configured: request %d is answered %v", configured, want+1, out.Replies)
		}
	}
}

// A seed may be the same in every run. The name of a run is not, and so neither are the numbers of its attempts to follow.
func TestRunsNumberTheirOwnSessions(t *testing.T) {
	seen := map[zab.Session]int{}
	for run := range 200 {
		next := sessionNumbers(zab.Incarnation{byte(run + 1), 15: byte(run / 2)})
		for range 100 {
			n := next()
			if other, ok := seen[n]; ok || n == 0 {
				t.Fatalf("number %d of run %d is one of run %d too", n, run, other)
			}
			seen[n] = run
		}
	}
	sessions := func(run byte) (list []zab.Session) {
		s := newStage(t)
		s.runs, s.cfg.Seed = run, 7
		for _, d := range []string{"members 1 2", "disk 1 ensemble=9 counts born", "disk 2 ensemble=9 counts born", "start all", "link all"} {
			f := strings.Fields(d)
			s.do(f[0], f[1:])
		}
		for range 20 {
			for _, x := range s.lines[[2]quorum.ID{1, 2}] {
				if info, ok := x.Message.(*zab.FollowerInfo); ok {
					list = append(list, info.Session)
				}
			}
			s.round()
			s.do("tick", nil)
		}
		return list
	}
	a, b, again := sessions(1), sessions(50), sessions(1)
	if len(a) == 0 || fmt.Sprint(a) == fmt.Sprint(b) || fmt.Sprint(a) != fmt.Sprint(again) {
		t.Errorf("%v, %v and again %v", a, b, again)
	}
	m := New(Config{Self: 1, Members: []quorum.Member{{ID: 1}}}, Recovered{}, StateMachine[*datatree.View, Result](NewZnodes(1)))
	var out Output[*datatree.View, Result]
	if m.Step(&Request{Ticket: 3}, &out); out.Failed == nil || len(out.Replies) != 1 {
		t.Errorf("a run without a name: %v, %v", out.Failed, out.Replies)
	}
}

// What Step is given of members that it does not know, or without a link, changes nothing.
func TestStrangers(t *testing.T) {
	s := set(t, "members 1 2 3", "start all", "link 1 2", "run")
	a := s.actors[1]
	before := a.String()
	for _, in := range []Input{
		&Receive{From: 9, Message: &Birth{Born: true, Ensemble: zab.EnsembleID{1}}}, &Receive{From: 3, Message: &Birth{Born: true, Ensemble: zab.EnsembleID{1}}},
		&Linked{Peer: 9}, &Lost{Peer: 9}, &Lost{Peer: 3}, &Taken{}, &Taken{Snapshot: &zab.Snapshot{}}, &Recalled{ID: 7}, &Receive{From: 2, Message: &Forward{Owner: 2, Open: true}},
		&Receive{From: 2, Message: &SyncAsk{1}}, &Receive{From: 2, Message: &SyncAnswer{1, 5}}, &Receive{From: 2, Message: "no message"}, &Receive{From: 2},
	} {
		a.m.Step(in, &a.out)
		if n := len(a.out.Writes) + len(a.out.Sends) + len(a.out.Replies); n != 0 {
			t.Errorf("%T %+v: %+v", in, in, a.out)
		}
		a.out.Reset()
	}
	if after := a.String(); after != before || bytes.Contains([]byte(waits(a.m)), []byte("open")) {
		t.Errorf("%s, it was %s", after, before)
	}
}

// A machine that could not be made says so, and answers.
func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]Config{ // any order: each by itself
		"no members": {Self: 1, Run: zab.Incarnation{1}},
		"twice":      {Self: 1, Members: []quorum.Member{{ID: 1}, {ID: 1}}, Run: zab.Incarnation{1}},
	} {
		m := New(cfg, Recovered{}, StateMachine[*datatree.View, Result](NewZnodes(1)))
		var out Output[*datatree.View, Result]
		for _, in := range []Input{&Tick{}, &Request{Ticket: 1}, &SyncRequest{Ticket: 2}, &TransferRequest{Ticket: 3}} {
			m.Step(in, &out)
		}
		if out.Failed == nil || len(out.Replies) != 3 || m.Status().Role != zab.Stopped {
			t.Errorf("%s: %v, %v, %v", name, out.Failed, out.Replies, m.Status().Role)
		}
	}
}

// A confirmed position is believed from the leader only: anybody else may have led once.
func TestSyncAnswerOfAnother(t *testing.T) {
	s := set(t, "members 1 2 3", "start all", "link all", "settle 8", "sync 1")
	a := s.actors[1]
	s.step(a, &Receive{From: 2, Message: &SyncAnswer{ID: 1, Zxid: a.m.zab.Applied()}})
	if len(a.waiting) != 1 {
		t.Error("2 does not lead, and its answer is taken")
	}
	s.step(a, &Receive{From: 3, Message: &SyncAnswer{ID: 1, Zxid: a.m.zab.Applied()}})
	if len(a.waiting) != 0 {
		t.Error("3 leads, and its answer is not taken")
	}
}

// Queues that grew too large to be kept are kept by nobody.
func TestSpareQueues(t *testing.T) {
	var b outbox
	all := make([]*client, 10)
	for i := range all {
		all[i] = &client{session: uint64(i + 1)}
	}
	for _, n := range []int{1, 1000} {
		for _, c := range all {
			for range n {
				b.push(c, waiting{ticket: 1})
			}
		}
		for _, c := range all {
			for c.waits() > 0 {
				b.pop(c)
			}
		}
		calls := 0
		for _, q := range b.spare[:cap(b.spare)] {
			if q != nil {
				calls += cap(q.list)
			}
		}
		if calls > mostIdle*len(all) || n == 1 && len(b.spare) != len(all) {
			t.Errorf("%d queues are kept, with room for %d calls", len(b.spare), calls)
		}
	}
}

// What a request would come to, or says of whom it is, may be too much: that is a verdict, an entry of some bytes, and what follows is judged as if nothing had been.
func TestRequestsOfTooMuch(t *testing.T) {
	sm := NewZnodes(1 << 20)
	txn, ok := sm.PrepareOpen(1, 9, 1, zab.Incarnation{1}, 5000)
	if _, err := sm.Apply(1, txn); !ok || err != nil {
		t.Fatal(err)
	}
	ids := func(n, long int) (ids []datatree.Identity) {
		for i := range n {
			ids = append(ids, datatree.Identity{Scheme: "digest", ID: fmt.Sprintf("%d%s:%s", i, strings.Repeat("u", long), strings.Repeat("h", 27))})
		}
		return ids
	}
	creates := func(n int) (ops []datatree.Op) {
		for i := range n {
			ops = append(ops, datatree.CreateOp{Path: fmt.Sprintf("/%d", i), ACL: []datatree.ACL{{Perm: datatree.PermAll, Scheme: datatree.Auth}}})
		}
		return ops
	}
	largest := ids(1, MaxIdentityBytes-IdentityBytes(ids(1, 0)))
	before := sm.Digest()
	for i, c := range []struct {
		ids  []datatree.Identity
		ops  []datatree.Op
		code error
	}{
		{ids(MaxIdentities, 0), creates(800), datatree.ErrTooLarge},
		{ids(MaxIdentities, 0), creates(6200), datatree.ErrTooLarge},
		{ids(MaxIdentities+1, 0), creates(1), datatree.ErrBadArguments},
		{ids(1, MaxIdentityBytes), creates(1), datatree.ErrBadArguments},
		{append(largest, datatree.Identity{Scheme: "x"}), creates(1), datatree.ErrBadArguments},
		{largest, []datatree.Op{datatree.CreateOp{Path: "/largest"}}, nil},
		{ids(MaxIdentities, 0), creates(1), nil},
	} {
		payload, err := datatree.AppendOps(AppendAs(nil, c.ids), c.ops, true, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		z := zab.Zxid(2 + i)
		txn, ok := sm.Prepare(z, 9, Call{Name: Name{1, 0, uint64(1 + i)}, Low: 1, Payload: payload})
		h, ok2 := ReadHeader(txn)
		if !ok || !ok2 || h.Code != uint8(datatree.CodeOf(c.code)) || c.code != nil && len(txn) > 64 {
			t.Fatalf("%d: %d bytes, %+v, want %v", i, len(txn), h, c.code)
		}
		if c.code == datatree.ErrTooLarge && h.Index < 1 {
			t.Errorf("%d: refused at %d", i, h.Index)
		}
		if _, err := sm.Apply(z, txn); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if c.code != nil && sm.Tree().Len() != 4 {
			t.Errorf("%d: it changes something", i)
		}
	}
	if sm.Digest() == before || sm.Tree().Len() != 6 {
		t.Errorf("%d znodes", sm.Tree().Len())
	}
}
