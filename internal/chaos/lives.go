package main

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble"
)

// The bounds of the end of a session that nobody renews.
const (
	memberTick = 50 * time.Millisecond
	// bucket is what the ensemble may take longer than the timeout: whole ticks, and two more, see session.Ticks.
	bucket = 3 * memberTick
	// reaction is for the last renewals on their way, for the agreement on the end, and until a member has noted it.
	reaction = 500 * time.Millisecond
	// sharp is how exactly a process knows the time when it was not stopped.
	sharp = 50 * time.Millisecond
)

// life is that of a session by the log.
type life struct {
	client     bool
	lasts      time.Duration
	generation uint32
	number     uint64 // of the call of this generation that was decided last
	owned      map[string]bool
	ended      ensemble.Zxid // 0: it is open
	how        change
	end        *txn
}

// sessions judges what the log says of sessions alone: at each zxid an ephemeral is there if and only if the session that made it is open, and calls are decided of open sessions only, in the
// present generation and in their order without a gap.
func (o *oracle) sessions() map[uint64]*life {
	all := map[uint64]*life{}
	owner := map[string]uint64{}
	for i := range o.log.Txns {
		t := &o.log.Txns[i]
		if id := t.Name.Session; id != 0 {
			switch l := all[id]; {
			case l == nil || l.ended != 0:
				o.fault("%v: the call %v is decided of a session that is not open", t.Zxid, t.Name)
			case t.Name.Generation != l.generation || t.Name.Sequence != l.number+1:
				o.fault("%v: the call %v is decided after number %d of generation %d", t.Zxid, t.Name, l.number, l.generation)
			default:
				l.number++
			}
		}
		over := t.over()
		if over == 0 {
			for _, e := range t.Effects {
				switch l := all[e.Owner]; {
				case e.Verb == verbDelete && owner[e.Path] != 0:
					delete(all[owner[e.Path]].owned, e.Path)
					delete(owner, e.Path)
				case e.Owner == 0:
				case l == nil || l.ended != 0 || e.Owner != t.Name.Session:
					o.fault("%v: the call %v makes the ephemeral %s for session %d, which is not open or not its own", t.Zxid, t.Name, e.Path, e.Owner)
				default:
					l.owned[e.Path], owner[e.Path] = true, e.Owner
				}
			}
		} else if l := all[over]; l == nil || l.ended != 0 {
			o.fault("%v: session %d ends, and is not open", t.Zxid, over)
		} else {
			for _, e := range t.Effects {
				if !l.owned[e.Path] {
					o.fault("%v: the end of session %d takes %s along, which is not its own", t.Zxid, over, e.Path)
				}
				delete(l.owned, e.Path)
				delete(owner, e.Path)
			}
			for _, path := range slices.Sorted(maps.Keys(l.owned)) {
				o.fault("%v: session %d ends, and %s outlives it", t.Zxid, over, path)
			}
			l.ended, l.how, l.end = t.Zxid, t.Change, t
		}
		switch t.Change {
		case opens, creates:
			all[t.Session] = &life{client: t.Change == creates, lasts: t.Lasts, owned: map[string]bool{}}
		case moves:
			if l := all[t.Session]; l == nil || l.ended != 0 {
				o.fault("%v: session %d is resumed, and is not open", t.Zxid, t.Session)
			} else {
				l.generation, l.number = l.generation+1, 0
			}
		}
	}
	for path, id := range o.log.Ephemerals {
		if owner[path] != id {
			o.fault("in the end there is %s of session %d, which by the log is of %d", path, id, owner[path])
		}
	}
	for path, id := range owner {
		if _, there := o.log.Ephemerals[path]; !there {
			o.fault("in the end %s of session %d, which is open, is not there", path, id)
		}
	}
	return all
}

// told judges what clients were told of their sessions. It returns how many were resumed after the death of the process that served them.
func (o *oracle) told(all map[uint64]*life, attempts []*attempt, ops []*op) (resumed int) {
	known, asked := map[uint64]bool{}, map[*txn]bool{}
	for _, a := range attempts {
		id := max(a.Session, a.Opened)
		l := all[id]
		switch {
		case a.Outcome == done && a.Wrong:
			o.fault("session %d was resumed with a wrong password", id)
		case a.Outcome == done && (l == nil || l.generation < a.Generation || l.lasts != a.Lasts):
			o.fault("a client has session %d, generation %d, of %v, and the log has %+v", id, a.Generation, a.Lasts, l)
		case a.Expired && !a.Wrong && (l == nil || l.ended == 0):
			o.fault("a client was told that session %d has ended, and by the log it is open", id)
		}
		known[id] = known[id] || a.Outcome == done
		if a.Outcome == done && a.Killed {
			resumed++
		}
	}
	for _, p := range ops {
		if p.Parts[0].Verb == verbClose && p.named() {
			asked[o.named[p.On.Name]] = true
			if l := all[p.On.Name.Session]; p.Outcome == done && (l == nil || l.ended == 0) {
				o.fault("the end of session %d was acknowledged, and by the log it is open", p.On.Name.Session)
			}
		}
	}
	// A member closes what it has opened for a client that did not wait.
	for id, l := range all {
		if l.how == closes && l.client && !asked[l.end] && known[id] {
			o.fault("%v: session %d is closed, and its client did not ask for that", l.ended, id)
		}
	}
	return resumed
}

// watch is what processes have noted, in order.
type watch struct {
	lives
	attached map[uint64][]event
	lapsed   map[uint64][]event
	ended    map[uint64]int64 // when the first member has noted it
	leads    []event
	stops    map[ensemble.ID][]span // times in which a process did not run, whatever the reason
}

func newWatch(l lives) *watch {
	w := &watch{lives: l, attached: map[uint64][]event{}, lapsed: map[uint64][]event{}, ended: map[uint64]int64{}, stops: map[ensemble.ID][]span{}}
	slices.SortStableFunc(w.events, func(a, b event) int { return cmp.Compare(a.At, b.At) })
	for _, p := range w.pauses {
		w.stops[p.Member] = append(w.stops[p.Member], p)
	}
	for _, e := range w.events {
		switch e.Kind {
		case evAttached:
			w.attached[e.Session] = append(w.attached[e.Session], e)
		case evLapsed:
			w.lapsed[e.Session] = append(w.lapsed[e.Session], e)
		case evEnded:
			if _, ok := w.ended[e.Session]; !ok {
				w.ended[e.Session] = e.At
			}
		case evLeads:
			w.leads = append(w.leads, e)
		case evStalled:
			w.stops[e.Member] = append(w.stops[e.Member], span{e.Member, e.At - e.Took, e.At})
		}
	}
	for id, list := range w.stops { // what was noted twice counts once
		slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.From, b.From) })
		n := 0
		for _, s := range list {
			if n > 0 && s.From <= list[n-1].To {
				list[n-1].To = max(list[n-1].To, s.To)
				continue
			}
			list[n] = s
			n++
		}
		w.stops[id] = list[:n]
	}
	return w
}

// stopped is how long a member's process did not run in a time.
func (w *watch) stopped(m ensemble.ID, from, to int64) (sum time.Duration) {
	for _, s := range w.stops[m] {
		sum += time.Duration(max(0, min(s.To, to)-max(s.From, from)))
	}
	return sum
}

// served is until when the member's process had a session in a generation, and whether that was the end of its Context.
func (w *watch) served(session uint64, generation uint32, m ensemble.ID, from int64) (until int64, lapsed bool) {
	until = w.until
	for _, e := range w.ends {
		if e.Member == m && e.At >= from {
			until = min(until, e.At)
		}
	}
	for _, e := range w.lapsed[session] {
		if e.Member == m && e.Generation == generation && e.At >= from && e.At <= until {
			return e.At, true
		}
	}
	return until, false
}

// expiries is what came of the sessions that nobody renewed any more.
type expiries struct {
	expired, timed int
	late           time.Duration // after timeout and bucket, at worst
}

// timing judges when sessions were ended: not before their timeout had passed since the last renewal that was confirmed, and not later than timeout and bucket after the last sign of life, the last change of
// leader or its last pause.
func (o *oracle) timing(all map[uint64]*life, w *watch, ops []*op) (s expiries) {
	type seen struct {
		at     int64
		member ensemble.ID
	}
	alive := map[uint64]seen{} // the Context
	see := func(id uint64, at int64, m ensemble.ID) {
		if at > alive[id].at {
			alive[id] = seen{at, m}
		}
	}
	for _, p := range ops {
		if p.On != nil {
			see(p.On.Session, p.On.Alive, p.Member)
		}
	}
	for id, list := range w.lapsed {
		for _, e := range list {
			see(id, e.At, e.Member)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		l := all[id]
		if !l.client || l.ended != 0 && l.how != expires {
			continue
		}
		over, known := w.ended[id]
		if l.ended != 0 {
			s.expired++
		} else {
			over, known = w.until, true
		}
		if !known {
			continue // whoever applied it was killed, or was given a snapshot instead
		}
		if a := alive[id]; l.ended != 0 && a.at > 0 {
			// A Context lasts two thirds of the timeout from a confirmed renewal on, so a third is left.
			if early := time.Duration(a.at-over) + l.lasts/3 - sharp - w.stopped(a.member, a.at-int64(l.lasts), a.at); early > 0 {
				o.fault("%v: session %d of %v died %v too early: at member %d its Context had not ended %v before", l.ended, id, l.lasts, early, a.member, time.Duration(over-a.at))
			}
		}
		i := slices.IndexFunc(w.attached[id], func(e event) bool { return e.Generation == l.generation })
		if i < 0 {
			continue // a client that has gone before it was served
		}
		last := w.attached[id][i]
		from, _ := w.served(id, last.Generation, last.Member, last.At)
		if from >= over {
			continue // it was there till the end
		}
		for _, held := range w.held { // renewals that were on their way then arrived when it was over
			if held.From <= from && held.To > from {
				from = held.To
			}
		}
		leader := ensemble.ID(0)
		for _, e := range w.leads {
			if e.At <= over {
				from, leader = max(from, e.At), e.Member
			}
		}
		for _, p := range w.pauses {
			if p.Member == leader && p.From < over {
				from = max(from, p.To)
			}
		}
		if from > over {
			continue
		}
		s.timed++
		late := time.Duration(over-from) - l.lasts - bucket - w.stopped(leader, from, over)
		if l.ended != 0 {
			s.late = max(s.late, late)
		}
		if late > reaction {
			o.fault("%v: session %d of %v is ended, if at all, %v after the last sign of its life, the last change or pause of the leader: %v too late", l.ended, id, l.lasts, time.Duration(over-from), late)
		}
	}
	return s
}
