package session

import (
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// leading is what only the leader knows of sessions: who was heard of last.
type leading struct {
	wheel wheel
	tick  time.Duration
	over  []uint64 // sessions whose time is over; some may not be there any more, or have been resumed since
	// Those that were there when it began, up to last, are taken up a part at a time: from next on they are not yet, unless they were heard of.
	next, last uint64
}

// mostTaken is how many sessions are taken up at a time: MaxSessions are within 16 ticks.
const mostTaken = MaxSessions / 16

// Lead begins the timeouts of all sessions, in ticks of that length: here is the leader, until Abandon.
func (t *Table) Lead(tick time.Duration) {
	if t.leading != nil {
		for _, p := range t.rows {
			if p.row != nil {
				p.tracked, p.over = nil, false
			}
		}
	}
	t.leading = &leading{tick: tick}
	if n := len(t.rows); n > 0 {
		t.leading.last = t.rows[n-1].id
	}
	t.takeUp()
}

// takeUp goes on with the sessions that were there when it began. Their timeout is counted from then.
func (t *Table) takeUp() {
	l := t.leading
	if l.next > l.last {
		return
	}
	left := mostTaken
	for _, p := range t.rows[t.find(l.next):] {
		if p.id > l.last {
			break
		}
		if left == 0 {
			l.next = p.id
			return
		}
		left--
		if r := t.present(p.row); r != nil && r.tracked == nil && !r.over && !mutant.On("silence-not-found") {
			t.trackSince(r, 0)
		}
	}
	l.next = l.last + 1
}

// track begins the timeout of a session now, at the leader.
func (t *Table) track(r *row) {
	if t.leading != nil {
		t.untrack(r)
		t.trackSince(r, t.leading.wheel.now)
	}
}

func (t *Table) trackSince(r *row, since uint64) {
	if r.Timeout == 0 {
		return
	}
	w := &t.leading.wheel
	x := &tracked{id: r.ID, ticks: Ticks(time.Duration(r.Timeout)*time.Millisecond, t.leading.tick)}
	x.due = max(since+x.ticks, w.now+1)
	if mutant.On("no-grace") && since == 0 {
		x.due = w.now + 1
	}
	w.put(x)
	r.tracked, r.over = x, false
}

func (t *Table) untrack(r *row) {
	if r.tracked != nil {
		t.leading.wheel.take(r.tracked)
		r.tracked = nil
	}
	r.over = false
}

// Touch notes, at the leader, that the owner of a session in that generation is alive. It reports false if that does not keep the session: it is not there, has
// moved or is about to, or its time is over.
func (t *Table) Touch(id uint64, generation uint32) bool {
	r, l := t.row(id), t.leading
	switch {
	case r == nil, l == nil, r.closing, r.over, (r.Generation != generation || r.generation != generation) && !mutant.On("old-generation-lives"):
		return false // where the next generation begins, nothing that comes later is confirmed to this one
	case r.tracked == nil: // it is not taken up yet, or does not expire
		t.track(r)
		return r.tracked != nil
	}
	r.tracked.due = l.wheel.now + r.tracked.ticks
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
	l.over = l.wheel.tick(l.over)
	for _, id := range l.over[from:] {
		r := t.row(id)
		r.tracked, r.over = nil, true
	}
}

// Over returns, at the leader, the next session whose time is over; ok is false when there is none. Whoever asks claims its end. One whose move is proposed is not among them: whoever moves it
// is alive, and has its whole timeout from the move on.
func (t *Table) Over() (id uint64, ok bool) {
	for l := t.leading; l != nil && len(l.over) > 0; {
		id, l.over = l.over[0], l.over[1:]
		r := t.row(id)
		if r != nil && r.over && !r.closing && (r.generation == r.Generation || mutant.On("resume-no-sign-of-life")) {
			return id, true
		}
	}
	return 0, false
}
