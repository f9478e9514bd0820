package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// words is the state machine of the scenarios: what was applied, in order.
type words struct {
	z    zab.Zxid
	list []string
}

func (w *words) Apply(e zab.Entry) {
	w.z = e.Zxid
	if e.Kind == zab.EntryData {
		w.list = append(w.list, string(e.Data))
	}
}
func (w *words) Install(state any) { *w = *state.(*words) }
func (w *words) Snapshot() zab.SnapshotReader {
	return &wordReader{w.z, []byte(strings.Join(w.list, " "))}
}

// wordReader is a snapshot of one chunk.
type wordReader struct {
	z zab.Zxid
	b []byte
}

func (r *wordReader) Zxid() zab.Zxid              { return r.z }
func (r *wordReader) Next() ([]byte, bool, error) { return r.b, true, nil }
func (r *wordReader) Close()                      {}

func unpack(s *zab.Snapshot) *words {
	return &words{s.Zxid, strings.Fields(string(slices.Concat(s.Chunks...)))}
}

// actor is one member of a scenario. Nothing elects: the scenario says who leads and who follows.
type actor struct {
	id    quorum.ID
	m     *zab.Machine
	out   zab.Output
	host  *words
	disk  store
	slow  bool // what it writes becomes durable by persist only
	ended int  // roles that ended
	err   error
}

// take gives the machine back what it hands out of a snapshot: of one chunk, as all here.
func (a *actor) take(p zab.Piece) {
	switch {
	case p.Snapshot == nil:
	case p.Begin:
		a.m.Received(p.Snapshot, zab.Position{}, nil, nil)
	default:
		p.Snapshot.Chunks = [][]byte{p.Data}
		a.m.Received(p.Snapshot, zab.Position{}.After(p.Data), unpack(p.Snapshot), nil)
	}
}

type letter struct {
	from, to quorum.ID
	msg      zab.Message
}

// stage is a network that does what the scenario says.
type stage struct {
	t        *testing.T
	verifier quorum.Verifier
	actors   []*actor
	apart    map[[2]quorum.ID]bool
	mail     []letter
	held     []letter
	hold     func(letter) bool // nil: nothing is held back
	sessions zab.Session
	drawn    byte
}

func newStage(t *testing.T, n int, promised uint32) *stage {
	s := &stage{t: t, apart: map[[2]quorum.ID]bool{}}
	var members []quorum.Member
	for id := quorum.ID(1); id <= quorum.ID(n); id++ {
		members = append(members, quorum.Member{ID: id})
	}
	v, err := quorum.New(members)
	if err != nil {
		t.Fatal(err)
	}
	s.verifier = v
	for id := quorum.ID(1); id <= quorum.ID(n); id++ {
		a := &actor{id: id}
		s.drawn++
		a.disk.mark = zab.Mark{Ensemble: zab.EnsembleID{1}, Member: id, Incarnation: zab.Incarnation{s.drawn}, Counts: true, Born: true, Promised: promised, Joined: promised}
		s.actors = append(s.actors, a)
		s.start(a)
	}
	return s
}

func (s *stage) at(id quorum.ID) *actor { return s.actors[id-1] }

func (s *stage) start(a *actor) {
	a.host, a.out, a.err, a.slow = &words{}, zab.Output{}, nil, false
	if a.disk.snap != nil {
		a.host = unpack(a.disk.snap)
	}
	a.m = zab.New(zab.Config{
		Self: a.id, Verifier: s.verifier, InitLimit: 5, SyncLimit: 3, MaxTail: 1 << 20, Window: 1 << 20, MaxBatch: 1 << 16, MaxCounter: 1 << 20,
		NextSession: func() zab.Session { s.sessions++; return s.sessions },
	}, zab.Recovered{Mark: a.disk.mark, Snapshot: a.disk.snap, Entries: slices.Clone(a.disk.entries), Pos: a.disk.pos}, a.host)
	a.m.Collect(&a.out)
}

// part ends the links between two groups; both ends learn of it unless it is silent.
func (s *stage) part(silent bool, a quorum.ID, others ...quorum.ID) {
	for _, b := range others {
		s.apart[[2]quorum.ID{min(a, b), max(a, b)}] = true
		dead := func(l letter) bool { return l.from == a && l.to == b || l.from == b && l.to == a }
		s.mail = slices.DeleteFunc(s.mail, dead)
		s.held = slices.DeleteFunc(s.held, dead)
		if !silent {
			s.at(a).m.Lost(b)
			s.at(b).m.Lost(a)
		}
	}
}

func (s *stage) join(a quorum.ID, others ...quorum.ID) {
	for _, b := range others {
		delete(s.apart, [2]quorum.ID{min(a, b), max(a, b)})
	}
}

// crash restarts a member with what was durable; wipe with nothing, as a blank member of another incarnation.
func (s *stage) crash(id quorum.ID) {
	a := s.at(id)
	for _, b := range s.actors {
		if b != a && !s.apart[[2]quorum.ID{min(id, b.id), max(id, b.id)}] {
			s.part(false, id, b.id)
			s.join(id, b.id)
		}
	}
	a.disk.pending = nil
	s.start(a)
}

func (s *stage) wipe(id quorum.ID) {
	s.drawn++
	s.at(id).disk = store{mark: zab.Mark{Ensemble: zab.EnsembleID{1}, Member: id, Incarnation: zab.Incarnation{s.drawn}, Born: true}}
	s.crash(id)
}

func (s *stage) persist(a *actor) bool {
	n := len(a.disk.pending)
	if n == 0 {
		return false
	}
	records := a.disk.pending
	a.disk.pending = nil
	for i := range records {
		a.disk.apply(&records[i])
	}
	a.m.Persisted(records[n-1].ID)
	return true
}

// run delivers until nothing is left to be delivered or made durable.
func (s *stage) run() {
	for busy := true; busy; {
		busy = false
		for _, a := range s.actors {
			out := a.out
			a.out = zab.Output{}
			a.m.Collect(&a.out)
			a.disk.pending = append(a.disk.pending, out.Writes...)
			for _, x := range out.Sends {
				if !s.apart[[2]quorum.ID{min(a.id, x.To), max(a.id, x.To)}] {
					s.mail = append(s.mail, letter{a.id, x.To, x.Message})
				}
			}
			if out.Ended {
				a.ended++
			}
			if out.Err != nil {
				a.err = out.Err
			}
			for _, p := range out.Pieces {
				a.take(p)
				busy = true
			}
			if !a.slow && s.persist(a) || len(out.Sends) > 0 {
				busy = true
			}
		}
		mail := s.mail
		s.mail = nil
		for _, l := range mail {
			if s.hold != nil && s.hold(l) {
				s.held = append(s.held, l)
				continue
			}
			s.at(l.to).m.Receive(l.from, l.msg)
			busy = true
		}
	}
}

// release delivers what was held back.
func (s *stage) release() {
	s.hold = nil
	s.mail, s.held = append(s.held, s.mail...), nil
	s.run()
}

func (s *stage) tick(ids ...quorum.ID) {
	for _, id := range ids {
		s.at(id).m.Tick()
	}
	s.run()
}

// lead makes a member stand and others follow it, whatever they were before.
func (s *stage) lead(id quorum.ID, followers ...quorum.ID) {
	for _, f := range append(slices.Clone(followers), id) {
		s.at(f).m.Stop()
	}
	s.run()
	s.at(id).m.Lead()
	for _, f := range followers {
		s.at(f).m.Follow(id)
	}
	s.run()
}

func (s *stage) propose(id quorum.ID, word string) zab.Zxid {
	s.t.Helper()
	if !s.at(id).m.CanPropose() {
		s.t.Fatalf("%d cannot propose %q", id, word)
	}
	z := s.at(id).m.Propose([]byte(word))
	s.run()
	return z
}

func (s *stage) establishedIn(id quorum.ID, epoch uint32) {
	s.t.Helper()
	m := s.at(id).m
	if m.Role() != zab.Leading || !m.Established() || m.Epoch() != epoch {
		s.t.Fatalf("%d is %v of epoch %d, established %v; want leading %d", id, m.Role(), m.Epoch(), m.Established(), epoch)
	}
}

func (s *stage) notEstablished(ids ...quorum.ID) {
	s.t.Helper()
	for _, id := range ids {
		if s.at(id).m.Established() {
			s.t.Fatalf("%d has established epoch %d", id, s.at(id).m.Epoch())
		}
	}
}

// applied checks what each of some members has applied.
func (s *stage) applied(want string, ids ...quorum.ID) {
	s.t.Helper()
	for _, id := range ids {
		if got := strings.Join(s.at(id).host.list, " "); got != want || s.at(id).err != nil {
			s.t.Fatalf("%d applied %q, want %q; %v", id, got, want, s.at(id).err)
		}
	}
}

func (s *stage) counts(want bool, ids ...quorum.ID) {
	s.t.Helper()
	for _, id := range ids {
		if got := s.at(id).disk.mark.Counts; got != want {
			s.t.Fatalf("%d: durable mark says counts %v", id, got)
		}
	}
}

func TestScenarios(t *testing.T) {
	for _, sc := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Amnesia3", func(t *testing.T) { amnesia(t, 3, []quorum.ID{3}, nil, 3) }},
		{"Amnesia5", func(t *testing.T) { amnesia(t, 5, []quorum.ID{3, 4}, []quorum.ID{5}, 4) }},
		{"ReadmitInOwnLog", readmitInOwnLog},
		{"ReadmitKnownToLeaderOnly", readmitKnownToLeaderOnly},
		{"SnapshotGoesBack", snapshotGoesBack},
		{"ShutOutVoter", shutOutVoter},
		{"CommitBeforeTrunc", commitBeforeTrunc},
		{"FollowsTwice", followsTwice},
		{"BirthInterrupted", birthInterrupted},
		{"BirthAfterPromise", birthAfterPromise},
		{"RenewedUnderLoad", renewedUnderLoad},
		{"ReadyWhenDurable", readyWhenDurable},
		{"DeposedLeaderSilent", deposedLeaderSilent},
	} {
		t.Run("scn/"+sc.name, sc.run)
	}
}

// Counted at once, a member that forgot would complete the quorum of a leader that it had helped to depose.
// 2 leads epoch 4 with old; bridge leaves it, and establishes epoch 5 with 1 and fresh, where w is committed; 1 is wiped and reaches 2 first.
func amnesia(t *testing.T, n int, old, fresh []quorum.ID, bridge quorum.ID) {
	s := newStage(t, n, 3)
	s.lead(2, old...)
	s.establishedIn(2, 4)
	s.part(false, bridge, 2)
	s.lead(bridge, append(slices.Clone(fresh), 1)...)
	s.establishedIn(bridge, 5)
	s.propose(bridge, "w")
	s.applied("w", append(slices.Clone(fresh), 1, bridge)...)
	s.wipe(1)
	s.at(1).m.Follow(2)
	s.run()
	s.establishedIn(2, 4)
	s.propose(2, "z")
	if m := s.at(1).m; m.Last() != s.at(2).m.Last() || !m.Established() {
		t.Fatalf("the blank member holds %v, its leader %v", m.Last(), s.at(2).m.Last())
	}
	s.applied("", 1, 2)
	s.counts(false, 1)
	if at := s.at(2).m.Committed(); at != 0 {
		t.Fatalf("2 has committed up to %v in epoch 4", at)
	}
	round := s.at(2).m.Confirm()
	s.run()
	if s.at(2).m.Confirmed() >= round {
		t.Fatal("a blank member confirms a deposed leader")
	}
	s.join(bridge, 2)
	var others []quorum.ID
	for id := quorum.ID(1); id <= quorum.ID(n); id++ {
		if id != bridge {
			others = append(others, id)
		}
	}
	s.lead(bridge, others...)
	s.establishedIn(bridge, 6)
	s.propose(bridge, "end")
	s.tick(append(others, bridge)...)
	s.applied("w end", append(others, bridge)...)
	s.counts(true, append(others, bridge)...)
}

// A log may hold a readmission that was never committed: a candidate that counted by it would make a second leader of epoch 2.
func readmitInOwnLog(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2)
	s.establishedIn(1, 1)
	s.part(false, 1, 2)
	s.at(2).m.Lead()
	s.hold = func(l letter) bool { _, ok := l.msg.(*zab.AckEpoch); return ok }
	s.at(3).m.Follow(2)
	s.run()
	s.at(2).slow = true
	s.release() // 2 has the promise of 3, and its joined epoch is on its way to the disk
	s.wipe(3)
	s.part(false, 2, 3)
	s.at(3).m.Follow(1)
	s.run()
	entries := s.at(1).m.Entries()
	if k := len(entries); k == 0 || entries[k-1].Kind != zab.EntryReadmit || entries[k-1].Zxid <= s.at(1).m.Committed() {
		t.Fatalf("1 holds %v, committed %v", entries, s.at(1).m.Committed())
	}
	s.counts(false, 3)
	s.crash(1)
	s.lead(1, 3)
	s.tick(1, 3)
	s.notEstablished(1, 3)
	if p := s.at(1).disk.mark.Promised; p != 1 {
		t.Fatalf("1 promised %d by itself and a blank member", p)
	}
	s.at(1).m.Stop()
	s.at(2).slow = false
	s.join(1, 2)
	s.join(2, 3)
	s.run()
	s.at(1).m.Follow(2)
	s.at(3).m.Stop()
	s.run()
	s.at(3).m.Follow(2)
	s.run()
	s.establishedIn(2, 2)
	s.propose(2, "w")
	s.tick(1, 2, 3)
	s.applied("w", 1, 2, 3)
	s.counts(true, 1, 2, 3)
}

// A disk is repaired when its member has recorded that it is, not before: what only the leader knew is gone with the leader.
func readmitKnownToLeaderOnly(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2, 3)
	s.wipe(2)
	s.hold = func(l letter) bool { _, ok := l.msg.(*zab.Commit); return ok }
	s.at(2).m.Follow(1)
	s.run()
	if c := s.at(1).m.Committed(); c != s.at(1).m.Last() || c == 0 {
		t.Fatalf("1 has not committed the readmission: %v of %v", c, s.at(1).m.Last())
	}
	s.counts(false, 2)
	s.wipe(1)
	s.hold, s.held = nil, nil
	for range 3 {
		s.lead(3, 1, 2)
		s.tick(3)
		s.notEstablished(1, 2, 3)
	}
	s.counts(false, 1, 2)
	if e := s.at(3).disk.mark; e.Promised != 1 || e.Joined != 1 {
		t.Fatalf("3 went on alone: %+v", e)
	}
}

// A snapshot older than what both have in common, interrupted by a crash, would lose what was acknowledged.
func snapshotGoesBack(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2)
	w := s.propose(1, "w")
	s.crash(1)
	s.crash(2) // neither knows that w is committed
	s.hold = func(l letter) bool { return l.from == 1 && l.to == 2 && !isLeaderInfo(l.msg) }
	s.lead(1, 2)
	first, ok := s.held[0].msg.(*zab.Sync)
	if !ok || first.Common != w || first.Keep != w || s.at(2).m.Role() != zab.Following {
		t.Fatalf("held %+v", s.held[0].msg)
	}
	x := *first
	before := s.at(2).disk.pos
	x.Keep, x.Snapshot, x.Zxid = 0, true, 0
	s.at(2).m.Receive(1, &x)
	s.run()
	if m := s.at(2).m; m.Role() != zab.Looking || m.Last() != w || s.at(2).disk.pos != before || s.at(2).err != nil {
		t.Fatalf("2 is %v and holds %v", m.Role(), m.Last())
	}
	s.hold, s.held = nil, nil
	s.crash(2)
	s.crash(1)
	s.part(false, 1, 2, 3)
	s.lead(2, 3)
	s.propose(2, "x")
	s.applied("w x", 2, 3)
}

// A voter that promised an epoch nobody established could never follow again: the leader renews its epoch above it, and stays.
func shutOutVoter(t *testing.T) {
	s := newStage(t, 3, 0)
	s.hold = func(l letter) bool { _, ok := l.msg.(*zab.LeaderInfo); return ok }
	for range 2 {
		s.lead(2, 3)
		s.crash(3)
		s.crash(2)
	}
	s.hold, s.held = nil, nil
	if p := s.at(2).disk.mark; p.Promised != 2 || p.Joined != 0 || s.at(3).disk.mark.Promised != 0 {
		t.Fatalf("2 has %+v", p)
	}
	s.lead(1, 3)
	s.establishedIn(1, 1)
	s.propose(1, "w")
	ended := s.at(1).ended + s.at(3).ended
	s.at(2).m.Follow(1)
	s.run()
	for range 3 {
		s.tick(1, 3)
		if s.at(2).m.Role() == zab.Looking {
			s.at(2).m.Follow(1)
			s.run()
		}
	}
	s.establishedIn(1, 3)
	if s.at(1).ended+s.at(3).ended != ended {
		t.Fatal("a role ended")
	}
	s.propose(1, "x")
	s.tick(1, 2, 3)
	s.applied("w x", 1, 2, 3)
}

// A commit position says nothing about a tail that is still to be cut.
func commitBeforeTrunc(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(3, 1, 2)
	s.propose(3, "a")
	s.part(true, 3, 1, 2)
	s.propose(3, "lost")
	s.crash(3)
	s.lead(1, 2)
	z := s.propose(1, "b")
	s.propose(1, "c")
	s.join(3, 1, 2)
	s.hold = func(l letter) bool { return l.from == 1 && l.to == 3 && !isLeaderInfo(l.msg) }
	s.at(3).m.Follow(1)
	s.run()
	x, ok := s.held[0].msg.(*zab.Sync)
	if !ok || x.Keep != zab.MakeZxid(1, 1) {
		t.Fatalf("held %+v", s.held[0].msg)
	}
	s.at(3).m.Receive(1, &zab.Commit{Session: x.Session, Epoch: x.Epoch, Commit: z})
	s.run()
	if m := s.at(3).m; m.Committed() != 0 || m.Last() != zab.MakeZxid(1, 2) {
		t.Fatalf("3 takes %v for committed and holds %v", m.Committed(), m.Last())
	}
	s.applied("", 3)
	s.release()
	s.tick(1)
	s.applied("a b c", 1, 2, 3)
}

func isLeaderInfo(m zab.Message) bool { _, ok := m.(*zab.LeaderInfo); return ok }

// An acknowledgement belongs to the attempt that it was sent in; a later attempt may hold less.
func followsTwice(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2, 3)
	s.part(true, 1, 3)
	s.hold = func(l letter) bool { _, ok := l.msg.(*zab.Ack); return ok && l.from == 2 }
	w := s.propose(1, "w")
	if len(s.held) != 1 {
		t.Fatalf("held %d", len(s.held))
	}
	old := s.held[0]
	s.held = nil
	s.at(2).m.Stop()
	s.run()
	s.at(2).m.Follow(1)
	s.run()
	for range 2 {
		s.at(1).m.Receive(2, old.msg)
		s.run()
	}
	if m := s.at(1).m; m.Committed() != 0 || m.Acked(2) != 0 {
		t.Fatalf("an ack of the former session counts: committed %v, acked %v", m.Committed(), m.Acked(2))
	}
	s.release()
	if m := s.at(1).m; m.Committed() != w || m.Acked(2) != w {
		t.Fatalf("committed %v, acked %v", m.Committed(), m.Acked(2))
	}
	s.applied("w", 1, 2)
}
