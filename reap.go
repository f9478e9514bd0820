package ensemble

import (
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
)

// The pace of the reaper, in a tick: how many znodes that may be due it looks at, and how many of its writes are under way at most.
const (
	reapLooks = 1024
	reapMost  = 256
)

// reaper is what a leader knows of the containers and znodes with a TTL that it lets go. Its clock counts ticks, so that a pause delays it, and the time of day means
// nothing to it.
type reaper struct {
	leads  bool
	clock  time.Duration
	flying int
	due    []datatree.ReapOp // of the last look, still to be asked for
}

// reap lets the leader ask for the end of what is due. The requests are judged like any others: what was set, or got a child, since it was chosen stays.
func (h *host) reap(now time.Time) {
	r := &h.reaper
	r.clock += h.cfg.Tick
	leads := h.core.Ready && h.core.Role == Leading
	if leads && !r.leads {
		h.sm.Tree().Grant()
	}
	if r.leads = leads; !leads || h.refusing.Load() {
		r.due = nil
		return
	}
	if len(r.due) == 0 {
		r.due = h.sm.Tree().Reapable(r.clock, reapLooks)
	}
	most := min(reapMost, max(1, h.cfg.MaxInFlight/16))
	for len(r.due) > 0 && r.flying < most && h.failed == nil {
		op := r.due[0]
		r.due = r.due[1:]
		payload, err := datatree.AppendOps(nil, []Op{op}, false, h.cfg.MaxData)
		if err != nil {
			continue // the path was fine when the znode was made
		}
		c := &call{kind: reap, kept: true, begin: now, done: make(chan struct{})}
		c.state.Store(handed)
		r.flying++
		h.inFlight.join(c)
		h.stats.requests.Add(1)
		h.request = core.Request{Ticket: h.slots.put(c), Payload: payload, Wall: now.UnixMilli()}
		h.step(&h.request)
	}
}

// reaped takes the answer to a request of the reaper.
func (h *host) reaped(err error) {
	h.reaper.flying--
	if err == nil {
		h.stats.reaped.Add(1)
	}
}
