package core

import (
	"fmt"

	"github.com/ensemble-go/ensemble/zab"
)

// outbox holds the requests of this member's own session that have no answer yet, in order. They are handed to whoever
// leads, all again after a change of leader; the window of decided requests makes that harmless.
type outbox struct {
	run     zab.Incarnation // names this run of the member
	session uint64          // 0 until its transaction is applied here
	calls   queue[waiting]  // sequences first, first+1, ...
	first   uint64
	sent    int      // calls handed to the present leader
	handed  uint64   // every sequence below it was once handed to a leader
	asked   bool     // the present leader was asked for the session
	forward *Forward // in this Output: more calls may join
	bytes   int      // of its calls
	held    int      // bytes of all payloads
}

// mostWaiting is how many bytes of requests may wait at a member, beside MaxInFlight: with it, what waits for them at a leader, and
// the window of what was decided of them, are bounded too.
const mostWaiting = 256 << 20

type waiting struct {
	ticket  uint64
	payload []byte
}

func (m *Machine[V, R]) request(x *Request) {
	b := &m.outbox
	if b.calls.len() >= m.cfg.MaxInFlight || b.held > 0 && b.held+len(x.Payload) > mostWaiting {
		m.reply(Reply[R]{Ticket: x.Ticket, Err: ErrOverloaded})
		return
	}
	if b.first == 0 {
		b.first = 1
	}
	b.held += len(x.Payload)
	b.calls.push(waiting{x.Ticket, x.Payload})
}

// serveOutbox hands over what the present leader has not been given.
func (m *Machine[V, R]) serveOutbox() {
	b := &m.outbox
	leader := m.zab.Leader()
	if leader == 0 || !m.zab.Serving() || !m.zab.Durable().Counts && m.voter {
		return
	}
	self := leader == m.cfg.Self
	if b.session == 0 {
		switch {
		case b.asked:
		case self:
			b.asked = true
			m.askOpen(open{m.cfg.Self, b.run})
			m.serveInbox()
		default:
			b.asked = true
			m.sendTo(leader, Log, &Forward{Owner: m.cfg.Self, Open: true, Run: b.run})
		}
		return
	}
	for b.sent < b.calls.len() {
		c := Call{Name: Name{b.session, 0, b.first + uint64(b.sent)}, Low: b.first, Payload: b.calls.at(b.sent).payload}
		if self {
			if !m.zab.CanPropose() {
				return
			}
			m.prepare(c)
		} else {
			if b.forward == nil || b.bytes+len(c.Payload) > maxBatch {
				b.forward, b.bytes = &Forward{Owner: m.cfg.Self, Run: b.run}, 0
				m.sendTo(leader, Log, b.forward)
			}
			b.forward.Calls = append(b.forward.Calls, c)
			b.bytes += len(c.Payload) + 32
		}
		b.sent++
		b.handed = max(b.handed, c.Name.Sequence+1)
	}
}

// outcome answers the request that an applied transaction decided, if it is one of this member's.
func (m *Machine[V, R]) outcome(z zab.Zxid, o Outcome[R]) {
	b := &m.outbox
	if o.Opened {
		if o.Closed != 0 {
			m.out.SessionsEnded = append(m.out.SessionsEnded, SessionEnd{o.Closed, z})
		}
		if o.Closed == b.session && b.session != 0 {
			m.fail(ErrSuperseded)
			return
		}
		if o.Owner == m.cfg.Self && o.Run == b.run {
			b.session, m.changed = o.Session, true
		}
		return
	}
	if o.Name.Session == b.session && b.session != 0 {
		m.decided(z, o)
	}
}

func (m *Machine[V, R]) decided(z zab.Zxid, o Outcome[R]) {
	b := &m.outbox
	if o.Name.Sequence != b.first || b.calls.len() == 0 {
		m.fail(fmt.Errorf("core: request %d of session %x was decided, and %d is the next to be", o.Name.Sequence, o.Name.Session, b.first))
		return
	}
	w := b.calls.pop()
	b.held -= len(w.payload)
	m.reply(Reply[R]{Ticket: w.ticket, Result: o.Result, Zxid: z, Err: o.Err})
	b.first++
	b.sent = max(0, b.sent-1)
}

// jumped finds, after a snapshot was installed, what it decided.
func (m *Machine[V, R]) jumped() {
	b := &m.outbox
	switch s, ok := m.sm.Find(m.cfg.Self, b.run); {
	case ok && b.session == 0:
		b.session, m.changed = s, true
	case !ok && b.session != 0 && m.zab.Applied() >= zab.Zxid(b.session):
		m.fail(ErrSuperseded) // the state is one after the session was opened, and it is not there
		return
	}
	for b.session != 0 && b.calls.len() > 0 {
		n := Name{b.session, 0, b.first}
		o, ok := m.sm.Decided(Call{Name: n, Payload: b.calls.at(0).payload})
		if !ok {
			return
		}
		o.Name = n
		m.decided(o.Zxid, o)
	}
}
