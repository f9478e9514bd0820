package core

import (
	"slices"

	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// inbound is a call of another member that waits for the leader to be able to propose.
type inbound struct {
	from *peer
	call Call
}

// forwarded takes the requests of another member, at the leader. What waits here is bounded by what may wait at the members,
// since what a member said before it followed anew is dropped when it does; more than that comes from no member of this code.
func (m *Machine[V, R]) forwarded(p *peer, x *Forward) {
	if m.zab.Role() != zab.Leading || x.Owner != p.id {
		return // it will be handed to the next leader
	}
	if x.Open {
		m.askOpen(open{x.Owner, x.Run, x.Timeout})
	}
	for _, c := range x.Calls {
		if p.calls >= session.MaxWindow || p.bytes > 0 && p.bytes+len(c.Payload) > MostWaiting {
			return
		}
		p.calls++
		p.bytes += len(c.Payload)
		m.inbox.push(inbound{p, c})
	}
}

// askOpen asks for a session; an owner has one run at a time.
func (m *Machine[V, R]) askOpen(o open) {
	m.opens = slices.DeleteFunc(m.opens, func(x open) bool { return x.owner == o.owner })
	m.opens = append(m.opens, o)
}

// forget drops what a peer asked for in an attempt to follow that has ended: it will hand that over again.
func (m *Machine[V, R]) forget(p *peer) {
	m.opens = slices.DeleteFunc(m.opens, func(o open) bool { return o.owner == p.id })
	m.syncs.forget(p.id)
	m.digests.forget(p.id)
	m.renewal.heard = slices.DeleteFunc(m.renewal.heard, func(h hearing) bool { return h.from == p.id }) // its next run numbers batches from the beginning
	if p.calls == 0 {
		return
	}
	var rest queue[inbound]
	for m.inbox.len() > 0 {
		if in := m.inbox.pop(); in.from != p {
			rest.push(in)
		}
	}
	m.inbox = rest
	p.calls, p.bytes = 0, 0
}

// forgetAll does so when this member does not lead any more.
func (m *Machine[V, R]) forgetAll() {
	m.inbox, m.opens = queue[inbound]{}, nil
	for i := range m.peers {
		m.peers[i].calls, m.peers[i].bytes = 0, 0
	}
}

// serveInbox proposes what waits, while the leader can.
func (m *Machine[V, R]) serveInbox() {
	for len(m.opens) > 0 && m.zab.CanPropose() {
		o := m.opens[0]
		m.opens = m.opens[1:]
		if txn, ok := m.sm.PrepareOpen(m.zab.Next(), m.wall, o.owner, o.run, o.timeout); ok {
			m.zab.Propose(txn)
		}
	}
	for m.inbox.len() > 0 && m.zab.CanPropose() {
		if m.sm.Waits(m.inbox.at(0).call) {
			break // its owner has applied the session's transaction before this leader: a slow disk here
		}
		in := m.inbox.pop()
		in.from.calls--
		in.from.bytes -= len(in.call.Payload)
		m.prepare(in.call)
	}
}

func (m *Machine[V, R]) prepare(c Call) {
	if txn, ok := m.sm.Prepare(m.zab.Next(), m.wall, c); ok {
		m.zab.Propose(txn)
	}
}
