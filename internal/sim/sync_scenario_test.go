package sim

import (
	"slices"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

func TestSyncScenarios(t *testing.T) {
	for _, sc := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"S1", committedBeforeUpToDate},
		{"S2", ackBeforePersist},
		{"S3", epochBeforeHistory},
		{"S6", keptInMemory},
		{"S12", nothingInMemory},
		{"S15", partialShutdown},
		{"S18", ackBeforeNewLeader},
		{"S21", staleDiff},
	} {
		t.Run("scn/"+sc.name, sc.run)
	}
}

// What is proposed and committed while a learner is between NEWLEADER and UPTODATE is neither lost there nor doubled.
func committedBeforeUpToDate(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2)
	s.propose(1, "a")
	s.hold = func(l letter) bool { _, ok := l.msg.(*zab.UpToDate); return ok && l.to == 3 }
	s.at(3).m.Follow(1)
	s.run()
	if len(s.held) != 1 || s.at(3).m.Established() {
		t.Fatalf("held %d", len(s.held))
	}
	s.propose(1, "b")
	s.propose(1, "c")
	if c := s.at(1).m.Committed(); c != zab.MakeZxid(1, 3) {
		t.Fatalf("committed %v", c)
	}
	s.applied("", 3)
	s.release()
	s.tick(1)
	s.applied("a b c", 1, 2, 3)
	if n := len(s.at(3).disk.entries); n != 3 {
		t.Fatalf("%d entries", n)
	}
	s.crash(3)
	s.lead(2, 3)
	s.applied("a b c", 3)
}

// A follower that is given a history and NEWLEADER says nothing before its disk has it: whatever a client was told survives a loss of power of all, without the
// leader.
func ackBeforePersist(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 3)
	s.propose(1, "a")
	s.at(2).slow = true
	s.at(2).m.Follow(1)
	s.run()
	s.part(false, 1, 3)
	w := s.propose(1, "w") // 2 has it in memory, and NEWLEADER
	if c := s.at(1).m.Committed(); c >= w {
		t.Fatalf("committed %v with the disk of one", c)
	}
	for s.persist(s.at(2)) {
		s.run()
	}
	s.tick(1)
	if c := s.at(1).m.Committed(); c != w {
		t.Fatalf("committed %v, and two disks have %v", c, w)
	}
	for id := range s.actors {
		s.crash(s.actors[id].id)
	}
	s.join(1, 3)
	s.part(false, 1, 2, 3)
	s.lead(2, 3)
	s.propose(2, "x")
	s.applied("a w x", 2, 3)
}

// The joined epoch is written behind the history: a crash between any two records leaves no disk that is fresh and short.
func epochBeforeHistory(t *testing.T) {
	for kept := 0; ; kept++ {
		s := newStage(t, 3, 0)
		s.lead(1, 2)
		for _, w := range []string{"a", "b", "c"} {
			s.propose(1, w)
		}
		s.lead(1, 2) // of epoch 2, whose initial history that is
		b := s.at(3)
		b.slow = true
		b.m.Follow(1)
		s.run()
		for k := range kept {
			if len(b.disk.pending) == 0 {
				if b.disk.mark.Joined != 2 || b.disk.last() != zab.MakeZxid(1, 3) {
					t.Fatalf("after %d records: %+v, %v", k, b.disk.mark, b.disk.last())
				}
				return
			}
			r := b.disk.pending[0]
			b.disk.pending = b.disk.pending[1:]
			b.disk.apply(&r)
			if b.disk.mark.Joined == 2 && b.disk.last() != zab.MakeZxid(1, 3) {
				t.Fatalf("after %d records it has joined, and holds %v", k+1, b.disk.last())
			}
			b.m.Persisted(r.ID)
			s.run()
		}
		s.crash(3)
		s.part(false, 1, 2, 3)
		s.lead(3, 2) // 2 is fresher, unless 3 has all
		if s.at(3).m.Established() && b.disk.last() < zab.MakeZxid(1, 3) {
			t.Fatalf("after %d records 3 leads with %v", kept, b.disk.last())
		}
	}
}

// A leader that is followed by nobody any more keeps in memory what it has logged and nobody has committed. As a follower, without a restart, it lets that go.
func keptInMemory(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2, 3)
	s.propose(1, "a")
	s.part(true, 1, 2, 3)
	s.propose(1, "lost")
	s.propose(1, "lost too")
	s.lead(2, 3)
	s.propose(2, "b")
	s.join(1, 2, 3)
	s.at(1).m.Stop()
	s.run()
	s.at(1).m.Follow(2)
	s.run()
	s.tick(2)
	s.applied("a b", 1, 2, 3)
	if es := s.at(1).m.Entries(); len(es) != 2 || slices.ContainsFunc(es, func(e zab.Entry) bool { return e.Zxid == zab.MakeZxid(1, 2) }) {
		t.Fatalf("1 holds %v", es)
	}
	s.crash(1)
	s.at(1).m.Follow(2)
	s.run()
	s.tick(2)
	s.applied("a b", 1)
}

// A leader that has only a snapshot, and no entry in memory, cuts nothing of a learner that is where it is itself, and gives one that is not a snapshot.
func nothingInMemory(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2, 3)
	s.part(false, 3, 1, 2)
	for _, w := range []string{"a", "b"} {
		s.propose(1, w)
	}
	for _, id := range []int{0, 1} {
		a := s.actors[id]
		last := a.disk.last()
		a.disk.snap = &zab.Snapshot{Zxid: last, Spans: []zab.Span{{Epoch: 1, Last: last.Counter()}}, Chunks: [][]byte{[]byte("a b")}}
		a.disk.entries = nil
		s.crash(a.id)
	}
	s.join(3, 1, 2)
	var syncs []*zab.Sync
	s.hold = func(l letter) bool {
		if x, ok := l.msg.(*zab.Sync); ok {
			syncs = append(syncs, x)
		}
		return false
	}
	s.lead(1, 2)
	s.at(3).m.Follow(1)
	s.run()
	s.tick(1)
	if len(syncs) != 2 || syncs[0].Snapshot || syncs[0].Keep != zab.MakeZxid(1, 2) || !syncs[1].Snapshot {
		t.Fatalf("synchronised by %+v", syncs)
	}
	if s.at(2).disk.pos != s.at(1).disk.pos {
		t.Fatal("something was cut")
	}
	s.propose(1, "c")
	s.applied("a b c", 1, 2, 3)
}

// A learner goes away while its disk is still writing for the former attempt. What that wrote is part of its history, once, and in order.
func partialShutdown(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2, 3)
	s.propose(1, "a")
	b := s.at(2)
	b.slow = true
	s.propose(1, "b")
	s.propose(1, "c")
	if len(b.disk.pending) != 2 {
		t.Fatalf("%d records in the air", len(b.disk.pending))
	}
	b.m.Stop()
	s.run()
	s.propose(1, "d")
	b.m.Follow(1)
	s.run()
	for s.persist(b) {
		s.run()
	}
	b.slow = false
	if b.m.Role() == zab.Looking { // it does not follow while something is on its way to its disk
		b.m.Follow(1)
		s.run()
	}
	s.propose(1, "e")
	s.tick(1)
	s.applied("a b c d e", 1, 2, 3)
	prev := zab.Zxid(0)
	for _, e := range b.disk.entries {
		if e.Prev != prev {
			t.Fatalf("%v follows %v on the disk, not %v", e.Zxid, e.Prev, prev)
		}
		prev = e.Zxid
	}
}

// An acknowledgement of a proposal by a learner that has not acknowledged NEWLEADER yet counts for nothing, and ends nothing.
func ackBeforeNewLeader(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2)
	s.hold = func(l letter) bool { x, ok := l.msg.(*zab.NewLeader); return ok && x != nil && l.to == 3 }
	s.at(3).m.Follow(1)
	s.run()
	s.part(true, 1, 2)
	w := s.propose(1, "w")
	m := s.at(1).m
	if s.at(3).disk.last() != w {
		t.Fatalf("3 holds %v", s.at(3).disk.last())
	}
	if m.Committed() >= w || m.Role() != zab.Leading {
		t.Fatalf("%v, committed %v", m.Role(), m.Committed())
	}
	s.release()
	s.tick(1)
	if m.Committed() != w {
		t.Fatalf("committed %v", m.Committed())
	}
	s.applied("w", 1, 3)
}

// The same proposals come a second time in one session, as no leader sends them. None of them is written twice; the learner begins anew, and has all.
func staleDiff(t *testing.T) {
	s := newStage(t, 3, 0)
	s.lead(1, 2, 3)
	var old []letter
	s.hold = func(l letter) bool {
		if x, ok := l.msg.(*zab.Propose); ok && l.to == 2 && len(x.Entries) > 0 {
			y := *x
			y.Entries = slices.Clone(x.Entries)
			old = append(old, letter{l.from, l.to, &y})
		}
		return false
	}
	s.propose(1, "a")
	s.propose(1, "b")
	pos := s.at(2).disk.pos
	for _, l := range old {
		s.at(2).m.Receive(l.from, l.msg)
		s.run()
	}
	if len(old) != 2 || s.at(2).disk.pos != pos || s.at(2).err != nil {
		t.Fatalf("%d again; position %d, was %d; %v", len(old), s.at(2).disk.pos, pos, s.at(2).err)
	}
	s.at(2).m.Stop()
	s.run()
	s.at(2).m.Follow(1)
	s.run()
	s.propose(1, "c")
	s.tick(1)
	s.applied("a b c", 1, 2, 3)
}
