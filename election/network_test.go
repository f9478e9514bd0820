package election

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// network runs machines with a stand-in for discovery: a leader is established when a quorum follows it, and who waits too
// long for that goes back to looking.
type network struct {
	t        *testing.T
	what     string
	r        *rand.Rand
	verifier quorum.Verifier
	ids      []quorum.ID
	nodes    map[quorum.ID]*netNode
	linked   map[[2]quorum.ID]bool
	flying   []flight
	loss     int // percent
	settles  bool
	moved    int // notifications delivered in the current tick, against storms
}

type netNode struct {
	m       *Machine
	vote    Vote
	votes   bool
	elected quorum.ID // awaiting or in the role
	epoch   uint32
	age     int // ticks in the role without being established
}

type flight struct {
	from, to quorum.ID
	n        *Notification
}

func newNetwork(t *testing.T, seed uint64) *network {
	w := &network{
		t: t, what: fmt.Sprintf("seed %d", seed), r: rand.New(rand.NewPCG(seed, 1)),
		nodes: map[quorum.ID]*netNode{}, linked: map[[2]quorum.ID]bool{}, settles: true,
	}
	var members []quorum.Member
	n := 3 + w.r.IntN(5)
	grouped := w.r.IntN(4) == 0
	for id := quorum.ID(1); id <= quorum.ID(n); id++ {
		m := quorum.Member{ID: id}
		if grouped {
			m.Group, m.Weight = 1, min(1, w.r.IntN(4))
		}
		if w.r.IntN(6) == 0 && id > 3 {
			m = quorum.Member{ID: id, Observer: true}
		}
		members = append(members, m)
		w.ids = append(w.ids, id)
	}
	if grouped {
		members[0].Weight = 1
	}
	v, err := quorum.New(members)
	if err != nil {
		t.Fatal(err)
	}
	w.verifier = v
	for _, id := range w.ids {
		w.nodes[id] = &netNode{vote: Vote{id, uint32(w.r.IntN(3)), zab.MakeZxid(1, uint32(w.r.IntN(3)))}, votes: true}
		w.start(id)
	}
	return w
}

func (w *network) start(id quorum.ID) {
	n := w.nodes[id]
	n.m = New(Config{Self: id, Verifier: w.verifier, Seed: w.r.Uint64()})
	w.look(id)
}

func (w *network) look(id quorum.ID) {
	n := w.nodes[id]
	n.elected, n.epoch, n.age = 0, 0, 0
	w.step(id, func(o *Output) { n.m.Look(n.vote, n.votes, o) })
}

func (w *network) step(id quorum.ID, f func(*Output)) {
	var o Output
	f(&o)
	sent := map[quorum.ID]bool{}
	for _, s := range o.Sends {
		if sent[s.To] {
			w.t.Fatalf("%s: %d: two notifications to %d for one input", w.what, id, s.To)
		}
		sent[s.To] = true
		if w.linked[[2]quorum.ID{id, s.To}] && w.r.IntN(100) >= w.loss {
			w.flying = append(w.flying, flight{id, s.To, s.Notification})
		}
	}
	if o.Elected == 0 {
		return
	}
	n := w.nodes[id]
	if !w.verifier.CanLead(o.Elected) {
		w.t.Fatalf("%s: %d elects %d, which cannot lead", w.what, id, o.Elected)
	}
	if o.Elected != id && !w.linked[[2]quorum.ID{id, o.Elected}] {
		w.t.Fatalf("%s: %d elects %d without a link", w.what, id, o.Elected)
	}
	if o.Elected == id {
		fresh := w.verifier.Contains(func(v quorum.ID) bool { return w.nodes[v].vote.Compare(n.vote) <= 0 })
		if !fresh {
			w.t.Fatalf("%s: %d elects itself, and no quorum is behind it", w.what, id)
		}
	}
	n.elected, n.age = o.Elected, 0
	if w.settles {
		w.settle(id, 0)
	}
}

func (w *network) settle(id quorum.ID, epoch uint32) {
	n := w.nodes[id]
	s := Following
	switch {
	case n.elected == id:
		s = Leading
	case !w.verifier.Votes(id):
		s = Observing
	}
	n.epoch = epoch
	w.step(id, func(o *Output) { n.m.Settle(s, n.elected, epoch, o) })
}

func (w *network) link(a, b quorum.ID, up bool) {
	ab, ba := [2]quorum.ID{a, b}, [2]quorum.ID{b, a}
	if a == b || !up && !w.linked[ab] {
		return
	}
	kept := w.flying[:0]
	for _, f := range w.flying {
		if !(f.from == a && f.to == b || f.from == b && f.to == a) {
			kept = append(kept, f)
		}
	}
	w.flying = kept
	w.linked[ab], w.linked[ba] = up, up
	for _, e := range [][2]quorum.ID{ab, ba} {
		n := w.nodes[e[0]]
		w.step(e[0], func(o *Output) {
			if up {
				n.m.Linked(e[1], o)
			} else {
				n.m.Lost(e[1], o)
			}
		})
		if !up && n.elected == e[1] {
			w.look(e[0])
		}
	}
}

func (w *network) restart(id quorum.ID) {
	for _, b := range w.ids {
		w.link(id, b, false)
	}
	w.start(id)
}

// tick delivers what flies, in any order, then ticks everybody.
func (w *network) tick() {
	w.moved = 0
	for len(w.flying) > 0 {
		if w.moved++; w.moved > 100*len(w.ids)*len(w.ids) {
			w.t.Fatalf("%s: a storm", w.what)
		}
		i := w.r.IntN(len(w.flying))
		f := w.flying[i]
		w.flying[i] = w.flying[len(w.flying)-1]
		w.flying = w.flying[:len(w.flying)-1]
		w.step(f.to, func(o *Output) { w.nodes[f.to].m.Receive(f.from, f.n, o) })
	}
	for _, id := range w.ids {
		w.step(id, w.nodes[id].m.Tick)
	}
	for _, id := range w.ids {
		w.discover(id)
	}
}

// discover stands in for the protocol between leader and follower. 8 ticks are its patience.
func (w *network) discover(id quorum.ID) {
	n := w.nodes[id]
	if n.elected == 0 {
		return
	}
	with := n
	ok := false
	if n.elected == id {
		ok = w.verifier.Contains(func(v quorum.ID) bool {
			o := w.nodes[v]
			return o.elected == id && (v == id || w.linked[[2]quorum.ID{id, v}])
		})
		if ok && n.epoch == 0 {
			w.settle(id, 1+w.r.Uint32N(1000))
		}
	} else {
		with = w.nodes[n.elected]
		ok = with.elected == n.elected && with.epoch != 0
		if ok && n.epoch != with.epoch {
			w.settle(id, with.epoch)
		}
	}
	if ok {
		n.age = 0
		return
	}
	if n.age++; n.age > 8 {
		n.m.Failed(n.elected)
		w.look(id)
	}
}

// leader returns the established leader that everybody has, or 0.
func (w *network) leader() quorum.ID {
	l := w.nodes[w.ids[0]].elected
	for _, id := range w.ids {
		if n := w.nodes[id]; n.elected != l || n.epoch == 0 {
			return 0
		}
	}
	return l
}

func (w *network) chaos(ticks int) {
	w.loss = w.r.IntN(60)
	pick := func() quorum.ID { return w.ids[w.r.IntN(len(w.ids))] }
	for range ticks {
		switch w.r.IntN(8) {
		case 0, 1, 2:
			w.link(pick(), pick(), true)
		case 3, 4:
			w.link(pick(), pick(), false)
		case 5:
			w.restart(pick())
		}
		w.tick()
	}
}

func (w *network) heal() {
	w.loss = 0
	for i, a := range w.ids {
		for _, b := range w.ids[i+1:] {
			if !w.linked[[2]quorum.ID{a, b}] {
				w.link(a, b, true)
			}
		}
	}
}

// After chaos, all settle on one established leader within a bound. Throughout, who elects itself has no smaller vote than some
// quorum, and who is elected can lead and is linked.
func TestSettlesAfterChaos(t *testing.T) {
	worst := 0
	for seed := range uint64(seeds()) {
		w := newNetwork(t, seed)
		w.chaos(60)
		w.heal()
		w.loss = 30 * int(seed%2)
		took := 0
		for ; w.leader() == 0; took++ {
			if took > 120 {
				t.Fatalf("%s: no leader", w.what)
			}
			w.tick()
		}
		worst = max(worst, took)
		// And it stays.
		l := w.leader()
		for range 40 {
			w.tick()
			if w.leader() != l {
				t.Fatalf("%s: %d does not stay", w.what, l)
			}
		}
	}
	t.Logf("at worst %d ticks", worst)
}

// With nobody leading when the network is whole, the greatest live vote wins, with a minority down.
func TestGreatestOfTheLiveWins(t *testing.T) {
	worst := 0
	for seed := range uint64(seeds()) {
		w := newNetwork(t, seed)
		w.settles = false
		w.chaos(30)
		w.settles = true
		// The dead are without links and stay so.
		dead := map[quorum.ID]bool{}
		for _, id := range w.ids {
			dead[id] = true
			if w.r.IntN(3) != 0 || !w.verifier.Contains(func(v quorum.ID) bool { return !dead[v] }) {
				delete(dead, id)
			}
		}
		all := w.ids
		var live []quorum.ID
		var want Vote
		for _, id := range all {
			w.restart(id)
			if dead[id] {
				continue
			}
			live = append(live, id)
			if v := w.nodes[id].vote; w.verifier.CanLead(id) && v.Compare(want) > 0 {
				want = v
			}
		}
		w.ids = live
		w.flying = nil
		// Nothing is lost from here: the vote of the greatest could come later than FinalizeWait.
		w.heal()
		took := 0
		for ; w.leader() == 0; took++ {
			if took > 60 {
				t.Fatalf("%s: no leader", w.what)
			}
			w.tick()
		}
		worst = max(worst, took)
		if w.leader() != want.Leader {
			t.Fatalf("%s: %d leads, want %v", w.what, w.leader(), want)
		}
	}
	t.Logf("at worst %d ticks", worst)
}

func seeds() int {
	if testing.Short() {
		return 200
	}
	return 2000
}
