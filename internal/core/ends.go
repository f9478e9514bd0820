package core

import (
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// ends paces the ends of sessions at the leader: what others ask for waits for those that are outstanding. They are as few as can be while one session ends every
// endEvery; where they take long, such as with slow disks, they become more with each tick.
type ends struct {
	out  queue[zab.Zxid] // proposed and not applied
	most int             // of them
	done int             // proposed since the last tick
}

const (
	endEvery  = 50 * time.Microsecond
	leastEnds = 2
	mostEnds  = 128
)

// endSilent ends sessions whose time is over.
func (m *Machine[V, R]) endSilent() {
	e := &m.renewal.ends
	for e.out.len() > 0 && *e.out.at(0) <= m.zab.Applied() {
		e.out.pop()
	}
	for e.out.len() < max(e.most, leastEnds) && m.zab.CanPropose() {
		z := m.zab.Next()
		txn, ok := m.sm.PrepareEnd(z, m.wall)
		if !ok {
			return
		}
		m.zab.Propose(txn)
		e.out.push(z)
		e.done++
	}
}

// tick follows how many sessions end in a tick.
func (e *ends) tick(tick time.Duration) {
	want := int(tick / endEvery)
	switch {
	case e.out.len() == 0:
		e.most = leastEnds
	case e.done < want:
		e.most = min(2*max(e.most, leastEnds), mostEnds)
	case e.done > 2*want:
		e.most = max(e.most/2, leastEnds)
	}
	e.done = 0
}
