package core

import (
	"errors"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// trio is three machines whose messages arrive at once, in order, unless a member is cut off.
type trio struct {
	t       *testing.T
	m       map[quorum.ID]*Machine[*datatree.View, Result]
	sm      map[quorum.ID]*Znodes
	queue   []parcel
	cut     quorum.ID
	now     time.Duration
	news    map[quorum.ID][]SessionNews
	replies map[uint64]Reply[Result]
	ticket  uint64
	sent    func(from quorum.ID, msg Message)
}

type parcel struct {
	from, to quorum.ID
	msg      Message
}

const sessionTick = 50 * time.Millisecond

func newTrio(t *testing.T) *trio {
	x := &trio{t: t, m: map[quorum.ID]*Machine[*datatree.View, Result]{}, sm: map[quorum.ID]*Znodes{}, news: map[quorum.ID][]SessionNews{}, replies: map[uint64]Reply[Result]{}}
	for id := quorum.ID(1); id <= 3; id++ {
		x.sm[id] = NewZnodes(1 << 10)
		x.sm[id].SetSecret(session.Key{byte(id)})
		x.m[id] = New[*datatree.View, Result](Config{
			Self: id, Members: []quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, InitLimit: 20, SyncLimit: 5, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20,
			ChunkSize: 1 << 10, Run: zab.Incarnation{byte(id)}, Incarnation: zab.Incarnation{byte(id), 1}, Ensemble: zab.EnsembleID{3}, Tick: sessionTick, Timeout: 5000,
		}, Recovered{}, x.sm[id])
	}
	x.link(0)
	x.ticks(20)
	for id := quorum.ID(1); id <= 3; id++ {
		if s := x.m[id].Status(); !s.Ready || s.Session == 0 {
			t.Fatalf("member %d: %+v", id, s)
		}
	}
	return x
}

// link connects everybody with the member, or, if it is 0, with everybody.
func (x *trio) link(only quorum.ID) {
	for a := quorum.ID(1); a <= 3; a++ {
		for b := quorum.ID(1); b <= 3; b++ {
			if a != b && (only == 0 || a == only || b == only) {
				x.step(a, &Linked{b})
			}
		}
	}
	x.deliver()
}

// isolate cuts a member off. Nobody is told but by silence.
func (x *trio) isolate(id quorum.ID) { x.cut = id }

func (x *trio) heal() {
	id := x.cut
	x.cut = 0
	x.link(id)
}

func (x *trio) step(id quorum.ID, in Input) {
	x.t.Helper()
	for in != nil {
		var out Output[*datatree.View, Result]
		x.m[id].Step(in, &out)
		if in = nil; out.LastWrite != 0 {
			in = &Persisted{Upto: out.LastWrite}
		}
		if out.Failed != nil {
			x.t.Fatalf("member %d: %v", id, out.Failed)
		}
		for _, s := range out.Sends {
			x.queue = append(x.queue, parcel{id, s.To, s.Message})
			if x.sent != nil {
				x.sent(id, s.Message)
			}
		}
		x.news[id] = append(x.news[id], out.News...)
		for _, r := range out.Replies {
			if _, twice := x.replies[r.Ticket]; twice {
				x.t.Errorf("ticket %d is answered twice", r.Ticket)
			}
			x.replies[r.Ticket] = r
		}
	}
}

func (x *trio) deliver() {
	x.t.Helper()
	for len(x.queue) > 0 {
		p := x.queue[0]
		if x.queue = x.queue[1:]; p.from != x.cut && p.to != x.cut {
			x.step(p.to, &Receive{p.from, p.msg})
		}
	}
}

func (x *trio) ticks(n int) {
	x.t.Helper()
	for range n {
		x.now += sessionTick
		for id := quorum.ID(1); id <= 3; id++ {
			x.step(id, &Tick{Wall: x.now.Milliseconds(), Now: x.now})
			x.deliver()
		}
	}
}

// ask makes a request and returns its ticket.
func (x *trio) ask(at quorum.ID, s SessionNews, payload []byte) uint64 {
	x.t.Helper()
	x.ticket++
	x.step(at, &Request{Ticket: x.ticket, Session: s.Session, Generation: s.Generation, Payload: payload})
	x.deliver()
	return x.ticket
}

func (x *trio) last(id quorum.ID, what SessionEvent) (last SessionNews) {
	for _, n := range x.news[id] {
		if n.What == what {
			last = n
		}
	}
	return last
}

// leader returns who leads the others than the one that is cut off.
func (x *trio) leader() quorum.ID {
	for id := quorum.ID(1); id <= 3; id++ {
		if s := x.m[id].Status(); id != x.cut && s.Role == zab.Leading && s.Ready {
			return id
		}
	}
	x.t.Fatal("nobody leads")
	return 0
}

// open makes a session of 20 ticks at a member.
func (x *trio) open(at quorum.ID) SessionNews {
	x.t.Helper()
	t := x.ask(at, SessionNews{}, AppendCreate(nil, 1000))
	n := x.last(at, SessionAttached)
	if r := x.replies[t]; r.Err != nil || n.Ticket != t || zab.Zxid(n.Session) != r.Zxid || n.Timeout != 1000 {
		x.t.Fatalf("%+v, %+v", r, n)
	}
	return n
}

func ephemeralAs(t testing.TB, path string) []byte {
	b, err := datatree.AppendOps(AppendAs(nil, []datatree.Identity{{Scheme: "digest", ID: "a:b"}}), []datatree.Op{datatree.CreateOp{Path: path, Mode: datatree.Ephemeral}}, false, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (x *trio) has(path string) bool {
	_, ok := x.sm[x.leader()].Tree().Get(path)
	return ok
}

func TestSessionOfAClient(t *testing.T) {
	x := newTrio(t)
	f := x.leader()%3 + 1
	s := x.open(f)
	if r := x.replies[x.ask(f, s, ephemeralAs(t, "/e"))]; r.Err != nil || r.Result.First.Stat.EphemeralOwner != s.Session {
		t.Fatalf("%+v", r)
	}
	x.ticks(200)
	if n := x.last(f, SessionRenewed); n.Session == 0 || x.now-n.Since > 20*sessionTick || !x.has("/e") {
		t.Errorf("at %v: %+v", x.now, n)
	}
	for id := range x.m { // any order: each by itself
		if n := x.sm[id].Sessions(); n != 4 {
			t.Errorf("member %d knows %d sessions", id, n)
		}
	}
	// Somewhere else, with the password.
	to := f%3 + 1
	password := x.sm[to].Password(s.Session)
	for _, wrong := range [][]byte{nil, password[1:], append([]byte{password[0] + 1}, password[1:]...)} {
		if r := x.replies[x.ask(to, SessionNews{}, AppendResume(nil, s.Session, wrong))]; !errors.Is(r.Err, ErrExpired) {
			t.Errorf("password %x: %+v", wrong, r)
		}
	}
	if r := x.replies[x.ask(to, SessionNews{}, AppendResume(nil, s.Session, password))]; r.Err != nil {
		t.Fatal(r.Err)
	}
	moved := x.last(to, SessionAttached)
	if moved.Session != s.Session || moved.Generation != 1 || moved.Timeout != 1000 || x.last(f, SessionMoved).Session != s.Session {
		t.Errorf("%+v", moved)
	}
	if r := x.replies[x.ask(f, s, ephemeralAs(t, "/late"))]; !errors.Is(r.Err, ErrMoved) {
		t.Errorf("the former owner: %+v", r)
	}
	x.ticks(100)
	if !x.has("/e") {
		t.Error("it has ended where it was moved to")
	}
	// It is given up: what is under way goes on, and then silence ends it.
	x.step(to, &GiveUp{Session: moved.Session, Generation: moved.Generation})
	x.ticks(10)
	if r := x.replies[x.ask(to, moved, ephemeralAs(t, "/f"))]; r.Err != nil || !x.has("/f") {
		t.Errorf("%+v", r)
	}
	x.ticks(20)
	if x.has("/e") || x.has("/f") || x.last(to, SessionExpired).Session != s.Session {
		t.Error("silence does not end it")
	}
	// Closed by its owner, with a call behind that.
	s = x.open(to)
	x.ask(to, s, ephemeralAs(t, "/e"))
	if r := x.replies[x.ask(to, s, AppendClose(nil))]; r.Err != nil || x.has("/e") {
		t.Errorf("%+v", r)
	}
	for _, bad := range [][]byte{{requestAs, 1}, {requestAs, 1, 200}, {requestCreate}, {requestCreate, 0}, {requestResume}, {requestClose, 1}, {}} {
		if r := x.replies[x.ask(f, SessionNews{}, bad)]; !errors.Is(r.Err, datatree.ErrBadArguments) {
			t.Errorf("% x: %+v", bad, r)
		}
	}
}

// A member that is cut off hears of no renewal; when it is back its own session has ended, and its calls are made on the next, but those that were bound to it.
func TestSessionsOfAMemberCutOff(t *testing.T) {
	x := newTrio(t)
	f := x.leader()%3 + 1
	s, own := x.open(f), x.last(f, SessionOpened)
	x.ticks(30)
	x.isolate(f)
	waits := x.ask(f, SessionNews{}, ephemeralAs(t, "/mine"))
	bound, client := x.ask(f, own, ephemeralAs(t, "/bound")), x.ask(f, s, ephemeralAs(t, "/client"))
	since := x.last(f, SessionRenewed).Since
	x.ticks(60)
	if n := x.last(f, SessionRenewed); n.Since != since {
		t.Errorf("it was renewed at %v by nobody", n.Since)
	}
	x.step(f, &GiveUp{Session: own.Session})
	x.ticks(60)
	if n := x.sm[x.leader()].Sessions(); n != 2 {
		t.Errorf("%d sessions are left", n)
	}
	x.heal()
	x.ticks(40)
	next := x.last(f, SessionOpened)
	if next.Session == own.Session || x.m[f].Status().Session != next.Session || x.last(f, SessionExpired).Session == 0 {
		t.Errorf("%+v after %+v", next, own)
	}
	if r := x.replies[waits]; r.Err != nil || r.Result.First.Stat.EphemeralOwner != next.Session {
		t.Errorf("a call of the member: %+v", r)
	}
	for _, ticket := range []uint64{bound, client} {
		if r, ok := x.replies[ticket]; !ok || !errors.Is(r.Err, ErrExpired) || errors.Is(r.Err, ErrUncertain) {
			t.Errorf("a call of a session that ended: %+v, %v", r, ok)
		}
	}
	// The leader is lost: the others' sessions are granted anew, and what waits is handed to the next.
	old := x.leader()
	g := old%3 + 1
	keep := x.open(g)
	x.isolate(old)
	after := x.ask(g, keep, ephemeralAs(t, "/kept"))
	x.ticks(40)
	if r, ok := x.replies[after]; !ok || r.Err != nil || x.last(g, SessionExpired).Session == keep.Session {
		t.Errorf("%+v, %v", r, ok)
	}
	// The member ends: every ticket has an answer.
	ended := x.ask(old, SessionNews{}, ephemeralAs(t, "/never"))
	var out Output[*datatree.View, Result]
	x.m[old].Step(&Failed{Err: errors.New("its disk")}, &out)
	found := false
	for _, r := range out.Replies {
		found = found || r.Ticket == ended && r.Err != nil
	}
	if !found {
		t.Errorf("%+v", out.Replies)
	}
}

// A member is away for so long that it gets a snapshot, which skips the ends of its sessions: what was handed over may have been decided.
func TestSessionsEndWithinASnapshot(t *testing.T) {
	for _, moved := range []bool{false, true} {
		x := newTrio(t)
		f := x.leader()%3 + 1
		s := x.open(f)
		x.ask(f, s, ephemeralAs(t, "/e"))
		to := f%3 + 1
		if to == x.leader() {
			to = to%3 + 1
		}
		m := x.m[f]
		call := waiting{ticket: 1000, payload: ephemeralAs(t, "/handed")}
		c := m.outbox.served(s.Session, s.Generation)
		m.outbox.push(c, call)
		c.sent, c.handed = 1, c.first+1
		m.outbox.push(c, waiting{ticket: 1001, payload: AppendClose(nil)})
		x.isolate(f)
		what := SessionExpired
		if moved {
			what = SessionMoved
			if other := 6 - f - x.leader(); other != to {
				to = other
			}
			if r := x.replies[x.ask(to, SessionNews{}, AppendResume(nil, s.Session, x.sm[to].Password(s.Session)))]; r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		x.ticks(60)
		install(t, x.sm[f], x.sm[x.leader()], 100)
		var out Output[*datatree.View, Result]
		m.Step(&Persisted{}, &out)
		m.jumped() // as after an Install
		replies := map[uint64]error{}
		for _, r := range m.out.Replies {
			replies[r.Ticket] = r.Err
		}
		if err := replies[1000]; !errors.Is(err, ErrUncertain) || !errors.Is(err, map[SessionEvent]error{SessionExpired: ErrExpired, SessionMoved: ErrMoved}[what]) {
			t.Errorf("moved %v: handed over: %v", moved, err)
		}
		news := m.out.News
		found := false
		for _, n := range news {
			found = found || n.What == what && n.Session == s.Session
		}
		if !found {
			t.Errorf("moved %v: %+v", moved, news)
		}
	}
}

// A member that serves many sessions tells a new leader of all of them, and does not do so in one step.
func TestRenewalsBeginAnewInParts(t *testing.T) {
	const n = 2*leastAnew + 100
	x := newTrio(t)
	old := x.leader()
	f := quorum.ID(1)
	if f == old {
		f = 2
	}
	open := map[uint64]bool{}
	for range n {
		open[uint64(x.replies[x.ask(f, SessionNews{}, AppendCreate(nil, 1000))].Zxid)] = true
	}
	x.ticks(20)
	clear(x.news)
	told, inTick, most := map[uint64]bool{}, 0, 0
	x.sent = func(from quorum.ID, msg Message) {
		if r, ok := msg.(*Renew); ok && from == f {
			for _, touch := range r.Touches {
				told[touch.Session] = true
			}
			inTick += len(r.Touches)
		}
	}
	x.isolate(old)
	for x.m[f].Zab().Leader() == old {
		x.ticks(1)
	}
	for !x.m[f].Zab().Serving() {
		x.ticks(1)
	}
	clear(told)
	ticks := 0
	for ; len(told) < n+1 && ticks <= anewTicks; ticks++ {
		inTick = 0
		x.ticks(1)
		most = max(most, inTick)
	}
	if x.leader() == f || ticks > anewTicks || ticks < 3 {
		t.Errorf("%d of %d sessions were renewed after %d ticks", len(told), n+1, ticks)
	}
	if most > n-100 { // those of this turn, and those that have had theirs and are due again
		t.Errorf("%d of %d sessions were renewed in one tick", most, n)
	}
	x.ticks(60)
	for _, news := range x.news[f] {
		if news.What == SessionExpired && open[news.Session] {
			t.Fatalf("session %x has ended", news.Session)
		}
	}
}
