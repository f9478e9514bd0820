package ensemble_test

import (
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// solo is a machine of an ensemble of one, stepped by hand: its clocks are the test's.
type solo struct {
	t       *testing.T
	sm      *core.Znodes
	m       *core.Machine[*datatree.View, core.Result]
	out     core.Output[*datatree.View, core.Result]
	wall    int64
	now     time.Duration
	news    []core.SessionNews
	replies []core.Reply[core.Result]
}

func newSolo(t *testing.T) *solo {
	s := &solo{t: t, sm: core.NewZnodes(1 << 10), wall: 1e12}
	s.sm.SetSecret(session.Key{1})
	s.m = core.New[*datatree.View, core.Result](core.Config{
		Self: 1, Members: []ensemble.Member{{ID: 1}}, InitLimit: 10, SyncLimit: 5, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20, ChunkSize: 1 << 10,
		Run: zab.Incarnation{1}, Incarnation: zab.Incarnation{2}, Ensemble: zab.EnsembleID{3}, Tick: tick, Timeout: 5000,
	}, core.Recovered{}, s.sm)
	return s
}

func (s *solo) step(in core.Input) {
	s.t.Helper()
	for in != nil {
		s.m.Step(in, &s.out)
		if s.out.Failed != nil {
			s.t.Fatal(s.out.Failed)
		}
		in = nil
		if s.out.LastWrite != 0 {
			in = &core.Persisted{Upto: s.out.LastWrite}
		}
		s.news, s.replies = append(s.news, s.out.News...), append(s.replies, s.out.Replies...)
		s.out.Reset()
	}
}

func (s *solo) tick(jump time.Duration) {
	s.wall += (tick + jump).Milliseconds()
	s.now += tick
	s.step(&core.Tick{Wall: s.wall, Now: s.now})
}

// H6: a wall clock that jumps by a year, either way, ends no session; and silence ends one however the wall clock stands.
func TestH6WallClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	s := newSolo(t)
	for range 20 {
		s.tick(0)
	}
	s.step(&core.Request{Ticket: 7, Payload: core.AppendCreate(nil, 2000), Wall: s.wall})
	var id uint64
	for _, n := range s.news {
		if n.What == core.SessionAttached {
			id = n.Session
		}
	}
	if id == 0 {
		t.Fatalf("no session: %v, %v", s.news, s.replies)
	}
	for _, jump := range []time.Duration{year, -year, -year, 2 * year} {
		s.tick(jump)
		for range 5 {
			s.tick(0)
		}
		if _, ok := s.sm.Session(id); !ok || s.sm.Sessions() != 2 {
			t.Fatalf("a jump of %v ended a session", jump)
		}
	}
	s.step(&core.GiveUp{Session: id})
	ticks := 0
	for ; s.sm.Sessions() == 2 && ticks < 1000; ticks++ {
		jump := time.Duration(0)
		if ticks == 5 {
			jump = -year
		}
		s.tick(jump)
	}
	if d := time.Duration(ticks) * tick; d < 2*time.Second-2*time.Second/6 || d > 2*time.Second+bucket {
		t.Errorf("silence ended it after %v", d)
	}
	if last := s.news[len(s.news)-1]; last.What != core.SessionExpired || last.Session != id {
		t.Errorf("its member is told %+v", last)
	}
}

// replicas are a leader's state and that of a member that gets snapshots of it.
func opened(t *testing.T) (leader *core.Znodes, own uint64) {
	leader = core.NewZnodes(1 << 10)
	leader.SetSecret(session.Key{1})
	txn, ok := leader.PrepareOpen(1, 5, 1, zab.Incarnation{1}, 5000)
	if !ok {
		t.Fatal("no session")
	}
	applyTo(t, leader, 1, txn)
	return leader, 1
}

func applyTo(t *testing.T, sm *core.Znodes, z zab.Zxid, txn []byte) core.Outcome[core.Result] {
	t.Helper()
	o, err := sm.Apply(z, txn)
	if err != nil {
		t.Fatalf("what was proposed cannot be applied: %v", err)
	}
	return o
}

func request(t *testing.T, op datatree.Op) []byte {
	return must[[]byte](t)(datatree.AppendOps(nil, []datatree.Op{op}, false, 1<<10))
}

// From the moment at which the leader has proposed the end of a session nothing is judged for it, and its ephemerals, those outstanding included, go in that transaction.
func TestNothingAfterTheEnd(t *testing.T) {
	sm, own := opened(t)
	create := func(seq uint64, path string) core.Call {
		return core.Call{Name: core.Name{Session: own, Sequence: seq}, Low: 1, Payload: request(t, datatree.CreateOp{Path: path, Mode: datatree.Ephemeral})}
	}
	first, _ := sm.Prepare(2, 6, create(1, "/applied"))
	applyTo(t, sm, 2, first)
	second, ok := sm.Prepare(3, 7, create(2, "/outstanding"))
	if !ok {
		t.Fatal("a call is not fresh")
	}
	sm.Lead(tick)
	for range session.Ticks(5*time.Second, tick) {
		if _, ok := sm.PrepareEnd(4, 8); ok {
			t.Fatal("it ends too early")
		}
		sm.Elapse()
	}
	end, ok := sm.PrepareEnd(4, 8)
	if !ok || sm.Touch(own, 0) {
		t.Fatal("it does not end, or is touched after that")
	}
	if _, ok := sm.Prepare(5, 9, create(3, "/late")); ok {
		t.Fatal("a create is judged after the end of its session")
	}
	applyTo(t, sm, 3, second)
	if o := applyTo(t, sm, 4, end); o.Closed != own || sm.Sessions() != 0 {
		t.Errorf("it has ended %d", o.Closed)
	}
	v := sm.Tree().View()
	defer v.Release()
	if names, _ := v.ChildNames("/"); len(names) != 1 {
		t.Errorf("%v are left", names)
	}
}

// H8: a session is resumed, or closed, when its end is proposed and not applied. The one is refused, the other is not judged: its end answers it.
func TestH8AskedWhileItEnds(t *testing.T) {
	sm, own := opened(t)
	txn, _ := sm.Prepare(2, 6, core.Call{Name: core.Name{Session: own, Sequence: 1}, Low: 1, Payload: core.AppendCreate(nil, 2000)})
	client := applyTo(t, sm, 2, txn).Session
	sm.Lead(tick)
	for range session.Ticks(2*time.Second, tick) {
		sm.Touch(own, 0)
		sm.Elapse()
	}
	end, ok := sm.PrepareEnd(3, 7)
	if !ok {
		t.Fatal("it does not end")
	}
	if _, ok := sm.Prepare(4, 8, core.Call{Name: core.Name{Session: client, Sequence: 1}, Low: 1, Payload: core.AppendClose(nil)}); ok {
		t.Error("it is closed once more")
	}
	resume, ok := sm.Prepare(4, 8, core.Call{Name: core.Name{Session: own, Sequence: 2}, Low: 1, Payload: core.AppendResume(nil, client, sm.Password(client))})
	if !ok {
		t.Fatal("who resumes it has no answer")
	}
	if o := applyTo(t, sm, 3, end); o.Closed != client {
		t.Errorf("it has ended %d", o.Closed)
	}
	if o := applyTo(t, sm, 4, resume); o.Err != core.ErrExpired || o.Attached {
		t.Errorf("it was resumed when it had ended: %+v", o)
	}
}

// What was decided is found in the state that a snapshot brings, and in that of whoever leads after it: it is not judged again.
func TestWindowSurvivesSnapshot(t *testing.T) {
	sm, own := opened(t)
	call := core.Call{Name: core.Name{Session: own, Sequence: 1}, Low: 1, Payload: request(t, datatree.CreateOp{Path: "/n-", Mode: datatree.Sequential})}
	txn, _ := sm.Prepare(2, 6, call)
	applyTo(t, sm, 2, txn)
	made := core.Call{Name: core.Name{Session: own, Sequence: 2}, Low: 1, Payload: core.AppendCreate(nil, 2000)}
	txn, _ = sm.Prepare(3, 6, made)
	client := applyTo(t, sm, 3, txn).Session
	l, r := core.NewLoader(1<<10), sm.Snapshot(64)
	for last := false; !last; {
		var chunk []byte
		var err error
		if chunk, last, err = r.Next(); err == nil {
			err = l.Add(chunk)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	next := must[*core.Znodes](t)(l.Finish())
	if next.Digest() != sm.Digest() {
		t.Error("the state is another")
	}
	if _, again := next.Prepare(4, 7, call); again {
		t.Error("a call is judged again")
	}
	if o, ok := next.Decided(call); !ok || o.Result.First.Path != "/n-0000000000" {
		t.Errorf("it was decided that %+v, %v", o, ok)
	}
	if o, ok := next.Decided(made); !ok || !o.Attached || o.Session != client || o.Timeout != 2000 {
		t.Errorf("it was decided that %+v, %v", o, ok)
	}
	resume := core.Call{Name: core.Name{Session: own, Sequence: 3}, Low: 1, Payload: core.AppendResume(nil, client, sm.Password(client))}
	if txn, ok := next.Prepare(4, 7, resume); !ok {
		t.Error("a resume is not judged")
	} else if o := applyTo(t, next, 4, txn); o.Err != nil || o.Session != client || o.Generation != 1 {
		t.Errorf("the password of before is worth nothing after a snapshot: %+v", o)
	}
}

// A session whose time is nearly over, or over, is resumed. From the moment at which the leader has judged that its owner is alive: he may believe so before the
// leader itself has applied the move, and believes it for two thirds of the timeout.
func TestResumeIsASignOfLife(t *testing.T) {
	for _, silent := range []uint64{1, session.Ticks(2*time.Second, tick) - 1, session.Ticks(2*time.Second, tick)} {
		sm, own := opened(t)
		txn, _ := sm.Prepare(2, 6, core.Call{Name: core.Name{Session: own, Sequence: 1}, Low: 1, Payload: core.AppendCreate(nil, 2000)})
		client := applyTo(t, sm, 2, txn).Session
		sm.Lead(tick)
		elapse := func() {
			sm.Touch(own, 0)
			sm.Elapse()
		}
		for range silent {
			elapse()
		}
		move, ok := sm.Prepare(3, 7, core.Call{Name: core.Name{Session: own, Sequence: 2}, Low: 1, Payload: core.AppendResume(nil, client, sm.Password(client))})
		if !ok {
			t.Fatal("it is not judged")
		}
		for left := session.Ticks(2*time.Second, tick) - 1; left > 0; left-- { // the move is not durable at a quorum yet
			if _, ends := sm.PrepareEnd(4, 8); ends {
				t.Fatalf("silent for %d ticks and then resumed, it is ended with %d ticks to go", silent, left)
			}
			elapse()
		}
		if o := applyTo(t, sm, 3, move); o.Session != client || o.Err != nil {
			t.Fatalf("%+v", o)
		}
		for range session.Ticks(2*time.Second, tick) - 1 {
			elapse()
		}
		if _, ends := sm.PrepareEnd(4, 8); ends {
			t.Error("it is ended too early after the move")
		}
		elapse()
		if _, ends := sm.PrepareEnd(4, 8); !ends {
			t.Error("silence does not end it")
		}
	}
}

// A snapshot is read while the member goes on: what is decided, moved and ended since is not in it, and neither is it half in it.
func TestSnapshotStaysAsItWas(t *testing.T) {
	sm, own := opened(t)
	z := ensemble.Zxid(1)
	call := func(seq, low uint64, payload []byte) core.Outcome[core.Result] {
		t.Helper()
		z++
		txn, ok := sm.Prepare(z, 6, core.Call{Name: core.Name{Session: own, Sequence: seq}, Low: low, Payload: payload})
		if !ok {
			t.Fatal("a call is not judged")
		}
		return applyTo(t, sm, z, txn)
	}
	var clients []uint64
	for seq := range uint64(40) {
		if seq%2 == 0 {
			clients = append(clients, call(seq+1, 1, core.AppendCreate(nil, 2000)).Session)
		} else {
			call(seq+1, 1, request(t, datatree.CreateOp{Path: "/n-", Mode: datatree.Sequential}))
		}
	}
	want := sm.Digest()
	r := sm.Snapshot(64)
	seq := uint64(41)
	l := core.NewLoader(1 << 10)
	for last := false; !last; {
		chunk, end, err := r.Next()
		if last = end; err == nil {
			err = l.Add(chunk)
		}
		if err != nil {
			t.Fatalf("what was read while it changed does not load: %v", err)
		}
		if n := len(clients); n > 0 {
			call(seq, seq-1, core.AppendResume(nil, clients[n-1], sm.Password(clients[n-1])))
			clients, seq = clients[:n-1], seq+1
		}
	}
	if got := must[*core.Znodes](t)(l.Finish()); got.Digest() != want {
		t.Error("what was read is not what was there when the snapshot began")
	}
	if sm.Digest() == want || len(clients) == 20 {
		t.Error("nothing has changed meanwhile")
	}
}
