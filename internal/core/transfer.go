package core

import (
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

func (m *Machine[V, R]) transfer(x *TransferRequest) {
	may := func(id quorum.ID) bool { return (x.To == 0 || x.To == id) && !m.digests.wrong[id] }
	if m.ticket != 0 || x.To == m.cfg.Self || !m.zab.Transfer(may) {
		m.reply(Reply[R]{Ticket: x.Ticket, Err: ErrNotLeading})
		return
	}
	m.ticket, m.tickets = x.Ticket, m.cfg.SyncLimit+1
}

// transferTick answers a transfer when this member leads no more, or when it was given up.
func (m *Machine[V, R]) transferTick() {
	if m.ticket == 0 {
		return
	}
	m.tickets--
	switch {
	case m.zab.Role() != zab.Leading:
		m.reply(Reply[R]{Ticket: m.ticket})
	case m.tickets <= 0:
		m.reply(Reply[R]{Ticket: m.ticket, Err: ErrNotLeading})
	default:
		return
	}
	m.ticket = 0
}
