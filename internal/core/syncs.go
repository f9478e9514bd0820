package core

import (
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// syncs are positions asked for: by this member's callers, and, at the leader, by others.
type syncs struct {
	asks []ask // of this member, ascending id
	next uint64
	at   []asked // at the leader
}

type ask struct {
	id, ticket uint64
	sent       bool
	zxid       zab.Zxid // confirmed, 0: not yet
	confirmed  bool
}

type asked struct {
	from  quorum.ID
	id    uint64
	zxid  zab.Zxid
	round uint64 // that confirms it, 0: not begun
}

func (s *syncs) unsend() {
	for i := range s.asks {
		if !s.asks[i].confirmed {
			s.asks[i].sent = false
		}
	}
	s.at = nil
}

// forget drops what a peer asked for on a link that has ended: its next life numbers its asks anew.
func (s *syncs) forget(peer quorum.ID) {
	s.at = slices.DeleteFunc(s.at, func(a asked) bool { return a.from == peer })
}

func (m *Machine[V, R]) syncRequest(ticket uint64) {
	s := &m.syncs
	if len(s.asks) >= m.cfg.MaxInFlight {
		m.reply(Reply[R]{Ticket: ticket, Err: ErrOverloaded})
		return
	}
	s.next++
	s.asks = append(s.asks, ask{id: s.next, ticket: ticket})
}

// syncAsked notes what a member asks for, at the leader. Those whose round is not begun will all have the same, so one of each member is
// enough.
func (m *Machine[V, R]) syncAsked(from quorum.ID, id uint64) {
	if m.zab.Role() != zab.Leading {
		return
	}
	for i := range m.syncs.at {
		if a := &m.syncs.at[i]; a.from == from && a.round == 0 {
			a.id = max(a.id, id)
			return
		}
	}
	m.syncs.at = append(m.syncs.at, asked{from: from, id: id})
}

// syncAnswered: an answer serves all that were asked no later.
func (m *Machine[V, R]) syncAnswered(x *SyncAnswer) {
	for i := range m.syncs.asks {
		if a := &m.syncs.asks[i]; a.sent && !a.confirmed && a.id <= x.ID {
			a.confirmed, a.zxid = true, x.Zxid
		}
	}
}

func (m *Machine[V, R]) serveSyncs() {
	s := &m.syncs
	leader := m.zab.Leader()
	if leader != 0 && m.zab.Serving() {
		last := uint64(0)
		for i := range s.asks {
			if a := &s.asks[i]; !a.sent {
				a.sent, last = true, a.id
			}
		}
		if last != 0 {
			if leader == m.cfg.Self {
				m.syncAsked(m.cfg.Self, last)
			} else {
				m.sendTo(leader, Log, &SyncAsk{last})
			}
		}
	}
	if leader == m.cfg.Self && m.zab.Serving() && m.zab.Established() {
		m.answerSyncs()
	}
	n := 0
	for _, a := range s.asks {
		if a.confirmed && (a.zxid <= m.zab.Applied() || mutant.On("sync-unapplied")) {
			m.reply(Reply[R]{Ticket: a.ticket, Zxid: a.zxid})
			continue
		}
		s.asks[n] = a
		n++
	}
	s.asks = s.asks[:n]
}

// answerSyncs answers, at the leader, the asks whose round of confirmation a quorum has completed.
func (m *Machine[V, R]) answerSyncs() {
	s := &m.syncs
	n := 0
	for _, a := range s.at {
		if a.round == 0 {
			a.round, a.zxid = m.zab.Confirm(), m.zab.Committed()
			if mutant.On("sync-of-applied") {
				a.zxid = m.zab.Applied()
			}
			if mutant.On("sync-joins-round") {
				a.round = max(a.round-1, m.zab.Confirmed()+1)
			}
			if mutant.On("sync-old-round") && m.zab.Confirmed() > 0 {
				a.round = m.zab.Confirmed()
			}
		}
		if m.zab.Confirmed() < a.round {
			s.at[n] = a
			n++
			continue
		}
		x := &SyncAnswer{a.id, a.zxid}
		if a.from == m.cfg.Self {
			m.syncAnswered(x)
		} else {
			m.sendTo(a.from, Log, x)
		}
	}
	s.at = s.at[:n]
}
