package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

// Guests are clients with sessions of their own. Each opens one at some member, writes on it, several calls at once, goes to other members with it and comes back,
// leaves it without a word, for a while or for good, and ends it. Some write on although they have stopped to renew it.

// What a session is asked that is not a write.
const (
	actCreate = 1 + iota // on the member's own session
	actResume            // the same
	actClose
)

// guest is such a client.
type guest struct {
	session  uint64 // 0: none
	password []byte
	timeout  Time
	who      *datatree.Caller
	at       *seat   // where it is served, as far as the guest knows; nil: nowhere
	former   []*node // where it was served before
	seen     zab.Zxid
	asks     *call // to open, resume or close, without an answer
	writes   []*call
	away     Time // it does nothing until then
	stubborn bool // it writes and does not renew
	order    uint64
	locks    map[string]bool // that it holds while its context lasts
	retired  bool
}

func newGuests(c *Config) (all []*guest) {
	for range c.Guests {
		all = append(all, &guest{locks: map[string]bool{}})
	}
	return all
}

const (
	mostWrites = 24 // of a guest at a time
	locks      = 3  // znodes that only guests create, as ephemerals, and only their owners delete
)

// guestTurn lets a guest do something.
func (w *World) guestTurn(i int) {
	r, g := w.visiting, w.guests[i]
	think := w.cfg.Think
	if g.stubborn {
		think = min(think, w.cfg.Tick/2)
	}
	w.push(event{at: w.now + between(r, think/2, think*3/2), kind: evGuest, a: uint64(i)})
	g.writes = slices.DeleteFunc(g.writes, func(k *call) bool { return k.done || k.lost })
	if k := g.asks; k != nil {
		switch {
		case k.done || k.lost:
			g.asks = nil
		case r.IntN(60) == 0 && k.req.act == actCreate: // it does not wait any longer
			g.asks, k.guest = nil, nil
		default:
			return
		}
	}
	if a := g.at; a != nil && (!a.here() || a.lapsed && !g.stubborn) {
		g.leave()
		if r.IntN(3) == 0 {
			g.away = w.now + between(r, 0, 2*g.timeout)
		}
	}
	switch {
	case w.now < g.away, w.limitC > 0 && len(w.calls) >= w.limitC:
	case w.quiet:
		w.retire(g)
	case g.session == 0:
		t := w.cfg.Timeouts[r.IntN(len(w.cfg.Timeouts))]
		if n := w.anyUp(r); n != nil {
			w.ask(n, g, &request{act: actCreate, timeout: uint32(t / ms)})
		}
	case g.at == nil:
		w.returns(g)
	case g.stubborn:
		w.writesMany(g, 1+r.IntN(2))
	default:
		w.visit(g)
	}
}

func (w *World) anyUp(r *rand.Rand) *node {
	if n := w.nodes[r.IntN(len(w.nodes))]; n.up {
		return n
	}
	return nil
}

// leave lets go of the member that served the guest.
func (g *guest) leave() {
	g.former = append(g.former, g.at.n)
	g.at, g.stubborn = nil, false
}

// forget is the end of its session, as far as the guest is concerned.
func (g *guest) forget() {
	*g = guest{seen: g.seen, order: g.order, locks: map[string]bool{}, away: g.away, writes: g.writes}
}

// retire ends what a guest does: some leave their session renewed, where it is or elsewhere, the others do not.
func (w *World) retire(g *guest) {
	if g.at != nil && !g.retired {
		switch w.visiting.IntN(4) {
		case 0, 1:
			w.giveUp(g.at)
		case 2:
			g.leave()
			w.returns(g)
		}
	}
	g.retired = true
}

// returns brings a session to a member.
func (w *World) returns(g *guest) {
	n := w.anyUp(w.visiting)
	if n == nil {
		return
	}
	w.ask(n, g, &request{act: actResume, about: g.session, right: true})
}

// visit does one of the things that somebody with a session does.
func (w *World) visit(g *guest) {
	r := w.visiting
	switch x := r.IntN(100); {
	case x < 50:
		w.writesMany(g, 1+r.IntN(pick(r, 1, 3, 8)))
	case x < 62:
		w.look(g)
	case x < 66:
		g.locks = map[string]bool{}
		w.ask(g.at.n, g, &request{act: actClose})
	case x < 74: // elsewhere, or here once more; where it was it is still renewed
		g.leave()
		w.returns(g)
	case x < 80: // silent for a while
		w.giveUp(g.at)
		g.leave()
		g.away = w.now + between(r, 0, g.timeout*3/2)
	case x < 83: // for good
		w.giveUp(g.at)
		g.forget()
	case x < 86:
		w.giveUp(g.at)
		g.stubborn = true
	case x < 89:
		if n := w.anyUp(r); n != nil {
			k := w.ask(n, g, &request{act: actResume, about: g.session})
			g.asks, k.guest = nil, nil
		}
	case x < 90: // the own session of a member becomes this guest's, which leaves its own
		w.adopt(g)
	}
}

// look reads where the session is served.
func (w *World) look(g *guest) {
	n := g.at.n
	if n.view == nil || n.paused {
		return
	}
	if n.view.Zxid() < g.seen {
		w.fail("inv/C7", "session %x sees %v at member %d after it has seen %v", g.session, n.view.Zxid(), n.id, g.seen)
	}
	g.seen = n.view.Zxid()
}

// adopt resumes the own session of some member.
func (w *World) adopt(g *guest) {
	own := w.ref.own[w.nodes[w.visiting.IntN(len(w.nodes))].id]
	if own == nil || own.timeout == 0 || len(g.writes) > 0 {
		return
	}
	w.giveUp(g.at)
	g.forget()
	g.session, g.password = own.id, g.passwordOf(w, own.id)
	g.timeout = Time(own.timeout) * ms
}

func (g *guest) passwordOf(w *World, id uint64) []byte {
	for _, n := range w.nodes {
		if n.up {
			if _, ok := n.sm.Session(id); ok {
				return n.sm.Password(id)
			}
		}
	}
	return make([]byte, 16) // nobody can tell
}

// ask makes a call that is not a write.
func (w *World) ask(n *node, g *guest, q *request) *call {
	k := &call{guest: g}
	switch q.act {
	case actCreate:
		q.payload = core.AppendCreate(nil, q.timeout)
	case actResume:
		password := slices.Clone(g.password)
		if !q.right {
			password[w.visiting.IntN(len(password))] ^= 1 << w.visiting.IntN(8)
		} else if len(g.former) > 0 && slices.Contains(g.former[:len(g.former)-1], n) {
			w.cover("came back to a former member")
		}
		q.payload = core.AppendResume(nil, q.about, password)
	case actClose:
		q.payload = core.AppendClose(nil)
		k.session, k.generation = g.at.session, g.at.generation
	}
	if last := len(g.former) - 1; q.act == actResume && q.right && last >= 0 {
		k.afterLoss = !g.former[last].up
	}
	return w.askOf(n, k, q)
}

// askOf hands a call, which says who makes it on which session, to a member.
func (w *World) askOf(n *node, k *call, q *request) *call {
	c := w.newCall(n, callWrite)
	w.lastID++
	c.id, c.req, c.guest, c.order, c.session, c.generation, c.afterLoss = w.lastID, q, k.guest, k.order, k.session, k.generation, k.afterLoss
	w.calls = append(w.calls, c)
	if k.guest != nil && q.act != 0 {
		k.guest.asks = c
	}
	n.put(w, inbound{lane: laneRequest, ticket: c.ticket, msg: &core.Request{Ticket: c.ticket, Session: c.session, Generation: c.generation, Payload: q.payload, Wall: w.wallClock(n)}})
	return c
}

// writesMany makes some writes, one after the other, without waiting for their answers.
func (w *World) writesMany(g *guest, count int) {
	most := mostWrites
	if w.healed != 0 {
		most = 1 // a counter of 20 leaves hardly any room for what heals the members
	}
	for range count {
		a := g.at
		if a == nil || !a.here() || len(g.writes) >= most {
			return
		}
		g.order++
		k := w.askOf(a.n, &call{guest: g, order: g.order, session: a.session, generation: a.generation}, w.guestRequest(g, w.lastID+1))
		g.writes = append(g.writes, k)
	}
}

func lockPath(i int) string { return fmt.Sprint("/lock-", i) }

// guestRequest draws a write.
func (w *World) guestRequest(g *guest, id uint64) *request {
	r, l := w.visiting, &w.work
	data := make([]byte, 8)
	binary.BigEndian.PutUint64(data, id)
	q := &request{id: id, who: g.who}
	path := l.paths[r.IntN(len(l.paths))]
	lock := lockPath(r.IntN(locks))
	mine := func(mode datatree.Mode, path string) datatree.Op {
		return datatree.CreateOp{Path: path, Data: data, Mode: datatree.Ephemeral | mode}
	}
	switch x := r.IntN(20); {
	case x < 5:
		q.ops = []datatree.Op{mine(0, lock)}
	case x < 7:
		for i := range locks {
			if p := lockPath(i); g.locks[p] {
				lock = p
			}
		}
		if !g.locks[lock] {
			q.ops = []datatree.Op{mine(0, lock)}
			break
		}
		delete(g.locks, lock)
		q.ops = []datatree.Op{datatree.DeleteOp{Path: lock}}
	case x < 10:
		q.ops = []datatree.Op{mine(0, path+"/e")}
	case x < 13:
		q.ops = []datatree.Op{mine(datatree.Sequential, pick(r, "/q-", path+"/q-"))}
	case x < 14:
		q.ops = []datatree.Op{datatree.CreateOp{Path: path + "/e/below", Data: data, Parents: r.IntN(2) == 0}}
	case x < 15:
		q.multi, q.ops = true, []datatree.Op{mine(0, path+"/e"), mine(datatree.Sequential, "/q-"), datatree.CheckOp{Path: path}}
	case x < 17:
		q.ops = []datatree.Op{datatree.SetOp{Path: pick(r, path, path+"/e"), Data: data}}
	case x < 18:
		q.ops = []datatree.Op{datatree.DeleteOp{Path: pick(r, path+"/e", path)}}
	default:
		q.ops = []datatree.Op{datatree.CreateOp{Path: path, Data: data}}
	}
	var err error
	if q.payload, err = datatree.AppendOps(core.AppendAs(nil, g.who.Identities), q.ops, q.multi, 1<<20); err != nil {
		panic(err)
	}
	return q
}

// notBehind checks that a member that takes a session shows all that its guest has seen.
func (w *World) notBehind(n *node, k *call) {
	if g := k.guest; g != nil && g.asks == k && (n.view == nil || n.view.Zxid() < g.seen) {
		w.fail("inv/C7", "member %d, which is at %v, takes the session of a client that has seen %v", n.id, n.sm.Tree().Zxid(), g.seen)
	}
}

// arrives tells a guest that the session that it asked for is served. Without a guest it is ended.
func (w *World) arrives(a *seat, k *call) {
	g, n := k.guest, a.n
	if g == nil || g.asks != k {
		w.push(event{at: w.now, kind: evUndo, msg: func() {
			if a.here() {
				w.askOf(n, &call{guest: nil, session: a.session, generation: a.generation}, &request{act: actClose, payload: core.AppendClose(nil)})
			}
		}})
		return
	}
	password := n.sm.Password(a.session)
	if k.req.act == actResume {
		w.cover("session moved")
		if k.afterLoss {
			w.cover("resumed after its member was lost")
		}
		if !slices.Equal(password, g.password) {
			w.fail("inv/C3", "the password of session %x at member %d is %x, and was %x", a.session, n.id, password, g.password)
		}
	}
	g.session, g.password, g.timeout, g.at, a.guest = a.session, password, a.timeout, a, g
	g.who = &datatree.Caller{Session: a.session}
	if w.cfg.ACLs {
		if c := callers[w.visiting.IntN(len(callers))]; c != nil {
			g.who.Identities = c.Identities
		}
	}
	w.oneHolder(a)
}

// guestAnswered takes the answer to a guest's write.
func (w *World) guestAnswered(k *call, z zab.Zxid, err error) {
	g, a := k.guest, k.guest.at
	if g.session != k.session {
		return
	}
	g.seen = max(g.seen, z)
	if err != nil || a == nil || a.generation != k.generation || len(k.req.ops) != 1 {
		return
	}
	if g.asks != nil && g.asks.req.act == actClose {
		return // its context has ended with the call
	}
	o, ok := k.req.ops[0].(datatree.CreateOp)
	if !ok || o.Mode != datatree.Ephemeral {
		return
	}
	w.cover("ephemeral created")
	for i := range locks {
		if o.Path == lockPath(i) {
			g.locks[o.Path] = true
			w.oneHolder(a)
		}
	}
}

// oneHolder checks that nobody else believes to hold what this session holds.
func (w *World) oneHolder(a *seat) {
	if a.guest == nil || a.guest.at != a || !a.alive(w) {
		return
	}
	for _, other := range w.guests {
		if other == a.guest || other.session == a.session || !other.at.alive(w) {
			continue
		}
		for i := range locks {
			if p := lockPath(i); a.guest.locks[p] && other.locks[p] {
				w.fail("inv/C10", "sessions %x and %x both believe to hold %q", a.session, other.session, p)
			}
		}
	}
}

// acted judges the answer to a call that is not a write.
func (w *World) acted(n *node, k *call, r reply) {
	g, q, e := k.guest, k.req, k.want
	expired := errors.Is(r.Err, core.ErrExpired)
	if g != nil && g.asks == k {
		g.asks = nil
	}
	if r.Zxid != 0 {
		if e == nil || e.zxid != r.Zxid {
			w.fail("inv/C1", "call %d is answered at member %d with %v (%v), the reference says %+v", k.id, n.id, r.Zxid, r.Err, e)
		}
		w.inOrder(n, k, e.zxid)
	}
	switch {
	case q.act == actClose:
		if x := w.ref.sessions[k.session]; r.Err == nil && (!x.ended || n.view == nil || n.view.Zxid() < x.end) {
			w.fail("inv/C9", "member %d says that session %x is closed, and it is not", n.id, k.session)
		}
		if g != nil && r.Err == nil {
			w.cover("close answered")
		}
		if g != nil && g.session == k.session {
			g.forget()
		}
		return
	case r.Zxid == 0:
		if r.Err == nil {
			w.fail("inv/C1", "call %d is answered at member %d and not committed", k.id, n.id)
		}
		w.cover("call refused")
		return
	case e.err != nil: // refused by agreement
		if !expired {
			w.fail("inv/C3", "call %d, which resumes session %x, is answered with %v, the reference says %v", k.id, q.about, r.Err, e.err)
		}
		if !q.right {
			w.cover("wrong password refused")
			return
		}
		w.cover("resume refused")
		if g != nil && g.session == q.about {
			g.forget()
		}
		return
	}
	about := q.about
	if q.act == actCreate {
		about = uint64(e.zxid)
	}
	switch x := w.ref.sessions[about]; {
	case r.Err == nil:
	case expired && x.ended, errors.Is(r.Err, core.ErrMoved) && x.since > e.zxid: // it was, before the state that was installed
		w.cover("session lost in a snapshot")
	default:
		w.fail("inv/C3", "call %d, which was done at %v, is answered with %v", k.id, e.zxid, r.Err)
	}
}
