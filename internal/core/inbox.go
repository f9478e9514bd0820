package core

import "github.com/ensemble-go/ensemble/zab"

// forwarded takes the requests of another member, at the leader.
func (m *Machine[V, R]) forwarded(x *Forward) {
	if m.zab.Role() != zab.Leading {
		return // it will be handed to the next leader
	}
	if x.Open {
		m.opens = append(m.opens, open{x.Owner, x.Run})
	}
	m.inbox = append(m.inbox, x.Calls...)
}

// serveInbox proposes what waits, while the leader can.
func (m *Machine[V, R]) serveInbox() {
	for len(m.opens) > 0 && m.zab.CanPropose() {
		o := m.opens[0]
		m.opens = m.opens[1:]
		if txn, ok := m.sm.PrepareOpen(m.zab.Next(), m.wall, o.owner, o.run); ok {
			m.zab.Propose(txn)
		}
	}
	n := 0
	for n < len(m.inbox) && m.zab.CanPropose() {
		if s := zab.Zxid(m.inbox[n].Name.Session); s > m.zab.Applied() && s <= m.zab.Last() {
			break // its owner has applied the session's transaction before this leader: a slow disk here
		}
		m.prepare(m.inbox[n])
		n++
	}
	clear(m.inbox[:n])
	m.inbox = m.inbox[n:]
	if len(m.inbox) == 0 {
		m.inbox = nil
	}
}

func (m *Machine[V, R]) prepare(c Call) {
	if txn, ok := m.sm.Prepare(m.zab.Next(), m.wall, c); ok {
		m.zab.Propose(txn)
	}
}
