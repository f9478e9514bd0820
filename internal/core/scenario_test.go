package core

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
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
//	limits flight=3 tail=9 counter=9 window=9 digest=4 chunk=9 log=1   of all members started from here on
//	members 1 2 3 4o            those of the ensemble; nobody runs yet
//	disk 1 ensemble=7 counts born promised=2 joined=2 damaged|nonsense   what member 1 has on its disk: a snapshot that is damaged, an entry that is no transaction
//	start 1 2, start all, start 1 join    new runs
//	crash 1                     what is not persisted is lost, and all links
//	wipe 1                      and what is persisted
//	swap 1                      a second run of 1, with an empty disk, and the first is cut off; with the next swap the other way round
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
	script.Story
	cfg      Config
	ids      []quorum.ID
	actors   map[quorum.ID]*actor
	lines    map[[2]quorum.ID][]Send
	linked   map[[2]quorum.ID]bool
	last     map[string]Send
	messages bool
	runs     byte
	tickets  uint64
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
	aside   *actor          // the other run of the member
}

func newStage(t testing.TB) *stage {
	return &stage{
		Story: script.Story{TB: t}, actors: map[quorum.ID]*actor{}, lines: map[[2]quorum.ID][]Send{}, linked: map[[2]quorum.ID]bool{}, last: map[string]Send{},
		cfg: Config{InitLimit: 10, SyncLimit: 4, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20, ChunkSize: 64},
	}
}

func play(t testing.TB, directives [][]string) string {
	s := newStage(t)
	return s.Play(directives, "messages limits members disk slow fast hold unhold", s.do)
}

func (s *stage) id(word string) quorum.ID { return quorum.ID(script.Number(s, word)) }

func (s *stage) actor(word string) *actor {
	a := s.actors[s.id(word)]
	if a == nil {
		s.Fatalf("no member %s", word)
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
		s.Fatalf("%d does not run", a.id)
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
			s.Tell("  %d writes %s", a.id, mark(r.Mark))
		case r.Kind == zab.RecordReset:
			s.Tell("  %d begins anew with a snapshot", a.id)
		case s.messages && r.Kind == zab.RecordEntry:
			s.Tell("  %d writes %v", a.id, r.Entry.Zxid)
		}
	}
	for _, x := range o.Sends {
		e := [2]quorum.ID{a.id, x.To}
		name := reflect.TypeOf(x.Message).Elem().Name()
		s.last[fmt.Sprint(e, name)] = x
		if text := describe(x.Message); text != "" || s.messages {
			s.Tell("  %d->%d %s%s", a.id, x.To, name, text)
		}
		if s.linked[e] {
			s.lines[e] = append(s.lines[e], x)
		} else {
			s.Errorf("%d sends %s to %d without a link", a.id, name, x.To)
		}
	}
	for _, r := range o.Replies {
		if !a.waiting[r.Ticket] {
			s.Errorf("%d answers ticket %d that does not wait for an answer", a.id, r.Ticket)
		}
		delete(a.waiting, r.Ticket)
		s.Tell("  %d answers #%d: %s", a.id, r.Ticket, answer(r))
	}
	if o.Failed != nil && !a.failed {
		a.failed = true
		s.Tell("  %d fails: %v", a.id, o.Failed)
	}
	if o.Failed != nil && len(a.waiting) > 0 {
		s.Errorf("%d has ended and leaves tickets without an answer: %v", a.id, a.waiting)
	}
	pieces, reads := slices.Clone(o.Pieces), slices.Clone(o.Reads)
	o.Reset()
	for _, r := range reads {
		s.read(a, r)
	}
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
		s.Tell("  %d goes on with a snapshot at chunk %d", a.id, a.at.Chunk)
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

// read answers with one entry of what is persisted.
func (s *stage) read(a *actor, r zab.Read) {
	answer := &Recalled{ID: r.ID}
	for _, e := range a.rec.Entries {
		if e.Prev == r.After && e.Zxid <= r.UpTo {
			answer.Entries = []zab.Entry{e}
		}
	}
	s.Tell("  %d reads its log behind %v: %d", a.id, r.After, len(answer.Entries))
	s.step(a, answer)
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
			s.Fatalf("no %s lies from %d to %d", f[0], from, to)
		}
		return
	}
	if len(f) > 0 {
		n = min(n, int(script.Number(s, f[0])))
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
		s.Fatalf("%d has nothing to decode", a.id)
	}
	l := *a.load
	a.load = nil
	state, err := NewZnodes(1 << 10).Decode(l.Snapshot.Chunks)
	if err == nil && damaged {
		err = errors.New("damaged")
	}
	s.step(a, &Taken{Snapshot: l.Snapshot, At: a.at, State: state, Err: err})
}
