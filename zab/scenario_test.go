package zab

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/script"
	"github.com/ensemble-go/ensemble/quorum"
)

// The files of testdata hold cases as package script describes them; what follows from a directive is expected below it.
// Nothing happens by itself: what is sent lies on its link until it is delivered, and what is written is on its way to the disk
// until it is persisted.
//
//	limits sync=3 init=5 tail=9 window=9 batch=9 counter=9 chunk=2 log=1   of all members made from here on (chunk: entries; log: they read it)
//	members 1 2 3 4o                 without a history; they count, and their ensemble is born
//	member 1 promised=2 joined=1 blank 1.1=a 1.2 ...    what member 1 has on its disk
//	lead 3, follow 1 3               the election said so
//	quiet, loud                      tell nothing, tell again
//	run, run 50                      deliver, persist and decode until nothing is left
//	slow 2, fast 2                   run does not persist what 2 writes
//	deliver, deliver 1 3, deliver 1 3 2    everything once, what lies from 1 to 3, or the first 2 of that
//	drop 1 3, drop 1 3 2             the same, lost (which no link does: it resets)
//	say 1 3 Ack session=1 zxid=1.2 joined    what 1 never sent to 3
//	repeat 1 3                       delivers once more what 1 last sent to 3 and was delivered
//	persist, persist 1, persist 1 2  all that is written, what 1 wrote, or that up to write 2
//	load 1, load 1 damaged           the snapshot that 1 has received is decoded
//	read 3, read 3 gone, read 3 without 1.2   what 3 asks of its log is answered; run does it for those that are not slow
//	cutlog 3 1.2                     the log of 3 loses what is up to there
//	torn 3 2                         3 cannot read the second chunk of its state
//	served 3                         what it has done for learners
//	batch 3, end 3                   what member 3 is told between them goes into one Output
//	propose 3 a b 100*               entries, one Output each; the last of 100 bytes
//	confirm 3                        a round of confirmation
//	transfer 3 1                     hand over to 1; 0 is anybody
//	tick, tick 3 2                   all members, or member 3 by 2 ticks
//	lost 1 3                         both ends lose the link, and what lay on it
//	stop 3                           leaves its role
//	fail 3                           its disk does
//	restart 1                        with what was persisted and lost links
//	born 1                           writes a mark, as the birth does
//	show                             all members
func TestScenarios(t *testing.T) { script.Run(t, play) }

type stage struct {
	t        testing.TB
	cfg      Config
	chunk    int
	session  Session
	ids      []quorum.ID
	observer []quorum.ID
	actors   map[quorum.ID]*actor
	lines    map[[2]quorum.ID][]Message
	last     map[[2]quorum.ID]Message
	cut      quorum.ID // what is sent to or by it goes nowhere: its links have just ended
	cutBy    quorum.ID // or only the one to this member
	quiet    bool
	out      []string
}

// actor is a member, and what a shell would have around it.
type actor struct {
	s       *stage
	id      quorum.ID
	m       *Machine
	out     Output
	open    bool
	slow    bool
	disk    []Record  // what was issued
	durable int       // of disk
	load    *Piece    // the last of a snapshot, to be decoded
	part    *Snapshot // being received, with its chunks
	at      Position  // of the next
	reads   []Read
	state   []string // applied
	logless bool     // its log cannot be read
	torn    int      // chunks until reading the state fails; 0: never
	done    []string // what happened in this Output
}

func play(t testing.TB, directives [][]string) string {
	s := &stage{
		t: t, chunk: 1, actors: map[quorum.ID]*actor{}, lines: map[[2]quorum.ID][]Message{}, last: map[[2]quorum.ID]Message{},
		cfg: Config{InitLimit: 6, SyncLimit: 3, MaxTail: 1 << 20, Window: 1 << 20, MaxBatch: 1 << 20, MaxCounter: 1 << 20},
	}
	s.cfg.NextSession = func() Session { s.session++; return s.session }
	for _, f := range directives {
		switch f[0] {
		case "quiet":
			s.quiet = true
		case "loud":
			s.quiet = false
		case "limits", "members", "member", "slow", "fast":
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

func (s *stage) zxid(word string) Zxid {
	z, err := ParseZxid(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return z
}

func (s *stage) actor(word string) *actor {
	a := s.actors[s.id(word)]
	if a == nil {
		s.t.Fatalf("no member %s", word)
	}
	return a
}

// begin makes a member of what its disk holds.
func (s *stage) begin(id quorum.ID, rec Recovered) {
	a := &actor{s: s, id: id}
	cfg := s.cfg
	cfg.Self, cfg.Observer = id, slices.Contains(s.observer, id)
	if rec.Snapshot != nil {
		for _, c := range rec.Snapshot.Chunks {
			a.state = append(a.state, strings.Fields(string(c))...)
		}
	}
	a.m = New(cfg, rec, a)
	if old := s.actors[id]; old != nil {
		a.disk, a.durable, a.slow = old.disk[:old.durable:old.durable], old.durable, old.slow
		for i := range a.disk {
			a.disk[i].ID = 0
		}
	} else {
		a.disk = append(a.disk, Record{Kind: RecordMark, Mark: rec.Mark})
		for _, e := range rec.Entries {
			a.disk = append(a.disk, Record{Kind: RecordEntry, Entry: e})
		}
		a.durable = len(a.disk)
	}
	s.actors[id] = a
}

// Apply implements Host.
func (a *actor) Apply(e Entry) {
	text := entry(e)
	a.state = append(a.state, text)
	if n := len(a.done); n > 0 && strings.HasPrefix(a.done[n-1], "applies ") {
		a.done[n-1] += " " + text
	} else {
		a.done = append(a.done, "applies "+text)
	}
}

// Install implements Host.
func (a *actor) Install(state any) {
	a.state = slices.Clone(state.([]string))
	a.done = append(a.done, "installs "+strings.Join(a.state, " "))
}

// Snapshot implements Host.
func (a *actor) Snapshot() SnapshotReader {
	return &reading{a, a.m.Applied(), slices.Clone(a.state), a.s.chunk}
}

type reading struct {
	a     *actor
	zxid  Zxid
	left  []string
	chunk int
}

func (r *reading) Zxid() Zxid { return r.zxid }

func (r *reading) Next() ([]byte, bool, error) {
	if r.a.torn > 0 {
		if r.a.torn--; r.a.torn == 0 {
			return nil, false, errors.New("unreadable")
		}
	}
	n := min(r.chunk, len(r.left))
	c := strings.Join(r.left[:n], " ")
	r.left = r.left[n:]
	return []byte(c), len(r.left) == 0, nil
}

func (r *reading) Close() { r.a.done = append(r.a.done, "lets go of the snapshot") }

// step does something with a member, within an Output of its own or the one that is open.
func (s *stage) step(a *actor, f func(m *Machine)) {
	if !a.open {
		a.m.Collect(&a.out)
	}
	f(a.m)
	if !a.open {
		s.carryOut(a)
	}
}

func (s *stage) carryOut(a *actor) {
	o := a.out
	a.out = Output{}
	for _, r := range o.Writes {
		s.tell("  %d writes %s", a.id, record(r))
		a.disk = append(a.disk, r)
	}
	for _, x := range a.done {
		s.tell("  %d %s", a.id, x)
	}
	a.done = nil
	for _, send := range o.Sends {
		e := [2]quorum.ID{a.id, send.To}
		if s.cut != 0 && (a.id == s.cut || send.To == s.cut) && (s.cutBy == 0 || a.id == s.cutBy || send.To == s.cutBy) {
			continue
		}
		s.lines[e] = append(s.lines[e], send.Message)
		s.tell("  %d->%d %s", a.id, send.To, describe(send.Message))
	}
	for _, r := range o.Reads {
		whole := ""
		if r.Whole {
			whole = fmt.Sprintf(", the first read of a whole; %d bytes follow", r.Rest)
		}
		s.tell("  %d reads its log behind %v up to %v, %d bytes%s", a.id, r.After, r.UpTo, r.Bytes, whole)
		a.reads = append(a.reads, r)
	}
	if o.Err != nil {
		s.tell("  %d fails: %v", a.id, o.Err)
	}
	switch {
	case o.Handover != 0:
		s.tell("  %d ends its role, %d leads next", a.id, o.Handover)
	case o.Ended:
		s.tell("  %d ends its role", a.id)
	}
	for _, p := range o.Pieces {
		s.receive(a, p)
	}
}

// receive takes a piece over at once, but for the last, which has to be decoded.
func (s *stage) receive(a *actor, p Piece) {
	switch {
	case p.Snapshot == nil:
		a.part, a.load = nil, nil
		s.tell("  %d drops what it has of a snapshot", a.id)
		return
	case p.Resume:
		p.Snapshot.Chunks = a.part.Chunks
		s.tell("  %d goes on with the snapshot %v at chunk %d", a.id, p.Snapshot.Zxid, a.at.Chunk)
	case p.Begin:
		a.at = Position{}
	case p.Index != a.at.Chunk || p.Snapshot != a.part:
		s.t.Fatalf("chunk %d, not %d", p.Index, a.at.Chunk)
	default:
		p.Snapshot.Chunks = append(p.Snapshot.Chunks, p.Data)
		a.at = a.at.After(p.Data)
	}
	if a.part, a.load = p.Snapshot, nil; p.Last {
		a.load = &p
		s.tell("  %d has the snapshot %v: %d chunks, %d bytes", a.id, p.Snapshot.Zxid, len(p.Snapshot.Chunks), p.Snapshot.Length)
		return
	}
	at := a.at
	s.step(a, func(m *Machine) { m.Received(p.Snapshot, at, nil, nil) })
}

// read answers what the member reads in its log: all that there is, but for what was cut of it or left out.
func (s *stage) read(a *actor, gone bool, without Zxid) {
	reads := a.reads
	a.reads = nil
	for _, r := range reads {
		var got []Entry
		size := 0
		for _, x := range a.disk[:a.durable] {
			switch e := x.Entry; {
			case x.Kind == RecordReset:
				got = nil
			case x.Kind == RecordTrunc:
				got = slices.DeleteFunc(got, func(e Entry) bool { return e.Zxid > x.Zxid })
			case x.Kind == RecordEntry && e.Zxid > r.After && e.Zxid <= r.UpTo && e.Zxid != without:
				got = append(got, e)
			}
		}
		for i := range got {
			if size += len(got[i].Data); size > r.Bytes && i > 0 {
				got = got[:i]
				break
			}
		}
		if gone || a.logless || len(got) > 0 && without == 0 && got[0].Prev != r.After {
			got = nil
		}
		s.step(a, func(m *Machine) { m.ReadDone(r.ID, got) })
	}
}

func (s *stage) do(verb string, f []string) {
	switch verb {
	case "quiet", "loud":
	case "limits":
		for _, word := range f {
			name, value, _ := strings.Cut(word, "=")
			n := int(script.Number(s.t, value))
			field := map[string]*int{
				"init": &s.cfg.InitLimit, "sync": &s.cfg.SyncLimit, "tail": &s.cfg.MaxTail, "window": &s.cfg.Window, "batch": &s.cfg.MaxBatch, "chunk": &s.chunk,
			}[name]
			switch {
			case name == "counter":
				s.cfg.MaxCounter = uint32(n)
			case field != nil:
				*field = n
			case name == "log":
				s.cfg.ReadsLog = n != 0
			default:
				s.t.Fatalf("no limit %q", name)
			}
		}
	case "members":
		var members []quorum.Member
		for _, word := range f {
			x := script.ParseMember(s.t, word)
			m := quorum.Member{ID: quorum.ID(x.ID), Observer: x.Observer, Group: x.Group, Weight: x.Weight}
			members = append(members, m)
			s.ids = append(s.ids, m.ID)
			if x.Observer {
				s.observer = append(s.observer, m.ID)
			}
		}
		v, err := quorum.New(members)
		if err != nil {
			s.t.Fatal(err)
		}
		s.cfg.Verifier = v
		for _, id := range s.ids {
			s.begin(id, Recovered{Mark: Mark{Member: id, Incarnation: Incarnation{byte(id)}, Counts: true, Born: true}})
		}
	case "member":
		s.recovered(s.id(f[0]), f[1:])
	case "lead":
		s.step(s.actor(f[0]), (*Machine).Lead)
	case "follow":
		s.step(s.actor(f[0]), func(m *Machine) { m.Follow(s.id(f[1])) })
	case "run":
		s.run(f)
	case "slow", "fast":
		s.actor(f[0]).slow = verb == "slow"
	case "deliver", "drop":
		if len(f) > 0 {
			n := 1 << 20
			if len(f) > 2 {
				n = int(script.Number(s.t, f[2]))
			}
			if s.deliver(s.id(f[0]), s.id(f[1]), n, verb == "drop") == 0 {
				s.tell("  nothing lies there")
			}
			return
		}
		s.deliverAll()
	case "say":
		from, msg := s.id(f[0]), s.message(f[2], f[3:])
		s.step(s.actor(f[1]), func(m *Machine) { m.Receive(from, msg) })
	case "repeat":
		from := s.id(f[0])
		msg := s.last[[2]quorum.ID{from, s.id(f[1])}]
		if msg == nil {
			s.t.Fatalf("nothing to repeat from %s to %s", f[0], f[1])
		}
		s.tell("  %d->%s %s", from, f[1], describe(msg))
		s.step(s.actor(f[1]), func(m *Machine) { m.Receive(from, msg) })
	case "persist":
		ids := s.ids
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		for _, id := range ids {
			a := s.actors[id]
			upto := WriteID(1 << 62)
			if len(f) > 1 {
				upto = WriteID(script.Number(s.t, f[1]))
			}
			s.persist(a, upto)
		}
	case "load":
		a := s.actor(f[0])
		if a.load == nil {
			s.tell("  has no snapshot to decode")
			return
		}
		s.decode(a, len(f) > 1)
	case "read":
		a := s.actor(f[0])
		if len(a.reads) == 0 {
			s.tell("  reads nothing")
		}
		without := Zxid(0)
		if len(f) > 2 {
			without = s.zxid(f[2])
		}
		s.read(a, len(f) == 2, without)
	case "cutlog":
		a := s.actor(f[0])
		z := s.zxid(f[1])
		a.disk = slices.DeleteFunc(a.disk, func(r Record) bool { return r.Kind == RecordEntry && r.Entry.Zxid <= z })
		a.durable = len(a.disk)
	case "torn":
		s.actor(f[0]).torn = int(script.Number(s.t, f[1]))
	case "served":
		s.tell("  %+v", s.actor(f[0]).m.Served())
	case "batch":
		a := s.actor(f[0])
		a.m.Collect(&a.out)
		a.open = true
	case "end":
		a := s.actor(f[0])
		a.open = false
		s.carryOut(a)
	case "propose":
		a := s.actor(f[0])
		for _, word := range f[1:] {
			if !a.m.CanPropose() {
				s.tell("  %d cannot propose", a.id)
				return
			}
			next := a.m.Next()
			s.step(a, func(m *Machine) {
				data := []byte(word)
				if n, big := strings.CutSuffix(word, "*"); big {
					data = make([]byte, script.Number(s.t, n))
				}
				if z := m.Propose(data); z != next {
					s.t.Fatalf("proposed as %v, not %v", z, next)
				}
			})
		}
	case "confirm":
		a, round := s.actor(f[0]), uint64(0)
		s.step(a, func(m *Machine) { round = m.Confirm() })
		s.tell("  round %d", round)
	case "transfer":
		a := s.actor(f[0])
		s.step(a, func(m *Machine) {
			if !m.Transfer(s.id(f[1])) {
				a.done = append(a.done, "does not hand over")
			}
		})
	case "tick":
		ids, n := s.ids, 1
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		if len(f) > 1 {
			n = int(script.Number(s.t, f[1]))
		}
		for range n {
			for _, id := range ids {
				s.step(s.actors[id], (*Machine).Tick)
			}
		}
	case "lost":
		a, b := s.actor(f[0]), s.actor(f[1])
		delete(s.lines, [2]quorum.ID{a.id, b.id})
		delete(s.lines, [2]quorum.ID{b.id, a.id})
		s.cut, s.cutBy = a.id, b.id
		s.step(a, func(m *Machine) { m.Lost(b.id) })
		s.step(b, func(m *Machine) { m.Lost(a.id) })
		s.cut = 0
	case "stop":
		s.step(s.actor(f[0]), (*Machine).Stop)
	case "fail":
		s.step(s.actor(f[0]), func(m *Machine) { m.Fail(errors.New("disk")) })
	case "restart":
		s.restart(s.actor(f[0]))
	case "born":
		s.step(s.actor(f[0]), func(m *Machine) { m.Write(func(k *Mark) { k.Born = true }) })
	case "show":
		for _, id := range s.ids {
			s.tell("  %s", s.actors[id])
		}
	default:
		s.t.Fatalf("unknown directive %q", verb)
	}
}

func (s *stage) recovered(id quorum.ID, f []string) {
	delete(s.actors, id)
	rec := Recovered{Mark: Mark{Member: id, Incarnation: Incarnation{byte(id)}, Counts: true, Born: true}}
	for _, word := range f {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "promised":
			rec.Mark.Promised = uint32(script.Number(s.t, value))
		case "joined":
			rec.Mark.Joined = uint32(script.Number(s.t, value))
		case "incarnation":
			rec.Mark.Incarnation[0] = byte(script.Number(s.t, value))
		case "blank":
			rec.Mark.Counts = false
		default:
			e := Entry{Zxid: s.zxid(name), Kind: EntryData, Data: []byte(value)}
			if n := len(rec.Entries); n > 0 {
				e.Prev = rec.Entries[n-1].Zxid
			}
			if who, inc, ok := strings.Cut(strings.TrimPrefix(value, "readmit:"), ":"); ok {
				e.Kind, e.Data, e.Member, e.Incarnation[0] = EntryReadmit, []byte{}, s.id(who), byte(script.Number(s.t, inc))
			}
			rec.Entries = append(rec.Entries, e)
		}
	}
	rec.Pos = uint64(len(rec.Entries))
	s.begin(id, rec)
}

// restart reads the disk as recovery does: what was not persisted is lost.
func (s *stage) restart(a *actor) {
	var rec Recovered
	for _, r := range a.disk[:a.durable] {
		switch r.Kind {
		case RecordMark:
			rec.Mark = r.Mark
			continue
		case RecordEntry:
			rec.Entries = append(rec.Entries, r.Entry)
		case RecordTrunc:
			rec.Entries = slices.DeleteFunc(rec.Entries, func(e Entry) bool { return e.Zxid > r.Zxid })
		case RecordReset:
			rec.Snapshot, rec.Entries = r.Snapshot, nil
		}
		rec.Pos++
	}
	for _, id := range s.ids {
		delete(s.lines, [2]quorum.ID{a.id, id})
		delete(s.lines, [2]quorum.ID{id, a.id})
	}
	s.begin(a.id, rec)
	s.cut, s.cutBy = a.id, 0
	for _, id := range s.ids {
		if id != a.id {
			s.step(s.actors[id], func(m *Machine) { m.Lost(a.id) })
		}
	}
	s.cut = 0
}

func (s *stage) deliver(from, to quorum.ID, n int, lose bool) int {
	e := [2]quorum.ID{from, to}
	line := s.lines[e]
	n = min(n, len(line))
	s.lines[e] = line[n:]
	if lose {
		return n
	}
	for _, msg := range line[:n] {
		s.last[e] = msg
		s.step(s.actors[to], func(m *Machine) { m.Receive(from, msg) })
	}
	return n
}

func (s *stage) deliverAll() (n int) {
	for _, a := range s.ids {
		for _, b := range s.ids {
			n += s.deliver(a, b, len(s.lines[[2]quorum.ID{a, b}]), false)
		}
	}
	return n
}

func (s *stage) persist(a *actor, upto WriteID) (n int) {
	last := WriteID(0)
	for a.durable < len(a.disk) && a.disk[a.durable].ID <= upto {
		last = a.disk[a.durable].ID
		a.durable++
		n++
	}
	if last > 0 {
		s.step(a, func(m *Machine) { m.Persisted(last) })
	}
	return n
}

func (s *stage) decode(a *actor, damaged bool) {
	snap, at := a.load.Snapshot, a.at
	a.load = nil
	var state []string
	for _, c := range snap.Chunks {
		state = append(state, strings.Fields(string(c))...)
	}
	var err error
	if damaged {
		err = errors.New("damaged")
	}
	s.step(a, func(m *Machine) { m.Received(snap, at, state, err) })
}

func (s *stage) run(f []string) {
	limit := 50
	if len(f) > 0 {
		limit = int(script.Number(s.t, f[0]))
	}
	for range limit {
		n := s.deliverAll()
		for _, id := range s.ids {
			a := s.actors[id]
			if !a.slow {
				n += s.persist(a, 1<<62)
			}
			if a.load != nil {
				s.decode(a, false)
				n++
			}
			if !a.slow {
				n += len(a.reads)
				s.read(a, false, 0)
			}
		}
		if n == 0 {
			return
		}
	}
	if len(f) == 0 {
		s.t.Fatal("a storm")
	}
}

// message makes one of its name and fields: "Ack", "zxid=1.2", "joined".
func (s *stage) message(name string, f []string) Message {
	for _, msg := range []Message{
		&FollowerInfo{}, &LeaderInfo{}, &AckEpoch{}, &Refuse{}, &Sync{}, &Fetch{}, &Chunk{}, &Installed{}, &Propose{}, &NewLeader{}, &Ack{},
		&UpToDate{}, &Commit{}, &Ping{}, &Pong{}, &Handover{},
	} {
		v := reflect.ValueOf(msg).Elem()
		if v.Type().Name() != name {
			continue
		}
		for _, word := range f {
			key, value, _ := strings.Cut(word, "=")
			x := v.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, key) })
			switch {
			case !x.IsValid():
				s.t.Fatalf("%s has no %s", name, key)
			case x.Type() == reflect.TypeFor[Zxid]():
				x.SetUint(uint64(s.zxid(value)))
			case x.Type() == reflect.TypeFor[[]Entry]():
				z, prev, _ := strings.Cut(value, "<")
				x.Set(reflect.Append(x, reflect.ValueOf(Entry{Zxid: s.zxid(z), Prev: s.zxid(prev), Kind: EntryData, Data: []byte("?")})))
			case x.Kind() == reflect.Bool:
				x.SetBool(true)
			case x.CanUint():
				x.SetUint(uint64(script.Number(s.t, value)))
			default:
				s.t.Fatalf("%s.%s cannot be said", name, key)
			}
		}
		return msg
	}
	s.t.Fatalf("no message %q", name)
	return nil
}

func record(r Record) string {
	what := ""
	switch r.Kind {
	case RecordEntry:
		what = "entry " + entry(r.Entry)
	case RecordTrunc:
		what = fmt.Sprintf("TRUNC to %v", r.Zxid)
	case RecordReset:
		what = fmt.Sprintf("RESET to the snapshot %v", r.Zxid)
	case RecordMark:
		what = "mark: " + describeMark(r.Mark)
	}
	return fmt.Sprintf("#%d %s", r.ID, what)
}

func describeMark(k Mark) string {
	s := fmt.Sprintf("promised %d joined %d", k.Promised, k.Joined)
	if !k.Counts {
		s += " blank"
	}
	return s
}

func entry(e Entry) string {
	if e.Kind == EntryReadmit {
		return fmt.Sprintf("%v=readmit:%d:%d", e.Zxid, e.Member, e.Incarnation[0])
	}
	if len(e.Data) > 50 {
		return fmt.Sprintf("%v=%d*", e.Zxid, len(e.Data))
	}
	return fmt.Sprintf("%v=%s", e.Zxid, e.Data)
}

func entries(list []Entry) string {
	var words []string
	for _, e := range list {
		words = append(words, entry(e))
	}
	return strings.Join(words, " ")
}

func spans(list []Span) string {
	var words []string
	for _, x := range list {
		words = append(words, MakeZxid(x.Epoch, x.Last).String())
	}
	return cmp.Or(strings.Join(words, ","), "nothing")
}

// describe tells a message in a line. Its session comes first.
func describe(msg Message) string {
	word := func(b bool, yes, no string) string {
		if b {
			return " " + yes
		}
		return no
	}
	name := reflect.TypeOf(msg).Elem().Name()
	var s string
	session := Session(0)
	switch x := msg.(type) {
	case *FollowerInfo:
		session = x.Session
		s = fmt.Sprintf("promised %d joined %d last %v%s", x.Promised, x.Joined, x.Last, word(!x.Counts, "blank", ""))
	case *LeaderInfo:
		session, s = x.Session, fmt.Sprintf("epoch %d", x.Epoch)
	case *AckEpoch:
		session = x.Session
		s = fmt.Sprintf("epoch %d%s joined %d last %v spans %s%s", x.Epoch, word(x.Promise, "promised", ", no promise,"), x.Joined, x.Last, spans(x.Spans), word(!x.Counts, "blank", ""))
	case *Refuse:
		session, s = x.Session, fmt.Sprintf("promised %d", x.Promised)
	case *Sync:
		session = x.Session
		if x.Snapshot {
			s = fmt.Sprintf("epoch %d snapshot %v spans %s common %v id %d", x.Epoch, x.Zxid, spans(x.Spans), x.Common, binary.BigEndian.Uint64(x.ID[:]))
		} else {
			s = fmt.Sprintf("epoch %d keep %v", x.Epoch, x.Keep)
		}
	case *Fetch:
		session, s = x.Session, fmt.Sprintf("chunks %d to %d", x.At.Chunk, x.Upto-1)
	case *Chunk:
		session, s = x.Session, fmt.Sprintf("%d %q%s", x.Index, x.Data, word(x.Last, "last", ""))
	case *Installed:
		session = x.Session
	case *Propose:
		session, s = x.Session, fmt.Sprintf("epoch %d %s commit %v", x.Epoch, entries(x.Entries), x.Commit)
	case *NewLeader:
		session, s = x.Session, fmt.Sprintf("epoch %d last %v", x.Epoch, x.Last)
		if x.Snapshot != 0 {
			s += fmt.Sprintf(" snapshot %v", x.Snapshot)
		}
	case *Ack:
		session, s = x.Session, fmt.Sprintf("epoch %d %v%s%s", x.Epoch, x.Zxid, word(x.Joined, "joined", ""), word(!x.Counts, "blank", ""))
	case *UpToDate:
		session, s = x.Session, fmt.Sprintf("epoch %d commit %v", x.Epoch, x.Commit)
	case *Commit:
		session, s = x.Session, fmt.Sprintf("epoch %d commit %v", x.Epoch, x.Commit)
	case *Ping:
		session, s = x.Session, fmt.Sprintf("epoch %d round %d", x.Epoch, x.Round)
	case *Pong:
		session, s = x.Session, fmt.Sprintf("epoch %d round %d%s", x.Epoch, x.Round, word(x.Confirms, "confirms", ""))
	case *Handover:
		session, s = x.Session, fmt.Sprintf("epoch %d to %d", x.Epoch, x.To)
	}
	return strings.TrimSpace(fmt.Sprintf("%s s%d %s", name, session, s))
}

// String tells what a member is.
func (a *actor) String() string {
	m := a.m
	s := fmt.Sprintf("%d %v", a.id, m.Role())
	if m.Leader() != 0 && m.Leader() != a.id {
		s += fmt.Sprintf(" %d", m.Leader())
	}
	if m.Epoch() != 0 {
		s += fmt.Sprintf(" epoch %d", m.Epoch())
	}
	switch {
	case m.Serving():
		s += " serving"
	case m.Established():
		s += " established"
	}
	s += fmt.Sprintf(": %s, last %v durable %v committed %v applied %v", describeMark(m.Durable()), m.Last(), m.LastDurable(), m.Committed(), m.Applied())
	if m.Role() == Leading && m.Confirmed() > 0 {
		s += fmt.Sprintf(", confirmed round %d", m.Confirmed())
	}
	return s
}
