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
	m.ticket = x.Ticket
}

// serveTransfer answers a transfer when this member leads no more, or when it was given up.
func (m *Machine[V, R]) serveTransfer() {
	if m.ticket == 0 || m.zab.HandingOver() {
		return
	}
	r := Reply[R]{Ticket: m.ticket}
	if m.zab.Role() == zab.Leading {
		r.Err = ErrNotLeading
	}
	m.reply(r)
	m.ticket = 0
}
