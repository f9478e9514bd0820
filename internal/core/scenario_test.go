package core

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/script"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The files of testdata hold cases as package script describes them; what follows from a directive is expected below it: marks that
// are written, messages of this package that are sent, answers, failures. What election and zab say to each other has its own
// scenarios, and is told here only with the directive messages.
//
//	limits flight=3 tail=9 counter=9 window=9 digest=4   of all members started from here on
//	members 1 2 3 4o            those of the ensemble; nobody runs yet
//	disk 1 ensemble=7 counts born promised=2 joined=2 damaged|nonsense   what member 1 has on its disk: a snapshot that is damaged, an entry that is no transaction
//	start 1 2, start all, start 1 join    new runs
//	crash 1                     what is not persisted is lost, and all links
//	wipe 1                      and what is persisted
//	link 1 2, link all          new links, among those that run
//	lost 1 2                    both ends lose the link, and what lay on it
//	forget 1 2                  only member 1 loses it
//	quiet, loud, messages       tell nothing, tell again, tell all messages
//	run, run 3                  deliver, persist and decode until nothing is left
//	settle 40                   40 times run, and a tick of all
//	tick, tick 3 2              all members, or member 3 by 2 ticks
//	slow 2, fast 2              run does not persist what 2 writes
//	persist 1                   all that 1 wrote
//	deliver 1 3, deliver 1 3 2  what lies from 1 to 3, or the first 2 of that
//	drop 1 3, drop 1 3 Forward  the same, or those of one type, lost
//	repeat 1 3 Forward          delivers once more what of that type was sent last, on whatever link
//	batch 3, end 3              what member 3 is told between them goes into one Output
//	create 1 /a /b, seq 1 /q/   requests of one op each; set, delete likewise
//	send 1 nonsense 30          a request that is no request, of 30 bytes
//	sync 1, transfer 1 3        their tickets are numbered with those of the requests
//	fail 1                      a write of 1 has failed
//	spoil 1                     the state of 1 goes wrong, until it installs another
//	load 1, load 1 damaged      the snapshot that 1 has received is decoded; run does it otherwise
//	hold 1, unhold 1            run does not decode for 1
//	show, tree 1                all members; what 1 has applied
func TestScenarios(t *testing.T) { script.Run(t, play) }

type stage struct {
	t        testing.TB
	cfg      Config
	ids      []quorum.ID
	actors   map[quorum.ID]*actor
	lines    map[[2]quorum.ID][]Send
	linked   map[[2]quorum.ID]bool
	last     map[string]Send
	quiet    bool
	messages bool
	runs     byte
	tickets  uint64
	out      []string
}

// spoilable is a state that can go bad, each in its own way, until it is replaced.
type spoilable struct {
	*Znodes
	bad uint64
}

func (x *spoilable) Digest() uint64 { return x.Znodes.Digest() ^ x.bad }

func (x *spoilable) Install(state any) {
	x.Znodes.Install(state)
	x.bad = 0
}

type actor struct {
	s       *stage
	id      quorum.ID
	m       *Machine[*datatree.View, Result]
	sm      *spoilable
	out     Output[*datatree.View, Result]
	open    bool
	slow    bool
	hold    bool
	failed  bool
	rec     zab.Recovered // what is persisted
	writes  []zab.Record  // what is not
	load    *zab.Piece    // the last of a snapshot, to be decoded
	part    *zab.Snapshot // being received, with its chunks
	at      zab.Position
	waiting map[uint64]bool // tickets without an answer
}

func newStage(t testing.TB) *stage {
	return &stage{
		t: t, actors: map[quorum.ID]*actor{}, lines: map[[2]quorum.ID][]Send{}, linked: map[[2]quorum.ID]bool{}, last: map[string]Send{},
		cfg: Config{InitLimit: 10, SyncLimit: 4, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20, ChunkSize: 64},
	}
}

func play(t testing.TB, directives [][]string) string {
	s := newStage(t)
	for _, f := range directives {
		switch f[0] {
		case "quiet":
			s.quiet = true
		case "loud", "messages":
			s.quiet, s.messages = false, f[0] == "messages"
		case "limits", "members", "disk", "slow", "fast", "hold", "unhold":
		default:
			s.tell("%s", strings.Join(f, " "))
		}
		s.do(f[0], f[1:])
	}
	return strings.Join(s.out, "\n")
}

func (s *stage) tell(format string, args ...any) {
	if !s.quiet {
		s.out = append(s.out, fmt.Sprintf(format, args...))
	}
}

func (s *stage) id(word string) quorum.ID { return quorum.ID(script.Number(s.t, word)) }

func (s *stage) actor(word string) *actor {
	a := s.actors[s.id(word)]
	if a == nil {
		s.t.Fatalf("no member %s", word)
	}
	return a
}

func (s *stage) start(a *actor, join bool) {
	s.runs++
	cfg := s.cfg
	cfg.Self, cfg.Join, cfg.Run = a.id, join, zab.Incarnation{s.runs}
	cfg.Incarnation, cfg.Ensemble = zab.Incarnation{100 + s.runs}, zab.EnsembleID{byte(a.id) * 10}
	rec := a.rec
	rec.Entries = slices.Clone(rec.Entries)
	a.sm = &spoilable{Znodes: NewZnodes(1 << 10)}
	a.m = New(cfg, rec, StateMachine[*datatree.View, Result](a.sm))
	a.out, a.writes, a.load, a.waiting, a.failed, a.open = Output[*datatree.View, Result]{}, nil, nil, map[uint64]bool{}, false, false
}

func (s *stage) step(a *actor, in Input) {
	if a.m == nil {
		s.t.Fatalf("%d does not run", a.id)
	}
	a.m.Step(in, &a.out)
	if !a.open {
		s.carryOut(a)
	}
}

func (s *stage) carryOut(a *actor) {
	o := &a.out
	for _, r := range o.Writes {
		a.writes = append(a.writes, r)
		switch {
		case r.Kind == zab.RecordMark:
			s.tell("  %d writes %s", a.id, mark(r.Mark))
		case r.Kind == zab.RecordReset:
			s.tell("  %d begins anew with a snapshot", a.id)
		case s.messages && r.Kind == zab.RecordEntry:
			s.tell("  %d writes %v", a.id, r.Entry.Zxid)
		}
	}
	for _, x := range o.Sends {
		e := [2]quorum.ID{a.id, x.To}
		name := reflect.TypeOf(x.Message).Elem().Name()
		s.last[fmt.Sprint(e, name)] = x
		if text := describe(x.Message); text != "" || s.messages {
			s.tell("  %d->%d %s%s", a.id, x.To, name, text)
		}
		if s.linked[e] {
			s.lines[e] = append(s.lines[e], x)
		} else {
			s.t.Errorf("%d sends %s to %d without a link", a.id, name, x.To)
		}
	}
	for _, r := range o.Replies {
		if !a.waiting[r.Ticket] {
			s.t.Errorf("%d answers ticket %d that does not wait for an answer", a.id, r.Ticket)
		}
		delete(a.waiting, r.Ticket)
		s.tell("  %d answers #%d: %s", a.id, r.Ticket, answer(r))
	}
	if o.Failed != nil && !a.failed {
		a.failed = true
		s.tell("  %d fails: %v", a.id, o.Failed)
	}
	if o.Failed != nil && len(a.waiting) > 0 {
		s.t.Errorf("%d has ended and leaves tickets without an answer: %v", a.id, a.waiting)
	}
	pieces := slices.Clone(o.Pieces)
	o.Reset()
	for _, p := range pieces {
		s.receive(a, p)
	}
}

// receive takes a piece over at once, but for the last, which has to be decoded.
func (s *stage) receive(a *actor, p zab.Piece) {
	a.load = nil
	switch {
	case p.Snapshot == nil:
		a.part = nil
		return
	case p.Resume:
		p.Snapshot.Chunks = a.part.Chunks
	case p.Begin:
		a.at = zab.Position{}
	default:
		p.Snapshot.Chunks = append(p.Snapshot.Chunks, p.Data)
		a.at = a.at.After(p.Data)
	}
	if a.part = p.Snapshot; p.Last {
		a.load = &p
		return
	}
	s.step(a, &Taken{Snapshot: p.Snapshot, At: a.at})
}

func answer(r Reply[Result]) string {
	switch {
	case r.Err != nil:
		return strings.ReplaceAll(r.Err.Error(), "\n", " / ")
	case r.Result.First.Path != "":
		return fmt.Sprintf("%v %s", r.Zxid, r.Result.First.Path)
	}
	return r.Zxid.String()
}

func mark(k zab.Mark) string {
	s := fmt.Sprintf("mark: ensemble %d", k.Ensemble[0])
	for _, x := range []struct {
		is   bool
		word string
	}{{k.Counts, " counts"}, {k.Born, " born"}, {k.Spoilt, " spoilt"}} {
		if x.is {
			s += x.word
		}
	}
	return s + fmt.Sprintf(" promised %d joined %d", k.Promised, k.Joined)
}

// describe tells a message of this package, others by "".
func describe(msg Message) string {
	switch x := msg.(type) {
	case *Birth:
		s := fmt.Sprintf(" ensemble %d", x.Ensemble[0])
		for _, f := range []struct {
			is   bool
			word string
		}{{x.Counts, "counts"}, {x.Born, "born"}, {x.Blank, "blank"}, {x.Promised, "promised"}, {x.Found, "found"}} {
			if f.is {
				s += " " + f.word
			}
		}
		return s
	case *Forward:
		s := fmt.Sprintf(" of %d", x.Owner)
		if x.Open {
			s += fmt.Sprintf(" open for run %d", x.Run[0])
		}
		for _, c := range x.Calls {
			s += fmt.Sprintf(" %v/%d low %d", zab.Zxid(c.Name.Session), c.Name.Sequence, c.Low)
		}
		return s
	case *Compared:
		return fmt.Sprintf(" %v agrees %v", x.At, x.Agrees)
	case *Reinstall:
		return fmt.Sprintf(" %v", x.At)
	case *SyncAsk:
		return fmt.Sprintf(" %d", x.ID)
	case *SyncAnswer:
		return fmt.Sprintf(" %d: %v", x.ID, x.Zxid)
	}
	return ""
}

func (s *stage) do(verb string, f []string) {
	switch verb {
	case "quiet", "loud", "messages":
	case "limits":
		for _, word := range f {
			name, value, _ := strings.Cut(word, "=")
			n := int(script.Number(s.t, value))
			switch name {
			case "flight":
				s.cfg.MaxInFlight = n
			case "tail":
				s.cfg.MaxTail = n
			case "window":
				s.cfg.Window = n
			case "digest":
				s.cfg.DigestEvery = uint32(n)
			case "counter":
				s.cfg.MaxCounter = uint32(n)
			default:
				s.t.Fatalf("no limit %q", name)
			}
		}
	case "members":
		for _, word := range f {
			x := script.ParseMember(s.t, word)
			m := quorum.Member{ID: quorum.ID(x.ID), Observer: x.Observer, Group: x.Group, Weight: x.Weight}
			s.cfg.Members = append(s.cfg.Members, m)
			s.ids = append(s.ids, m.ID)
			s.actors[m.ID] = &actor{s: s, id: m.ID}
		}
	case "disk":
		s.disk(s.actor(f[0]), f[1:])
	case "start":
		join := script.Take(&f, "join")
		for _, id := range s.ids {
			if f[0] == "all" || slices.Contains(f, fmt.Sprint(id)) {
				s.start(s.actors[id], join)
			}
		}
	case "crash", "wipe":
		a := s.actor(f[0])
		a.m, a.writes = nil, nil
		if verb == "wipe" {
			a.rec = zab.Recovered{}
		}
		for _, id := range s.ids {
			s.cut(a.id, id)
		}
	case "link":
		for i, x := range s.ids {
			for _, y := range s.ids[i+1:] {
				if s.actors[x].m != nil && s.actors[y].m != nil && (f[0] == "all" || s.id(f[0]) == min(x, y) && s.id(f[1]) == max(x, y)) {
					s.link(x, y)
				}
			}
		}
	case "lost":
		s.cut(s.id(f[0]), s.id(f[1]))
	case "forget":
		a, b := s.id(f[0]), s.id(f[1])
		delete(s.linked, [2]quorum.ID{a, b})
		delete(s.lines, [2]quorum.ID{a, b})
		s.step(s.actors[a], &Lost{Peer: b})
	case "run":
		n := 200
		if len(f) > 0 {
			n = int(script.Number(s.t, f[0]))
		}
		for range n {
			if !s.round() {
				return
			}
		}
		if len(f) == 0 {
			s.t.Fatal("a storm")
		}
	case "settle":
		for range script.Number(s.t, f[0]) {
			s.do("run", nil)
			s.do("tick", nil)
		}
		s.do("run", nil)
	case "tick":
		ids, n := s.ids, int64(1)
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		if len(f) > 1 {
			n = script.Number(s.t, f[1])
		}
		for range n {
			for _, id := range ids {
				if a := s.actors[id]; a.m != nil && !a.failed {
					s.step(a, &Tick{Wall: 1000})
				}
			}
		}
	case "slow", "fast":
		s.actor(f[0]).slow = verb == "slow"
	case "hold", "unhold":
		s.actor(f[0]).hold = verb == "hold"
	case "persist":
		s.persist(s.actor(f[0]))
	case "deliver", "drop":
		s.move(verb == "drop", s.id(f[0]), s.id(f[1]), f[2:])
	case "repeat":
		e := [2]quorum.ID{s.id(f[0]), s.id(f[1])}
		x, ok := s.last[fmt.Sprint(e, f[2])]
		if !ok {
			s.t.Fatalf("no %s from %s to %s", f[2], f[0], f[1])
		}
		s.tell("  %s%s", f[2], describe(x.Message))
		s.step(s.actor(f[1]), &Receive{From: e[0], Message: x.Message})
	case "batch":
		s.actor(f[0]).open = true
	case "end":
		s.actor(f[0]).open = false
		s.carryOut(s.actor(f[0]))
	case "create", "seq", "set", "delete", "send":
		a := s.actor(f[0])
		for _, word := range f[1:] {
			var payload []byte
			switch verb {
			case "create":
				payload = request(s.t, false, datatree.CreateOp{Path: word})
			case "seq":
				payload = request(s.t, false, datatree.CreateOp{Path: word, Mode: datatree.Sequential})
			case "set":
				payload = request(s.t, false, datatree.SetOp{Path: word, Data: []byte("x")})
			case "delete":
				payload = request(s.t, false, datatree.DeleteOp{Path: word})
			case "send":
				payload = make([]byte, script.Number(s.t, word))
			}
			s.step(a, &Request{Ticket: s.ticket(a), Payload: payload, Wall: 1000})
		}
	case "sync":
		a := s.actor(f[0])
		s.step(a, &SyncRequest{Ticket: s.ticket(a)})
	case "transfer":
		a := s.actor(f[0])
		s.step(a, &TransferRequest{Ticket: s.ticket(a), To: s.id(f[1])})
	case "spoil":
		s.actor(f[0]).sm.bad = uint64(s.id(f[0]))
	case "fail":
		s.step(s.actor(f[0]), &Failed{Err: errors.New("disk")})
	case "load":
		s.decode(s.actor(f[0]), len(f) > 1)
	case "show":
		for _, id := range s.ids {
			s.tell("  %s", s.actors[id])
		}
	case "tree":
		a := s.actor(f[0])
		paths := ""
		for p := range a.sm.View().Walk("/") {
			if !strings.HasPrefix(p.Path, "/zookeeper") && p.Path != "/" {
				paths += " " + p.Path
			}
		}
		s.tell("  %v:%s", a.sm.View().Zxid(), paths)
	default:
		s.t.Fatalf("unknown directive %q", verb)
	}
}

func (s *stage) ticket(a *actor) uint64 {
	s.tickets++
	a.waiting[s.tickets] = true
	return s.tickets
}

func (s *stage) disk(a *actor, f []string) {
	k := &a.rec.Mark
	k.Member, k.Incarnation = a.id, zab.Incarnation{byte(a.id)}
	for _, word := range f {
		name, value, _ := strings.Cut(word, "=")
		n := byte(0)
		if value != "" {
			n = byte(script.Number(s.t, value))
		}
		switch name {
		case "ensemble":
			k.Ensemble = zab.EnsembleID{n}
		case "counts":
			k.Counts = true
		case "born":
			k.Born = true
		case "promised":
			k.Promised = uint32(n)
		case "joined":
			k.Joined = uint32(n)
		case "damaged":
			a.rec.Snapshot, a.rec.Pos = &zab.Snapshot{Zxid: 1, Chunks: [][]byte{[]byte("no snapshot")}}, 1
		case "nonsense":
			a.rec.Entries, a.rec.Pos = []zab.Entry{{Zxid: zab.MakeZxid(1, 1), Kind: zab.EntryData, Data: []byte("no transaction")}}, 1
		default:
			s.t.Fatalf("no %q on a disk", name)
		}
	}
}

func (s *stage) link(x, y quorum.ID) {
	for _, e := range [][2]quorum.ID{{x, y}, {y, x}} {
		delete(s.lines, e)
		s.linked[e] = true
	}
	// The other end of a new link may speak before this one has noticed.
	s.step(s.actors[x], &Linked{Peer: y})
	s.step(s.actors[y], &Linked{Peer: x})
}

func (s *stage) cut(x, y quorum.ID) {
	if !s.linked[[2]quorum.ID{x, y}] {
		return
	}
	for _, e := range [][2]quorum.ID{{x, y}, {y, x}} {
		delete(s.lines, e)
		delete(s.linked, e)
	}
	for _, e := range [][2]quorum.ID{{x, y}, {y, x}} {
		if a := s.actors[e[0]]; a.m != nil {
			s.step(a, &Lost{Peer: e[1]})
		}
	}
}

// round delivers, persists and decodes once, and reports whether there was anything.
func (s *stage) round() (busy bool) {
	for _, x := range s.ids {
		for _, y := range s.ids {
			if len(s.lines[[2]quorum.ID{x, y}]) > 0 {
				s.move(false, x, y, nil)
				busy = true
			}
		}
	}
	for _, id := range s.ids {
		a := s.actors[id]
		if a.m == nil || a.failed {
			continue
		}
		if !a.slow && len(a.writes) > 0 {
			s.persist(a)
			busy = true
		}
		if a.load != nil && !a.hold {
			s.decode(a, false)
			busy = true
		}
	}
	return busy
}

func (s *stage) move(lose bool, from, to quorum.ID, f []string) {
	e := [2]quorum.ID{from, to}
	line := s.lines[e]
	n := len(line)
	if len(f) > 0 && f[0] >= "A" {
		s.lines[e] = slices.DeleteFunc(slices.Clone(line), func(x Send) bool { return reflect.TypeOf(x.Message).Elem().Name() == f[0] })
		if len(s.lines[e]) == n || !lose {
			s.t.Fatalf("no %s lies from %d to %d", f[0], from, to)
		}
		return
	}
	if len(f) > 0 {
		n = min(n, int(script.Number(s.t, f[0])))
	}
	s.lines[e] = line[n:]
	a := s.actors[to]
	for _, x := range line[:n] {
		if a.m != nil && !lose && !a.failed {
			s.step(a, &Receive{From: from, Message: x.Message})
		}
	}
}

func (s *stage) persist(a *actor) {
	for _, r := range a.writes {
		if r.Kind == zab.RecordMark {
			a.rec.Mark = r.Mark
			continue
		}
		a.rec.Pos = r.Pos
		switch r.Kind {
		case zab.RecordEntry:
			a.rec.Entries = append(a.rec.Entries, r.Entry)
		case zab.RecordTrunc:
			a.rec.Entries = slices.DeleteFunc(a.rec.Entries, func(e zab.Entry) bool { return e.Zxid > r.Zxid })
		case zab.RecordReset:
			a.rec.Snapshot, a.rec.Entries = r.Snapshot, nil
		}
	}
	if n := len(a.writes); n > 0 {
		upto := a.writes[n-1].ID
		a.writes = nil
		s.step(a, &Persisted{Upto: upto})
	}
}

func (s *stage) decode(a *actor, damaged bool) {
	if a.load == nil {
		s.t.Fatalf("%d has nothing to decode", a.id)
	}
	l := *a.load
	a.load = nil
	state, err := NewZnodes(1 << 10).Decode(l.Snapshot.Chunks)
	if err == nil && damaged {
		err = errors.New("damaged")
	}
	s.step(a, &Taken{Snapshot: l.Snapshot, At: a.at, State: state, Err: err})
}

// String tells what a member says of itself.
func (a *actor) String() string {
	if a.m == nil {
		return fmt.Sprintf("%d does not run", a.id)
	}
	st := a.m.Status()
	s := fmt.Sprintf("%d %v", a.id, st.Role)
	if st.Leader != 0 && st.Leader != a.id {
		s += fmt.Sprintf(" %d", st.Leader)
	}
	switch {
	case st.Ready:
		s += " ready"
	default:
		s += []string{"", " no quorum", " synchronising", " blank", " impaired"}[st.Reason]
	}
	s += fmt.Sprintf(" epoch %d ensemble %d applied %v", st.Epoch, st.Ensemble[0], st.Applied)
	if st.Session != 0 {
		s += fmt.Sprintf(" session %v", zab.Zxid(st.Session))
	}
	if st.InFlight > 0 {
		s += fmt.Sprintf(" in flight %d", st.InFlight)
	}
	return s
}
