package sim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// player is one whole member of a play: election, birth, Zab and requests.
type player struct {
	id      quorum.ID
	m       *machine
	sm      *core.Znodes
	disk    store
	replies map[uint64][]reply

	outputs int  // with something to carry out, since the beginning
	crashAt int  // the output in the middle of which it crashes; 0: none
	written bool // what is left of that output: its writes, or else its messages
	crashed bool
	at      zab.Position // of the snapshot that it receives
}

type note struct {
	from, to quorum.ID
	msg      core.Message
}

// play is a network of whole members. What they write is durable at once, and what they send arrives unless its pair is cut.
type play struct {
	t       *testing.T
	members []quorum.Member
	players []*player
	limit   uint32 // MaxCounter
	cut     map[[2]quorum.ID]bool
	mail    []note
	drawn   byte
	ids     map[zab.EnsembleID]bool // all that were ever durable
}

func newPlay(t *testing.T, n int, limit uint32) *play {
	p := &play{t: t, limit: limit, cut: map[[2]quorum.ID]bool{}, ids: map[zab.EnsembleID]bool{}}
	for id := quorum.ID(1); id <= quorum.ID(n); id++ {
		p.members = append(p.members, quorum.Member{ID: id})
		p.players = append(p.players, &player{id: id, replies: map[uint64][]reply{}})
	}
	return p
}

// begin starts all with what their disks hold.
func (p *play) begin() {
	for _, a := range p.players {
		p.start(a)
	}
	for _, a := range p.players {
		p.link(a)
	}
	p.run()
}

func (p *play) at(id quorum.ID) *player { return p.players[id-1] }

func (p *play) start(a *player) {
	p.drawn++
	a.sm = core.NewZnodes(maxData)
	a.m = core.New(core.Config{
		Self: a.id, Members: p.members, InitLimit: 10, SyncLimit: 5, MaxInFlight: 100, MaxTail: 1 << 20, Window: 1 << 20, ChunkSize: 1 << 10,
		MaxCounter: p.limit, Incarnation: zab.Incarnation{p.drawn}, Ensemble: zab.EnsembleID{p.drawn}, Run: zab.Incarnation{p.drawn},
	}, core.Recovered{Mark: a.disk.mark, Snapshot: a.disk.snap, Entries: slices.Clone(a.disk.entries), Pos: a.disk.pos}, a.sm)
}

func pair2(a, b quorum.ID) [2]quorum.ID { return [2]quorum.ID{min(a, b), max(a, b)} }

// link begins new streams between a member and all others it can reach.
func (p *play) link(a *player) {
	p.mail = slices.DeleteFunc(p.mail, func(n note) bool { return n.from == a.id || n.to == a.id })
	for _, b := range p.players {
		if b != a && !p.cut[pair2(a.id, b.id)] {
			p.step(b, &core.Linked{Peer: a.id})
			p.step(a, &core.Linked{Peer: b.id})
		}
	}
}

func (p *play) step(a *player, in core.Input) {
	var out output
	a.m.Step(in, &out)
	if out.Failed != nil {
		p.t.Fatalf("%d ended: %v", a.id, out.Failed)
	}
	if out.Changed && out.Status.Ready && !a.disk.mark.Counts {
		p.t.Fatalf("%d calls itself ready, and would not count after a loss of power", a.id)
	}
	writes, sends := out.Writes, out.Sends
	if len(writes)+len(sends) > 0 {
		a.outputs++
		if a.outputs == a.crashAt {
			a.crashed = true
			if a.written {
				sends = nil
			} else {
				writes = nil
			}
		}
	}
	for _, r := range out.Replies {
		a.replies[r.Ticket] = append(a.replies[r.Ticket], r)
	}
	for _, s := range sends {
		if !p.cut[pair2(a.id, s.To)] {
			p.mail = append(p.mail, note{a.id, s.To, s.Message})
		}
	}
	for i := range writes {
		a.disk.apply(&writes[i])
	}
	if e := a.disk.mark.Ensemble; e != (zab.EnsembleID{}) {
		p.ids[e] = true
	}
	if a.crashed {
		return
	}
	if k := len(writes); k > 0 {
		p.step(a, &core.Persisted{Upto: writes[k-1].ID})
	}
	for _, x := range out.Pieces {
		s := x.Snapshot
		if x.Begin {
			a.at = zab.Position{}
		} else {
			s.Chunks, a.at = append(s.Chunks, x.Data), a.at.After(x.Data)
		}
		t := &core.Taken{Snapshot: s, At: a.at}
		if x.Last {
			t.State, t.Err = a.sm.Decode(s.Chunks)
		}
		p.step(a, t)
	}
}

// run delivers until nothing is on its way, and starts again who crashed.
func (p *play) run() {
	for {
		for _, a := range p.players {
			if a.crashed {
				a.crashed = false
				for _, b := range p.players {
					if b != a {
						p.step(b, &core.Lost{Peer: a.id})
					}
				}
				p.start(a)
				p.link(a)
			}
		}
		if len(p.mail) == 0 {
			return
		}
		n := p.mail[0]
		p.mail = p.mail[1:]
		if !p.at(n.to).crashed && !p.at(n.from).crashed {
			p.step(p.at(n.to), &core.Receive{From: n.from, Message: n.msg})
		}
	}
}

// tick lets time pass for some members.
func (p *play) tick(times int, ids ...quorum.ID) {
	for range times {
		for _, id := range ids {
			if !p.at(id).crashed {
				p.step(p.at(id), &core.Tick{Wall: 1})
			}
			p.run()
		}
	}
}

// leader returns who leads, as the members named see it when all are ready.
func (p *play) leader(ids ...quorum.ID) quorum.ID {
	p.t.Helper()
	leader := p.at(ids[0]).m.Status().Leader
	for _, id := range ids {
		if s := p.at(id).m.Status(); !s.Ready || s.Leader != leader {
			p.t.Fatalf("%d is not ready, or does not follow %d: %+v", id, leader, s)
		}
	}
	return leader
}

func (p *play) request(id quorum.ID, ticket uint64, op datatree.Op) {
	p.t.Helper()
	b, err := datatree.AppendOps(nil, []datatree.Op{op}, false, maxData)
	if err != nil {
		p.t.Fatal(err)
	}
	p.step(p.at(id), &core.Request{Ticket: ticket, Payload: b, Wall: 1})
}

// A founder may crash at every step of the birth, and what it wrote or what it said may be all that is left of that step: there is one ensemble.
func birthInterrupted(t *testing.T) {
	for founder := quorum.ID(1); founder <= 3; founder++ {
		for _, written := range []bool{false, true} {
			steps := 0
			for k := 1; k <= 60; k++ {
				p := newPlay(t, 3, 0)
				p.at(founder).crashAt, p.at(founder).written = k, written
				p.begin()
				p.tick(40, 1, 2, 3)
				if p.at(founder).outputs < k {
					break
				}
				steps++
				p.leader(1, 2, 3)
				if len(p.ids) != 1 {
					t.Fatalf("founder %d crashed at output %d: %d ensembles", founder, k, len(p.ids))
				}
				for _, a := range p.players {
					if d := a.disk.mark; !d.Born || !d.Counts {
						t.Fatalf("founder %d crashed at output %d: %d has %+v", founder, k, a.id, d)
					}
				}
			}
			if steps < 8 {
				t.Fatalf("founder %d crashed at %d steps only", founder, steps)
			}
		}
	}
}

// A founder that has promised and joined nothing yet is proof of an earlier life: who has forgotten its own must not be born again.
func birthAfterPromise(t *testing.T) {
	p := newPlay(t, 3, 0)
	for _, a := range p.players[1:] {
		a.disk.mark = zab.Mark{Ensemble: zab.EnsembleID{200}, Member: a.id, Incarnation: zab.Incarnation{byte(200 + a.id)}, Counts: true}
	}
	p.at(3).disk.mark.Promised = 2
	p.begin()
	p.tick(40, 1, 2, 3)
	for _, a := range p.players {
		if s := a.m.Status(); s.Ready || s.Role != zab.Looking || a.disk.mark.Born {
			t.Fatalf("%d was born again: %+v", a.id, s)
		}
	}
	if p.at(1).disk.mark.Counts {
		t.Fatal("1 counts")
	}
}

// Ready tells an operator that this disk is whole again, and that another may be lost: a member that was readmitted says so when its mark is durable, not
// when it is written.
func readyWhenDurable(t *testing.T) {
	p := newPlay(t, 3, 0)
	for _, a := range p.players[:2] {
		a.disk.mark = zab.Mark{Ensemble: zab.EnsembleID{200}, Member: a.id, Incarnation: zab.Incarnation{byte(200 + a.id)}, Counts: true, Born: true}
	}
	p.begin()
	p.tick(40, 1, 2, 3)
	p.leader(1, 2, 3)
	if !p.at(3).disk.mark.Counts {
		t.Fatal("3 was not readmitted")
	}
}

// The counter ends in the middle of everything: callers must not notice more than a pause.
func renewedUnderLoad(t *testing.T) {
	p := newPlay(t, 3, 4)
	p.begin()
	p.tick(20, 1, 2, 3)
	leader := p.leader(1, 2, 3)
	first := p.at(leader).m.Status().Epoch
	const each = 30
	ticket := uint64(0)
	for range each {
		for id := quorum.ID(1); id <= 3; id++ {
			ticket++
			p.request(id, ticket, datatree.CreateOp{Path: "/n-", Mode: datatree.Sequential})
		}
		if ticket%5 == 0 { // now and then the requests pile up over the end of an epoch
			p.run()
		}
	}
	p.run()
	p.tick(3, 1, 2, 3)
	if p.leader(1, 2, 3) != leader {
		t.Fatal("the leader changed")
	}
	if e := p.at(leader).m.Status().Epoch; e < first+3*each/4 {
		t.Fatalf("epoch %d at first, now %d", first, e)
	}
	seen := map[string]bool{}
	for n := uint64(1); n <= ticket; n++ {
		id := quorum.ID((n-1)%3 + 1)
		r := p.at(id).replies[n]
		if len(r) != 1 || r[0].Err != nil {
			t.Fatalf("request %d has the answers %+v", n, r)
		}
		path := r[0].Result.First.Path
		if last := fmt.Sprintf("/n-%010d", ticket-1); seen[path] || path > last {
			t.Fatalf("request %d made %q", n, path)
		}
		seen[path] = true
	}
	for _, a := range p.players {
		if root, _ := a.sm.Tree().Get("/"); root.Stat.NumChildren != 1+int(ticket) {
			t.Fatalf("%d has %d children of the root", a.id, root.Stat.NumChildren)
		}
	}
}

// A refusal rests on a state that a deposed leader cannot vouch for, and so does a position: it must answer neither.
func deposedLeaderSilent(t *testing.T) {
	p := newPlay(t, 3, 0)
	p.begin()
	p.tick(20, 1, 2, 3)
	old := p.leader(1, 2, 3)
	var others []quorum.ID
	for id := quorum.ID(1); id <= 3; id++ {
		if id != old {
			others = append(others, id)
			p.cut[pair2(old, id)] = true
		}
	}
	p.tick(30, others...) // the clock of the old leader stands still
	if p.leader(others...) == old {
		t.Fatal("nobody else leads")
	}
	p.request(others[0], 100, datatree.CreateOp{Path: "/k"})
	p.run()
	if r := p.at(others[0]).replies[100]; len(r) != 1 || r[0].Err != nil {
		t.Fatalf("the new leader answers %+v", r)
	}
	if s := p.at(old).m.Status(); s.Role != zab.Leading || !s.Ready {
		t.Fatalf("the old leader knows: %+v", s)
	}
	p.request(old, 1, datatree.SetOp{Path: "/k"}) // to be refused in the old state, and not in the new one
	p.step(p.at(old), &core.SyncRequest{Ticket: 2})
	p.run()
	p.tick(20, old)
	if len(p.at(old).replies) != 0 {
		t.Fatalf("a deposed leader answers %+v", p.at(old).replies)
	}
	if s := p.at(old).m.Status(); s.Role != zab.Looking || s.Ready {
		t.Fatalf("without a quorum it stays: %+v", s)
	}
	clear(p.cut)
	for _, id := range others {
		p.step(p.at(old), &core.Lost{Peer: id})
		p.step(p.at(id), &core.Lost{Peer: old})
	}
	p.link(p.at(old))
	p.run()
	p.tick(30, 1, 2, 3)
	p.leader(1, 2, 3)
	created := p.at(others[0]).replies[100][0].Zxid
	set, sync := p.at(old).replies[1], p.at(old).replies[2]
	if len(set) != 1 || set[0].Err != nil || len(sync) != 1 || sync[0].Err != nil || sync[0].Zxid < created {
		t.Fatalf("answers %+v and %+v", set, sync)
	}
}
