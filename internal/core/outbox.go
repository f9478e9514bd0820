package core

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/internal/byid"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// outbox holds the requests of the sessions that this member serves which have no answer yet, each session's in order. They are handed to whoever
// leads, all again after a change of leader; the window of decided requests makes that harmless.
type outbox struct {
	run     zab.Incarnation // names this run of the member
	own     client          // the member's own session; its id is 0 until the transaction is applied here
	clients byid.Map[*client]
	order   []*client     // the clients as they came; where one has gone stands the one that was last
	busy    []*client     // that have calls without an answer, but own
	unsent  []*client     // that have calls for the present leader, but own
	count   int           // calls of all
	asked   bool          // the present leader was asked for the session
	last    bool          // none is asked for any more
	since   time.Duration // when any leader was asked first
	dated   bool          // since is set
	forward *Forward      // in this Output: more calls may join
	bytes   int           // of its calls
	held    int           // bytes of all payloads
	handed  int           // of those that the present leader was given
	late    bool          // the member's own session waits for the others
	spare   []*queue[waiting]
}

// client is a session that this member serves.
type client struct {
	session    uint64
	first      uint64          // the sequence of the first of calls
	handed     uint64          // every sequence below it was once handed to a leader
	due        uint64          // the tick at which it is to be renewed; 0: it is not
	calls      *queue[waiting] // sequences first, first+1, ...; nil: none
	generation uint32
	timeout    uint32
	sent       uint32 // calls handed to the present leader
	place      uint32 // in busy, plus 1; 0: it is not there
	at         uint32 // in order
	givenUp    bool   // it is renewed no more
	isUnsent   bool   // it is in unsent
	spread     bool   // its renewals no longer fall on the ticks of those that began with it
}

// Key returns what byid finds it by.
func (c *client) Key() uint64 { return c.session }

// waits is how many calls have no answer.
func (c *client) waits() int {
	if c.calls == nil {
		return 0
	}
	return c.calls.len()
}

// mostHanded is how many bytes of requests a leader is given before it has answered some of them: with all that may wait, no transport could keep up.
const mostHanded = 4 << 20

// MostWaiting is how many bytes of requests may wait at a member, beside MaxInFlight, in the shell's queue and here: with it, what waits for them at a leader, and
// the window of what was decided of them, are bounded too.
const MostWaiting = 256 << 20

type waiting struct {
	ticket  uint64
	payload []byte
	bound   bool // to this very session: it is not made on the member's next one
}

// size is what it counts on the way to a leader.
func (w *waiting) size() int { return len(w.payload) + 32 }

// closes tells whether it is a request to end its session.
func (w *waiting) closes() bool { return len(w.payload) > 0 && w.payload[0] == requestClose }

// served returns the session that this member serves under that name, or nil.
func (b *outbox) served(session uint64, generation uint32) *client {
	c := &b.own
	if session != c.session {
		c = b.clients.Get(session)
	}
	if session == 0 || c == nil || c.generation != generation {
		return nil
	}
	return c
}

func (m *Machine[V, R]) request(x *Request) {
	b := &m.outbox
	c := &b.own
	if x.Session != 0 {
		if c = b.served(x.Session, x.Generation); c == nil {
			err := ErrExpired
			if s, ok := m.sm.Session(x.Session); ok && s.Generation > x.Generation {
				err = ErrMoved
			}
			m.reply(Reply[R]{Ticket: x.Ticket, Err: err})
			return
		}
	}
	if b.count >= m.cfg.MaxInFlight || mutant.On("overloaded-early") && b.count >= (m.cfg.MaxInFlight+1)/2 || b.held > 0 && b.held+len(x.Payload) > MostWaiting {
		m.reply(Reply[R]{Ticket: x.Ticket, Err: ErrOverloaded})
		return
	}
	b.push(c, waiting{x.Ticket, x.Payload, x.Session != 0})
	if mutant.On("resumed-unapplied") && len(x.Payload) > 0 && x.Payload[0] == requestResume {
		m.decided(m.zab.Applied(), c, &Outcome[R]{Name: Name{Sequence: c.first}, Attached: true, Session: (&header{b: x.Payload[1:]}).uint(1 << 62), Generation: 1, Timeout: 60000}, false)
	}
}

func (b *outbox) push(c *client, w waiting) {
	if c.first == 0 {
		c.first = 1
	}
	b.held += len(w.payload)
	b.count++
	if c.calls == nil {
		c.calls = b.queue()
	}
	c.calls.push(w)
	if c == &b.own {
		return
	}
	if c.place == 0 {
		b.busy = append(b.busy, c)
		c.place = uint32(len(b.busy))
	}
	if !c.isUnsent {
		c.isUnsent = true
		b.unsent = append(b.unsent, c)
	}
}

// pop takes the first call of c, which is answered.
func (b *outbox) pop(c *client) waiting {
	w := c.calls.pop()
	b.held -= len(w.payload)
	b.count--
	c.first++
	if c.sent > 0 {
		c.sent--
		b.handed -= w.size()
	}
	if c != &b.own && c.calls.len() == 0 {
		b.putBack(c.calls)
		c.calls = nil
		last := b.busy[len(b.busy)-1]
		b.busy[c.place-1], last.place = last, c.place
		b.busy[len(b.busy)-1], b.busy = nil, b.busy[:len(b.busy)-1]
		c.place = 0
	}
	return w
}

// mostSpare and mostIdle bound what is kept for sessions that call again: queues, and calls that one has room for.
const mostSpare, mostIdle = 1 << 10, 64

func (b *outbox) queue() *queue[waiting] {
	last := len(b.spare) - 1
	if last < 0 {
		return new(queue[waiting])
	}
	q := b.spare[last]
	b.spare[last], b.spare = nil, b.spare[:last]
	return q
}

func (b *outbox) putBack(q *queue[waiting]) {
	if len(b.spare) < mostSpare && cap(q.list) <= mostIdle {
		b.spare = append(b.spare, q)
	}
}

// unsend follows the end of the leader that calls were handed to: the next one gets all of them.
func (b *outbox) unsend() {
	b.asked, b.own.sent, b.handed = false, 0, 0
	for _, c := range b.unsent {
		c.isUnsent = false
	}
	clear(b.unsent)
	slices.SortFunc(b.busy, func(x, y *client) int { return cmp.Compare(x.session, y.session) })
	b.unsent = b.unsent[:0]
	for i, c := range b.busy {
		c.sent, c.isUnsent, c.place = 0, true, uint32(i+1)
		b.unsent = append(b.unsent, c)
	}
}

// serveOutbox hands over what the present leader has not been given.
func (m *Machine[V, R]) serveOutbox() {
	b := &m.outbox
	leader := m.zab.Leader()
	if leader == 0 || !m.zab.Serving() || !m.zab.Durable().Counts && m.voter {
		return
	}
	switch {
	case b.own.session != 0:
		if b.late && !m.handOverOthers(leader) || !m.handOver(leader, &b.own) {
			return
		}
	case !b.asked && !b.last:
		b.asked = true
		if !b.dated {
			b.since, b.dated = m.now, true
		}
		if leader == m.cfg.Self {
			m.askOpen(open{m.cfg.Self, b.run, m.cfg.Timeout})
			m.serveInbox()
		} else {
			m.sendTo(leader, &Forward{Owner: m.cfg.Self, Open: true, Run: b.run, Timeout: m.cfg.Timeout})
		}
	}
	m.handOverOthers(leader)
}

// handOverOthers does so for the sessions of clients. One of which something is left is the last the next time.
func (m *Machine[V, R]) handOverOthers(leader quorum.ID) bool {
	b := &m.outbox
	for len(b.unsent) > 0 {
		c := b.unsent[0]
		all := m.handOver(leader, c)
		if !all && leader == m.cfg.Self {
			return false
		}
		b.unsent[0] = nil
		b.unsent = b.unsent[1:]
		if !all {
			b.unsent = append(b.unsent, c)
			return false
		}
		c.isUnsent = false
	}
	b.unsent = nil
	return true
}

// handOver hands over what the leader has not been given of one session; false if it cannot take all of it now.
func (m *Machine[V, R]) handOver(leader quorum.ID, x *client) bool {
	b := &m.outbox
	for int(x.sent) < x.waits() {
		w := x.calls.at(int(x.sent))
		size := w.size()
		c := Call{Name: Name{x.session, x.generation, x.first + uint64(x.sent)}, Low: x.first, Payload: w.payload}
		if leader == m.cfg.Self {
			if !m.zab.CanPropose() || m.sm.Waits(c) {
				return false
			}
			m.prepare(c)
		} else {
			if b.handed > 0 && b.handed+size > m.cfg.MaxHanded {
				b.late = x == &b.own
				return false
			}
			if b.forward == nil || b.bytes+len(c.Payload) > maxBatch {
				b.forward, b.bytes = &Forward{Owner: m.cfg.Self, Run: b.run}, 0
				m.sendTo(leader, b.forward)
			}
			b.forward.Calls = append(b.forward.Calls, c)
			b.bytes += size
		}
		x.sent++
		b.handed += size
		x.handed = max(x.handed, c.Name.Sequence+1)
	}
	return true
}

// outcome takes what an applied transaction means for the sessions of this member, and answers the request that it decided, if it is one of this member's.
func (m *Machine[V, R]) outcome(z zab.Zxid, o *Outcome[R]) {
	b := &m.outbox
	if o.Closed != 0 {
		m.out.SessionsEnded = append(m.out.SessionsEnded, SessionEnd{o.Closed, z})
		if o.Opened && o.Closed == b.own.session {
			m.fail(ErrSuperseded)
			return
		}
	}
	if o.Name.Session != 0 {
		if c := b.served(o.Name.Session, o.Name.Generation); c != nil && !(mutant.On("unsent-not-answered") && c.sent == 0) && !m.decided(z, c, o, false) {
			return
		}
	}
	if o.Attached && o.Name.Session != b.own.session {
		m.gone(o.Session, SessionMoved, false) // to another member, or to another run of this one
	}
	if o.Closed != 0 {
		m.gone(o.Closed, SessionExpired, false)
	}
	if o.Opened && o.Owner == m.cfg.Self && o.Run == b.run {
		m.opened(o.Session, o.Timeout)
	}
}

// opened takes the member's own session.
func (m *Machine[V, R]) opened(id uint64, timeout uint32) {
	b := &m.outbox
	b.own.session, b.own.generation, b.own.timeout, b.own.givenUp = id, 0, timeout, false
	m.changed = true
	m.renewal.serve(&b.own, m.cfg.Tick)
	m.out.News = append(m.out.News, SessionNews{What: SessionOpened, Session: id, Timeout: timeout, Since: b.since})
	b.dated = false
}

// decided answers the next call of c. When what decided it was skipped with a snapshot, so was what was decided before it.
func (m *Machine[V, R]) decided(z zab.Zxid, c *client, o *Outcome[R], skipped bool) bool {
	b := &m.outbox
	if o.Name.Sequence != c.first || c.waits() == 0 {
		m.fail(fmt.Errorf("core: request %d of session %x was decided, and %d is the next to be", o.Name.Sequence, o.Name.Session, c.first))
		return false
	}
	w := b.pop(c)
	if o.Attached && o.Err == nil {
		m.gone(o.Session, SessionMoved, skipped && !mutant.On("recalled-move-definite")) // the same session, served here under its former generation
		x := &client{session: o.Session, generation: o.Generation, timeout: o.Timeout, first: 1}
		b.clients.Put(x)
		x.at = uint32(len(b.order))
		b.order = append(b.order, x)
		if !mutant.On("resumed-not-renewed") || x.generation == 0 {
			m.renewal.serve(x, m.cfg.Tick)
		}
		m.out.News = append(m.out.News, SessionNews{What: SessionAttached, Session: x.session, Generation: x.generation, Timeout: x.timeout, Ticket: w.ticket})
	}
	m.reply(Reply[R]{Ticket: w.ticket, Result: o.Result, Zxid: z, Err: o.Err})
	return true
}

// gone follows the end of a session, or its move: what is not decided of its calls never will be. When that was skipped with a snapshot, what was handed over
// may have been. Of the member's own session, what is certain not to be decided is made on the next.
func (m *Machine[V, R]) gone(id uint64, what SessionEvent, skipped bool) {
	b := &m.outbox
	c := b.clients.Get(id)
	if id == b.own.session {
		c = &b.own
	}
	if id == 0 || c == nil {
		return
	}
	c.due = 0
	m.out.News = append(m.out.News, SessionNews{What: what, Session: id, Generation: c.generation})
	why := ErrExpired
	if what == SessionMoved && !mutant.On("moved-told-as-expired") {
		why = ErrMoved
	}
	var next []waiting
	for c.waits() > 0 {
		uncertain := skipped && c.first < c.handed
		if mutant.On("in-flight-leaks") {
			b.count++
		}
		switch w := b.pop(c); {
		case w.closes() && what == SessionExpired:
			m.reply(Reply[R]{Ticket: w.ticket})
		case uncertain:
			m.reply(Reply[R]{Ticket: w.ticket, Err: errors.Join(why, ErrUncertain)})
		case c == &b.own && !w.bound && !w.closes():
			next = append(next, w)
		default:
			m.reply(Reply[R]{Ticket: w.ticket, Err: why})
		}
	}
	if c != &b.own {
		b.clients.Delete(id)
		last := len(b.order) - 1
		b.order[c.at], b.order[last].at = b.order[last], c.at
		b.order[last] = nil
		b.order = b.order[:last]
		return
	}
	m.changed = true
	b.asked = false
	b.own = client{first: 1}
	for _, w := range next {
		b.push(c, w)
	}
}

// giveUp stops the renewal of a session. What is under way on it is still waited for.
func (m *Machine[V, R]) giveUp(x *GiveUp) {
	b := &m.outbox
	b.last = b.last || x.Last
	c := b.served(x.Session, x.Generation)
	if c == nil || c.givenUp {
		return
	}
	c.givenUp = true
	c.due = 0
	if c == &b.own {
		b.push(c, waiting{payload: AppendClose(nil)})
	}
}

// jumped finds, after a snapshot was installed, what it decided.
func (m *Machine[V, R]) jumped() {
	b := &m.outbox
	own, ok := m.sm.Own(m.cfg.Self)
	mine := ok && own.Run == b.run
	if b.own.session != 0 && (!mine || own.ID != b.own.session) && m.zab.Applied() >= zab.Zxid(b.own.session) {
		if ok && !mine {
			m.fail(ErrSuperseded) // the state is one after the session was opened, and another run has opened one since
			return
		}
		what := SessionExpired
		if _, there := m.sm.Session(b.own.session); there {
			what = SessionMoved
		}
		m.gone(b.own.session, what, true)
	}
	if mine && b.own.session == 0 {
		m.opened(own.ID, own.Timeout)
	}
	m.recall(&b.own)
	for _, c := range b.clients.Sorted() {
		switch x, ok := m.sm.Session(c.session); {
		case m.failed != nil || b.clients.Get(c.session) != c || m.zab.Applied() < zab.Zxid(c.session):
		case !ok:
			m.gone(c.session, SessionExpired, true)
		case x.Generation != c.generation:
			m.gone(c.session, SessionMoved, true)
		default:
			m.recall(c)
		}
	}
}

// recall answers what the state has decided of c.
func (m *Machine[V, R]) recall(c *client) {
	for c.session != 0 && c.waits() > 0 && m.failed == nil {
		n := Name{c.session, c.generation, c.first}
		o, ok := m.sm.Decided(Call{Name: n, Payload: c.calls.at(0).payload})
		if !ok {
			return
		}
		o.Name = n
		m.decided(o.Zxid, c, &o, true)
	}
}

// endOutbox answers every call at the end.
func (m *Machine[V, R]) endOutbox(err error) {
	b := &m.outbox
	for _, c := range append([]*client{&b.own}, b.clients.Sorted()...) {
		for c.waits() > 0 {
			why := err
			if c.first < c.handed {
				why = errors.Join(err, ErrUncertain)
			}
			m.reply(Reply[R]{Ticket: b.pop(c).ticket, Err: why})
		}
	}
}
