package core

import "math"

// resumedUnasked is a mistake of mutants alone: what this member takes for served here is resumed without the leader. By its own state, which may be of long ago.
func (m *Machine[V, R]) resumedUnasked(x *Request) bool {
	if len(x.Payload) == 0 || x.Payload[0] != requestResume {
		return false
	}
	h := header{b: x.Payload[1:]}
	c := m.outbox.clients[h.uint(math.MaxUint64)]
	if c == nil {
		return false
	}
	for _, what := range [...]SessionEvent{SessionMoved, SessionAttached} {
		m.out.News = append(m.out.News, SessionNews{What: what, Session: c.session, Generation: c.generation, Timeout: c.timeout, Ticket: x.Ticket})
	}
	m.reply(Reply[R]{Ticket: x.Ticket})
	return true
}
