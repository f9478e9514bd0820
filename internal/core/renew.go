package core

import (
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// renewal keeps the sessions alive that this member serves, and at the leader takes the signs of life of all. A member collects them and sends them with a tick,
// in batches. The leader notes them when they come, and answers a batch when the round of confirmation is complete that its next heartbeat began: so a quorum knew
// this leader after the owner was heard of, and whoever leads later grants the whole timeout after that. None of this is a transaction, and what is lost on the way is
// made up for by the next.
type renewal struct {
	turns turns
	list  []*client // of one tick
	batch uint64    // the last that was made
	sent  []batch   // to the present leader, without an answer, oldest first
	anew  bool      // everything is due: there is another leader
	left  int       // of outbox.order, that is due for that reason and has not had its turn

	leads bool      // the state machine counts ticks
	heard []hearing // at the leader: batches that wait for their round
	ends  ends
}

type batch struct {
	id      uint64
	since   time.Duration
	ticks   int // since it was sent
	touches []Touch
}

type hearing struct {
	from  quorum.ID
	batch uint64
	nots  []uint32
	round uint64
}

// The bounds of renewals.
const (
	mostTouches = 1024    // in a batch, which has to fit into one frame
	mostBatches = 1 << 12 // that wait for an answer, here or of one peer
	renewals    = 6       // how often a session is renewed in its timeout
	leastAnew   = 1 << 12 // sessions that have their turn in one tick when there is another leader, if there are as many
	anewTicks   = 8       // within which all have it
)

// serve begins the renewal of c: at the next tick for the first time.
func (r *renewal) serve(c *client, tick time.Duration) {
	if tick > 0 && c.timeout > 0 && c.session != 0 && !c.givenUp {
		r.turns.set(c, 1)
	}
}

// every is how many ticks pass between two renewals of c.
func (c *client) every(tick time.Duration) uint64 {
	return uint64(max(1, time.Duration(c.timeout)*time.Millisecond/tick/renewals))
}

// renewTick sends what is due.
func (m *Machine[V, R]) renewTick() {
	r := &m.renewal
	b := &m.outbox
	leader := m.zab.Leader()
	can := leader != 0 && m.zab.Serving()
	if can && r.anew {
		r.anew, r.left = false, len(b.order)
		r.serve(&b.own, m.cfg.Tick)
	}
	if r.left = min(r.left, len(b.order)); can && r.left > 0 {
		rest := max(0, r.left-max(leastAnew, len(b.order)/anewTicks+1))
		for _, c := range b.order[rest:r.left] {
			r.serve(c, m.cfg.Tick)
		}
		r.left = rest
	}
	r.list = r.turns.tick(r.list[:0])
	var touches []Touch
	for _, c := range r.list {
		every := c.every(m.cfg.Tick)
		if !c.spread { // those that began at once need not go on together
			c.spread = true
			every = 1 + c.session%every
		}
		r.turns.set(c, every)
		if can {
			touches = append(touches, Touch{c.session, c.generation})
		}
	}
	clear(r.list) // those that go are not held
	for part := range slices.Chunk(touches, mostTouches) {
		if len(r.sent) >= mostBatches {
			break // the leader does not answer
		}
		r.batch++
		r.sent = append(r.sent, batch{id: r.batch, since: m.now, touches: part})
		x := &Renew{Batch: r.batch, Touches: part}
		if leader == m.cfg.Self {
			m.renew(m.cfg.Self, x)
		} else {
			m.sendTo(leader, Control, x)
		}
	}
	// What has no answer after so long will have none: a frame was lost.
	n := 0
	for i := range r.sent {
		r.sent[i].ticks++
	}
	for n < len(r.sent) && r.sent[n].ticks > m.cfg.SyncLimit {
		n++
	}
	r.sent = slices.Delete(r.sent, 0, n)
}

// renew takes a batch, at the leader.
func (m *Machine[V, R]) renew(from quorum.ID, x *Renew) {
	r := &m.renewal
	if !r.leads || len(r.heard) >= mostBatches || mutant.On("renewals-of-one-heard") && len(r.heard) > 0 || len(x.Touches) > mostTouches {
		return
	}
	h := hearing{from: from, batch: x.Batch, round: m.zab.Round() + 1}
	for i, t := range x.Touches {
		if !m.sm.Touch(t.Session, t.Generation) {
			h.nots = append(h.nots, uint32(i))
		}
	}
	r.heard = append(r.heard, h)
}

// serveRenewals answers, at the leader, the batches whose round is complete, and ends the sessions whose time is over.
func (m *Machine[V, R]) serveRenewals() {
	r := &m.renewal
	if m.cfg.Tick == 0 || m.zab.Role() != zab.Leading || !m.zab.Established() {
		return
	}
	if !r.leads {
		r.leads = true
		m.sm.Lead(m.cfg.Tick)
	}
	confirmed, n := m.zab.Confirmed(), 0
	for n < len(r.heard) && (r.heard[n].round <= confirmed || mutant.On("renewal-unconfirmed")) { // rounds are in order
		h := &r.heard[n]
		x := &Renewed{h.batch, h.nots}
		if h.from == m.cfg.Self {
			m.renewed(x)
		} else {
			m.sendTo(h.from, Control, x)
		}
		n++
	}
	r.heard = slices.Delete(r.heard, 0, n)
	m.endSilent()
}

// renewed takes the answer to a batch.
func (m *Machine[V, R]) renewed(x *Renewed) {
	r := &m.renewal
	i := slices.IndexFunc(r.sent, func(b batch) bool { return b.id == x.Batch })
	if i < 0 {
		return
	}
	b, nots := r.sent[i], x.Nots
	r.sent = slices.Delete(r.sent, i, i+1)
	for i, t := range b.touches {
		if len(nots) > 0 && nots[0] == uint32(i) { // they ascend
			nots = nots[1:]
			continue
		}
		if m.outbox.served(t.Session, t.Generation) != nil {
			m.out.News = append(m.out.News, SessionNews{What: SessionRenewed, Session: t.Session, Generation: t.Generation, Since: b.since})
		}
	}
}

// end follows the end of a role.
func (r *renewal) end() {
	r.sent, r.heard, r.leads, r.anew, r.ends = nil, nil, false, true, ends{}
}
