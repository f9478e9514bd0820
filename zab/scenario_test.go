package zab

import (
	"cmp"
	"errors"
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
//	limits sync=3 init=5 tail=9 window=9 batch=9 apply=9 counter=9 snapshot=9 chunk=2 log=1   of all members made from here on (chunk: entries; log: they can read it)
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
//	read 3, read 3 gone, read 3 without 1.2   what 3 reads in its log; run does it for those that are not slow
//	torn 3 2                         3 cannot read the second chunk of its state
//	served 3                         what it has done for learners
//	batch 3, end 3                   what member 3 is told between them goes into one Output
//	propose 3 a b 100*               entries, one Output each; the last of 100 bytes
//	confirm 3                        a round of confirmation
//	transfer 3 1                     hand over to 1; 0 is anybody
//	tick, tick 3 2                   all members, or member 3 by 2 ticks
//	lost 1 3                         both ends lose the link, and what lay on it
//	continue 3                       applies more; run does it for those that have more
//	stop 3                           leaves its role
//	fail 3                           its disk does
//	restart 1                        with what was persisted and lost links
//	born 1                           writes a mark, as the birth does
//	show                             all members
func TestScenarios(t *testing.T) { script.Run(t, play) }

type stage struct {
	script.Story
	cfg      Config
	chunk    int
	most     uint64 // bytes of a snapshot that is received; 0: as it comes
	session  Session
	ids      []quorum.ID
	observer []quorum.ID
	actors   map[quorum.ID]*actor
	lines    map[[2]quorum.ID][]Message
	last     map[[2]quorum.ID]Message
	cut      quorum.ID // what is sent to or by it goes nowhere: its links have just ended
	cutBy    quorum.ID // or only the one to this member
}

// actor is a member, and what a shell would have around it.
type actor struct {
	s       *stage
	id      quorum.ID
	m       *Machine
	out     Output
	open    bool
	slow    bool
	more    bool
	disk    []Record  // what was issued
	durable int       // of disk
	load    *Snapshot // all chunks of it are here
	part    *Snapshot // being received, with its chunks
	at      Position  // of the next
	reads   []Read
	torn    int      // chunks until reading the state fails; 0: never
	state   []string // applied
	done    []string // what happened in this Output
}

func play(t testing.TB, directives [][]string) string {
	s := &stage{
		Story: script.Story{TB: t}, chunk: 1, actors: map[quorum.ID]*actor{}, lines: map[[2]quorum.ID][]Message{}, last: map[[2]quorum.ID]Message{},
		cfg: Config{InitLimit: 6, SyncLimit: 3, MaxTail: 1 << 20, Window: 1 << 20, MaxBatch: 1 << 20, MaxCounter: 1 << 20},
	}
	s.cfg.NextSession = func() Session { s.session++; return s.session }
	return s.Play(directives, "limits members member slow fast", s.do)
}

func (s *stage) id(word string) quorum.ID { return quorum.ID(script.Number(s, word)) }

func (s *stage) zxid(word string) Zxid {
	z, err := ParseZxid(word)
	if err != nil {
		s.Fatal(err)
	}
	return z
}

func (s *stage) actor(word string) *actor {
	a := s.actors[s.id(word)]
	if a == nil {
		s.Fatalf("no member %s", word)
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
	a.m.maxSnapshot = cmp.Or(s.most, a.m.maxSnapshot)
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
		s.Tell("  %d writes %s", a.id, record(r))
		a.disk = append(a.disk, r)
	}
	for _, x := range a.done {
		s.Tell("  %d %s", a.id, x)
	}
	a.done = nil
	for _, send := range o.Sends {
		e := [2]quorum.ID{a.id, send.To}
		if s.cut != 0 && (a.id == s.cut || send.To == s.cut) && (s.cutBy == 0 || a.id == s.cutBy || send.To == s.cutBy) {
			continue
		}
		s.lines[e] = append(s.lines[e], send.Message)
		s.Tell("  %d->%d %s", a.id, send.To, describe(send.Message))
	}
	for _, r := range o.Reads {
		a.asked(r)
	}
	if o.More {
		a.more = true
		s.Tell("  %d has more to apply", a.id)
	}
	if o.Err != nil {
		s.Tell("  %d fails: %v", a.id, o.Err)
	}
	switch {
	case o.Handover != 0:
		s.Tell("  %d ends its role, %d leads next", a.id, o.Handover)
	case o.Ended:
		s.Tell("  %d ends its role", a.id)
	}
	for _, p := range o.Pieces {
		s.receive(a, p)
	}
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

func (s *stage) run(f []string) {
	limit := 50
	if len(f) > 0 {
		limit = int(script.Number(s, f[0]))
	}
	for range limit {
		n := s.deliverAll()
		for _, id := range s.ids {
			a := s.actors[id]
			if !a.slow {
				n += s.persist(a, 1<<62) + s.read(a, false, 0)
			}
			if a.load != nil {
				s.decode(a, false)
				n++
			}
			if a.more {
				a.more = false
				s.step(a, (*Machine).Continue)
				n++
			}
		}
		if n == 0 {
			return
		}
	}
	if len(f) == 0 {
		s.Fatal("a storm")
	}
}
