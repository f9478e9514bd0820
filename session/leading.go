package session

import (
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// leading is what only the leader knows of sessions: who was heard of last.
type leading struct {
	wheel wheel
	tick  time.Duration
	over  []uint64 // sessions whose time is over; some may not be there any more, or have been resumed since
	// Those that were there when it began, the rows before last, are taken up a part at a time: from next on they are not yet, unless they were heard of.
	next, last int
}

// mostTaken is how many sessions are taken up at a time: MaxSessions are within 16 ticks.
const mostTaken = MaxSessions / 16

// Lead begins the timeouts of all sessions, in ticks of that length: here is the leader, until Abandon.
func (t *Table) Lead(tick time.Duration) {
	if t.leading != nil {
		for _, r := range t.rows {
			if r != nil && r.due != closing {
				r.due = untracked
			}
		}
	}
	t.leading = &leading{tick: tick, last: len(t.rows)}
	t.takeUp()
}

// takeUp goes on with the sessions that were there when it began. Their timeout is counted from then.
func (t *Table) takeUp() {
	l := t.leading
	upTo := min(l.next+mostTaken, l.last)
	for _, r := range t.rows[l.next:upTo] {
		if t.present(r) != nil && r.due == untracked && !mutant.On("silence-not-found") {
			t.trackSince(r, 0)
		}
	}
	l.next = upTo
}

// track begins the timeout of a session now, at the leader.
func (t *Table) track(r *row) {
	if t.leading != nil && r.due != closing {
		t.trackSince(r, t.leading.wheel.now)
	}
}

func (t *Table) trackSince(r *row, since uint64) {
	if r.timeout == 0 {
		return
	}
	l := t.leading
	stands := r.due != untracked && r.due != over
	r.due = max(since+l.ticks(r), l.wheel.now+1)
	if mutant.On("no-grace") && since == 0 {
		r.due = l.wheel.now + 1
	}
	if !stands {
		l.wheel.put(r.id, r.due)
	}
}

// ticks of silence that end a session.
func (l *leading) ticks(r *row) uint64 {
	return Ticks(time.Duration(r.timeout)*time.Millisecond, l.tick)
}

// Touch notes, at the leader, that the owner of a session in that generation is alive. It reports false if that does not keep the session: it is not there, has
// moved or is about to, or its time is over.
func (t *Table) Touch(id uint64, generation uint32) bool {
	r, l := t.row(id), t.leading
	switch {
	case r == nil, l == nil, r.due == closing, r.due == over, (r.generation != generation || r.next != generation) && !mutant.On("old-generation-lives"):
		return false // where the next generation begins, nothing that comes later is confirmed to this one
	case r.due == untracked: // it is not taken up yet, or does not expire
		t.track(r)
		return r.due != untracked
	}
	r.due = l.wheel.now + l.ticks(r)
	return true
}

// Elapse lets a tick pass for the leader. Elsewhere it does nothing.
func (t *Table) Elapse() {
	l := t.leading
	if l == nil {
		return
	}
	t.takeUp()
	from := len(l.over)
	for _, id := range l.wheel.tick() {
		switch r := t.index.Get(id); {
		case r == nil, r.due == untracked, r.due == closing, r.due == over:
		case r.due <= l.wheel.now:
			r.due = over
			l.over = append(l.over, id)
		default:
			l.wheel.put(id, r.due)
		}
	}
	slices.Sort(l.over[from:])
}

// Over returns, at the leader, the next session whose time is over; ok is false when there is none. Whoever asks claims its end. One whose move is proposed is not among them: whoever moves it
// is alive, and has its whole timeout from the move on.
func (t *Table) Over() (id uint64, ok bool) {
	for l := t.leading; l != nil && len(l.over) > 0; {
		id, l.over = l.over[0], l.over[1:]
		r := t.row(id)
		if r != nil && r.due == over && (r.next == r.generation || mutant.On("resume-no-sign-of-life")) {
			return id, true
		}
	}
	return 0, false
}
