package main

import (
	"cmp"
	"slices"
	"time"
)

// exclusion judges the lock: no two sessions believe to hold it at once, unless a process was stopped for so long that its clock could not tell it in time, and each holder's token is greater than those
// before. It returns how often the lock went from one session to another, and how often two had it because of such a stop.
func (o *oracle) exclusion(all map[uint64]*life, w *watch) (handedOver, excused int) {
	holds := slices.Clone(w.holds)
	slices.SortFunc(holds, func(a, b *hold) int { return cmp.Compare(a.From, b.From) })
	end := func(h *hold) int64 {
		until, _ := w.served(h.Session, h.Generation, h.Member, h.From)
		if h.To != 0 {
			until = min(until, h.To)
		}
		return until
	}
	// late says that the process of h could not tell that its session's time was over.
	late := func(h *hold, from, to int64) bool {
		l := all[h.Session]
		return l != nil && w.stopped(h.Member, from-int64(l.lasts), to) > l.lasts/3-sharp
	}
	var last *hold // of those before the one that is believed the longest
	for i, h := range holds {
		if l := all[h.Session]; l == nil {
			o.fault("session %d holds the lock, and the log does not have it", h.Session)
		}
		if t := o.at[h.Token]; t == nil || len(t.Effects) != 1 || t.Effects[0].Path != lockPath || t.Effects[0].Owner != h.Session {
			o.fault("session %d holds the lock with the token %v, and the log has %+v", h.Session, h.Token, t)
		}
		if last != nil && last.Session != h.Session {
			if until := end(last); h.From < until {
				if late(last, h.From, until) || late(h, h.From, h.From) {
					excused++
				} else {
					o.fault("sessions %d and %d believe to hold the lock at once for %v, with the tokens %v and %v", last.Session, h.Session, time.Duration(min(until, end(h))-h.From), last.Token, h.Token)
				}
			}
		}
		if i > 0 {
			p := holds[i-1]
			if p.Session != h.Session {
				handedOver++
			}
			if (h.Token < p.Token || h.Token == p.Token && h.Session != p.Session) && !late(h, h.From, h.From) {
				o.fault("the token %v of session %d follows %v of session %d", h.Token, h.Session, p.Token, p.Session)
			}
		}
		if last == nil || end(h) > end(last) || last.Session == h.Session {
			last = h
		}
	}
	return handedOver, excused
}
