package core

import (
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// H9: through a thousand changes of leader, and restarts of members that have forgotten everything, no session gets an id that one had before; the wall clocks of all members stand still, or step back.
func TestH9SessionIDsAreUnique(t *testing.T) {
	x := newTrio(t)
	wall := time.Hour.Milliseconds()
	x.wall = func(quorum.ID) int64 { return wall }
	seen, runs, changes := map[uint64]bool{}, uint16(0), 0
	leads := func() quorum.ID {
		for range 400 {
			for id := quorum.ID(1); id <= 3; id++ {
				if s := x.m[id].Status(); s.Role == zab.Leading && s.Ready {
					return id
				}
			}
			x.ticks(1)
		}
		t.Fatal("nobody leads")
		return 0
	}
	epoch := x.m[leads()].Status().Epoch
	for round := 0; changes < 1000; round++ {
		leader := leads()
		for id := quorum.ID(1); id <= 3; id++ {
			for ticks := 0; !x.m[id].Status().Ready || x.m[id].Status().Session == 0; ticks++ {
				if x.ticks(1); ticks > 400 {
					t.Fatalf("round %d: member %d: %+v", round, id, x.m[id].Status())
				}
			}
			x.ticket++
			ticket := x.ticket
			x.step(id, &Request{Ticket: ticket, Payload: AppendCreate(nil, 1000), Wall: wall})
			for x.deliver(); x.replies[ticket].Zxid == 0; {
				x.ticks(1)
			}
			for _, n := range x.news[id] {
				if n.What != SessionOpened && n.What != SessionAttached {
					continue
				}
				if seen[n.Session] {
					t.Fatalf("round %d: session %x comes twice", round, n.Session)
				}
				seen[n.Session] = true
			}
			delete(x.news, id)
		}
		switch {
		case round%5 == 4: // with all that it knew
			id := quorum.ID(round/5%3 + 1)
			runs++
			for other := range x.m { // any order: each by itself
				if other != id {
					x.step(other, &Lost{id})
				}
			}
			x.start(id, runs)
			x.link(id)
		default:
			x.ticket++
			x.step(leader, &TransferRequest{Ticket: x.ticket})
			x.deliver()
		}
		if round%7 == 0 {
			wall -= time.Minute.Milliseconds()
		}
		x.ticks(2)
		if e := x.m[leads()].Status().Epoch; e != epoch {
			changes, epoch = changes+1, e
		}
	}
	if runs < 100 || len(seen) < 3000 || wall > 0 {
		t.Errorf("%d restarts, %d sessions, the clocks at %d", runs, len(seen), wall)
	}
}

// R4: requests of a member are decided, and committed, while it does not hear of it, and it has more that nobody has seen yet. It learns of the commits from another leader, before it could
// hand anything over; each request is decided once, and in order.
func TestR4CommitOfUnseenRequest(t *testing.T) {
	x := newTrio(t)
	old := x.leader()
	f := quorum.ID(1)
	if f == old {
		f = 2
	}
	s := x.open(f)
	create := func() []byte {
		b, err := datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: "/n-", Mode: datatree.Sequential}}, false, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ask := func() uint64 {
		x.ticket++
		x.step(f, &Request{Ticket: x.ticket, Session: s.Session, Generation: s.Generation, Payload: create()})
		return x.ticket
	}
	// The leader has the first two; what it says of them does not reach f.
	first, second := ask(), ask()
	applied := x.sm[old].Tree().Zxid()
	for len(x.queue) > 0 {
		p := x.queue[0]
		if x.queue = x.queue[1:]; p.to != f {
			x.step(p.to, &Receive{p.from, p.msg})
		}
	}
	if z := x.sm[old].Tree().Zxid(); z != applied+2 || x.replies[first].Zxid != 0 || x.replies[second].Zxid != 0 {
		t.Fatalf("they were not decided without f: %v after %v", z, applied)
	}
	// Then the leader is gone, and f has a third request, which nobody has seen.
	third := ask()
	x.queue = nil
	for _, id := range []quorum.ID{f, 6 - f - old} {
		x.step(id, &Lost{old})
		x.step(id, &Lost{6 - old - id})
	}
	x.isolate(old)
	x.step(f, &Linked{6 - f - old})
	x.step(6-f-old, &Linked{f})
	var order []uint64
	for ticks := 0; x.replies[third].Zxid == 0; ticks++ {
		if x.ticks(1); ticks > 200 {
			t.Fatal("the third is not answered")
		}
	}
	for _, ticket := range []uint64{first, second, third} {
		r := x.replies[ticket]
		if r.Err != nil {
			t.Errorf("%d: %v", ticket, r.Err)
		}
		order = append(order, uint64(r.Zxid))
		if want := []string{"/n-0000000000", "/n-0000000001", "/n-0000000002"}[len(order)-1]; r.Result.First.Path != want {
			t.Errorf("%d is %s, want %s", ticket, r.Result.First.Path, want)
		}
	}
	if order[0] != uint64(applied+1) || order[1] != uint64(applied+2) || order[2] <= order[1] || x.leader() == old {
		t.Errorf("decided as %x, and not the first two by the leader that is gone, after %v", order, applied)
	}
	v := x.sm[f].Tree().View()
	defer v.Release()
	if names, _ := v.ChildNames("/"); len(names) != 4 {
		t.Errorf("%v are there", names)
	}
}

// R2: a round of confirmation that was under way when Sync was called does not answer it, though a quorum completes it afterwards: who confirmed it may have followed another leader since.
func TestR2RoundUnderWay(t *testing.T) {
	x := newTrio(t)
	old := x.leader()
	x.ticks(2)
	// The heartbeat of a tick reaches the others, who answer it; the answers stay on their way.
	x.now += sessionTick
	x.step(old, &Tick{Wall: x.now.Milliseconds(), Now: x.now})
	var late []parcel
	for len(x.queue) > 0 {
		p := x.queue[0]
		x.queue = x.queue[1:]
		if _, pong := p.msg.(*zab.Pong); pong && p.to == old {
			late = append(late, p)
			continue
		}
		x.step(p.to, &Receive{p.from, p.msg})
	}
	if len(late) != 2 {
		t.Fatalf("%d have answered", len(late))
	}
	// The old leader stands still while the others follow another one.
	x.isolate(old)
	next := old%3 + 1
	for ticks := 0; !x.m[next].Status().Ready || x.m[next].Status().Leader == old; ticks++ {
		if ticks > 200 {
			t.Fatal("nobody else leads")
		}
		x.now += sessionTick
		for _, id := range []quorum.ID{next, 6 - old - next} {
			x.step(id, &Tick{Wall: x.now.Milliseconds(), Now: x.now})
			x.deliver()
		}
	}
	if s := x.m[old].Status(); s.Role != zab.Leading || !s.Ready {
		t.Fatalf("the old leader has noticed: %+v", s)
	}
	x.ticket++
	x.step(old, &SyncRequest{Ticket: x.ticket})
	for _, p := range late {
		x.step(old, &Receive{p.from, p.msg})
	}
	if r, ok := x.replies[x.ticket]; ok && r.Err == nil {
		t.Errorf("a round that began before it was asked for confirms %v", r.Zxid)
	}
}
