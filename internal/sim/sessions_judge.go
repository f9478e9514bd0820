package sim

import (
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// C10: silence alone ends sessions, and does so in time. What counts is what clients were told and did, and not what leaders took note of.

// ending is the end of a session that a leader has proposed.
type ending struct {
	at    Time
	by    quorum.ID
	drift int // of its clock
}

// seat is a session at the member that serves it.
type seat struct {
	n          *node
	run        uint32
	session    uint64
	generation uint32
	timeout    Time
	own        bool
	guest      *guest    // nil: nobody's
	began      Time      // when the member told of it
	until      Time      // its context lasts until then, if nothing more is confirmed
	lapsed     bool      // its context has ended
	givenUp    bool      // the member was told that it renews it no more
	leader     quorum.ID // under which it was renewed last
}

// alive tells whether whoever holds the session may believe that it lives.
func (a *seat) alive(w *World) bool {
	return a != nil && a.here() && !a.n.paused && !a.lapsed && w.now < a.until
}

// here tells whether its member still serves it.
func (a *seat) here() bool { return a.n.up && a.n.run == a.run && a.n.serves[a.session] == a }

// seatOf names a session in one generation.
type seatOf struct {
	session    uint64
	generation uint32
}

// silence is what the judge counts at a leader.
type silence struct {
	reign reign
	epoch uint32
	ticks map[seatOf]int // since a session is silent for certain
}

// lasts is told what was confirmed to have been sent at since.
func (w *World) lasts(a *seat, since Time) {
	if a.timeout == 0 {
		a.until = 1 << 62
		return
	}
	first := a.until == 0
	if until := since + a.timeout*2/3*1000/Time(1000+a.n.drift); until > a.until && !a.lapsed {
		a.until = until
	}
	if first {
		w.push(event{at: max(w.now, a.until), kind: evLapse, node: int32(a.n.idx), run: a.run, msg: a})
	}
	x := w.ref.sessions[a.session]
	if x == nil {
		w.fail("inv/C10", "member %d confirms session %x, which nobody has opened", a.n.id, a.session)
	}
	if !x.promised || since > x.assured {
		x.assured, x.promised = since, true
	}
	for g := int(a.generation) + 1; g < len(x.attached); g++ {
		if x.attached[g] != 0 && since > x.attached[g] {
			w.fail("inv/C10", "member %d confirms generation %d of session %x as of %v, and generation %d was there at %v", a.n.id, a.generation, a.session, since, g, x.attached[g])
		}
	}
	w.notEarly(x)
}

// notEarly checks that a session did not expire earlier than its timeout after the sending of what was confirmed, by the clock of the leader that ended it.
func (w *World) notEarly(x *tenure) {
	if !x.expired || !x.promised {
		return
	}
	silent := (x.expiry.at - x.assured) * Time(1000+x.expiry.drift) / 1000
	if silent < Time(x.timeout)*ms {
		w.fail("inv/C10", "leader %d ends session %x at %v, after a silence of %v, its timeout is %v: what was sent at %v was confirmed",
			x.expiry.by, x.id, time.Duration(x.expiry.at), time.Duration(silent), time.Duration(Time(x.timeout)*ms), time.Duration(x.assured))
	}
}

// proposed notes the ends of sessions that a leader proposes.
func (w *World) proposed(n *node, e *zab.Entry) {
	t, ok := core.ReadHeader(e.Data)
	if !ok || t.Ends == 0 {
		return
	}
	if t.Name.Session == 0 && !t.Opens {
		w.endings[e.Zxid] = ending{w.now, n.id, n.drift}
	}
}

// sessionCommitted is told of a committed transaction, after the reference.
func (w *World) sessionCommitted(z zab.Zxid, data []byte) {
	t, ok := core.ReadHeader(data)
	if !ok {
		return
	}
	if t.Opens {
		w.cover("session opened")
	}
	if x := w.ref.sessions[t.Moves]; x != nil && x.lines[x.generation-1].waits(func(k *call) bool { return k.guest != nil }) {
		w.cover("session moved with a call under way where it was")
	}
	if t.Ends == 0 {
		return
	}
	x := w.ref.sessions[t.Ends]
	switch {
	case x.expired:
		w.cover("session expired")
		x.expiry = w.endings[z]
		delete(w.endings, z)
		w.notEarly(x)
		if n := w.nodes[x.by.id-1]; n.holder == x.by {
			if a := n.serves[x.id]; a != nil {
				w.needless(a, x.expiry.at, "is ended")
			}
		}
	case !t.Opens:
		w.cover("session closed")
	}
	if x.line.waits(ephemeral) {
		w.cover("session ended with a create under way")
	}
	if x.took > 0 {
		w.cover("ephemerals gone with their session")
	}
}

// silent reports whether nobody renews a session any more.
func (w *World) silent(x *tenure) bool {
	n := w.nodes[x.by.id-1]
	if !n.up || n.holder != x.by {
		return true
	}
	a := n.serves[x.id]
	return a != nil && a.generation == x.generation && a.givenUp
}

// slack is how many ticks of a leader pass at most from the moment when nobody renews a session to that at which it hears of it last, and then to a tick.
const slack = 16

// checkSilence is asked at each tick of a leader: it must have proposed the end of every session that nobody has renewed for its timeout.
func (w *World) checkSilence(n *node) {
	v := &n.watch
	s := &v.silence
	r := reign{n.id, n.run}
	if v.role != zab.Leading || !v.est || !n.m.Zab().CanPropose() {
		s.ticks = nil
		return
	}
	if s.ticks == nil || s.reign != r || s.epoch != v.epoch {
		*s = silence{r, v.epoch, map[seatOf]int{}}
	}
	for _, x := range w.ref.living {
		if x.timeout == 0 || n.m.Zab().Applied() < x.since || !w.silent(x) {
			continue
		}
		a := seatOf{x.id, x.generation}
		s.ticks[a]++
		if most := int((Time(x.timeout)*ms+w.cfg.Tick-1)/w.cfg.Tick) + 3 + slack; s.ticks[a] > most && !n.ends(x.id) {
			w.fail("inv/C10", "leader %d has not ended session %x, for %d ticks nobody has renewed it, its timeout is %d ms", n.id, x.id, s.ticks[a], x.timeout)
		}
	}
}

// ends reports whether the end of a session is proposed here, and not committed, or its move, for which a leader waits.
func (n *node) ends(id uint64) bool {
	return slices.ContainsFunc(n.image.entries, func(e zab.Entry) bool {
		t, ok := core.ReadHeader(e.Data)
		return e.Kind == zab.EntryData && ok && (t.Ends == id || t.Moves == id && e.Zxid > n.m.Zab().Applied())
	})
}

// allSilentEnded reports whether every session that nobody renews has ended.
func (w *World) allSilentEnded() bool {
	return !slices.ContainsFunc(w.ref.living, func(x *tenure) bool { return x.timeout != 0 && w.silent(x) })
}

// sessionNews takes what a member tells of the sessions that it serves.
func (w *World) sessionNews(n *node, news []core.SessionNews) {
	for i := range news {
		v := &news[i]
		x := w.ref.sessions[v.Session]
		if x == nil {
			w.fail("inv/C9", "member %d tells of session %x, which nobody has opened: %+v", n.id, v.Session, *v)
		}
		a := n.serves[v.Session]
		if begins := v.What <= core.SessionAttached; begins != (a == nil) || a != nil && a.generation != v.Generation {
			w.fail("inv/C9", "member %d tells of session %x what it cannot know: %+v", n.id, v.Session, *v)
		}
		switch v.What {
		case core.SessionOpened, core.SessionAttached:
			w.sessionBegins(n, v, x)
		case core.SessionRenewed:
			w.cover("session renewed")
			if l := n.status.Leader; l != a.leader && l != 0 { // a leader that renews its epoch is the same
				if a.leader != 0 {
					w.cover("renewed across a change of leader")
				}
				a.leader = l
			}
			w.lasts(a, Time(v.Since))
			w.oneHolder(a)
		case core.SessionExpired:
			if !x.ended {
				w.fail("inv/C9", "member %d tells that session %x has ended, which it has not", n.id, x.id)
			}
			delete(n.serves, x.id)
			if x.expired && a.own {
				w.cover("own session expired")
			}
		case core.SessionMoved:
			if x.generation == a.generation {
				w.fail("inv/C9", "member %d tells that session %x has moved, which it has not", n.id, x.id)
			}
			delete(n.serves, x.id)
			w.cover("former owner told of a move")
		}
	}
}

func (w *World) sessionBegins(n *node, v *core.SessionNews, x *tenure) {
	if v.Timeout != x.timeout || int(v.Generation) >= len(x.lines) {
		w.fail("inv/C3", "member %d tells of session %x: %+v, the reference says %+v", n.id, x.id, *v, *x)
	}
	a := &seat{n: n, run: n.run, began: w.now, session: v.Session, generation: v.Generation, timeout: Time(v.Timeout) * ms, own: v.What == core.SessionOpened, leader: n.status.Leader}
	n.serves[a.session] = a
	if a.own {
		w.lasts(a, Time(v.Since))
		return
	}
	k := n.calls[v.Ticket]
	if k == nil || k.req == nil {
		w.fail("inv/C9", "member %d serves session %x, and nobody has asked for it", n.id, x.id)
	}
	for len(x.attached) < len(x.lines) {
		x.attached = append(x.attached, 0)
	}
	w.notBehind(n, k)
	x.attached[a.generation] = max(1, w.now)
	w.lasts(a, k.handedAt)
	w.arrives(a, k)
}

// lapse ends a context, as a timer of the client's process does, unless it was prolonged.
func (w *World) lapse(e *event) {
	a := e.msg.(*seat)
	switch {
	case !a.here() || a.lapsed:
	case a.n.paused:
		e.at = w.now + w.cfg.Tick/4
		w.push(*e)
	case w.now < a.until:
		e.at = a.until
		w.push(*e)
	default:
		w.needless(a, w.now, "lapses")
		a.lapsed = true
		w.cover("context lapsed")
		w.giveUp(a)
	}
}

// giveUp tells the member that nobody renews the session any more.
func (w *World) giveUp(a *seat) {
	a.n.put(w, inbound{lane: laneRequest, msg: &core.GiveUp{Session: a.session, Generation: a.generation}})
}

// gaveUp follows a member that was told so. If it is the member's own, it ends it by a call of its own.
func (w *World) gaveUp(n *node, x *core.GiveUp) {
	a := n.serves[x.Session]
	if a == nil || a.generation != x.Generation || a.givenUp || slices.ContainsFunc(n.out.News, func(v core.SessionNews) bool {
		return v.Session == x.Session && v.Generation == x.Generation && v.What >= core.SessionExpired
	}) {
		return
	}
	a.givenUp = true
	if a.own && w.ref.sessions[x.Session].own { // otherwise its end is committed, and takes the call with it
		n.holder.line.calls = append(n.holder.line.calls, &call{req: &request{act: actClose}, from: n.id, run: n.run, done: true})
	}
}
