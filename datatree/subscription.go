package datatree

import (
	"errors"
	"sync/atomic"
)

// What ends a subscription.
var (
	ErrWatchOverflow = errors.New("buffer of the watch is full")
	ErrWatchGap      = errors.New("history of the watch has a gap")
	ErrFeedClosed    = errors.New("datatree: the feed is closed")
)

// Subscription is one reader of a Feed: see Feed.Subscribe. Any goroutine may use it, and several at once, each of which takes other events.
type Subscription struct {
	topic *topic
	who   *Caller
	at    atomic.Pointer[notice] // the last that was taken; nil: it has ended
	past  atomic.Pointer[past]   // what is to be told first
}

// past is what was missed.
type past struct {
	deeds []deed
	next  atomic.Int64
}

// Next takes the next event; ok is false when there is none yet. After an error there is nothing more: ErrWatchOverflow when it has lagged too far behind,
// ErrWatchGap when the tree has given way to another, ErrFeedClosed.
func (s *Subscription) Next() (e Event, ok bool, err error) {
	for p := s.past.Load(); p != nil; p = s.past.Load() {
		i := int(p.next.Add(1)) - 1
		if i >= len(p.deeds) {
			s.past.CompareAndSwap(p, nil)
			break
		}
		if d := &p.deeds[i]; s.sees(d) {
			d.fill(&e)
			return e, true, nil
		}
	}
	for {
		at := s.at.Load()
		if at == nil {
			return e, false, ErrFeedClosed
		}
		n := at.next.Load()
		if n == nil {
			return e, false, nil
		}
		if err := ends(n); err != nil {
			return e, false, err
		}
		if !s.step(at, n, n) || !s.sees(&n.deed) {
			continue
		}
		n.fill(&e)
		return e, true, nil
	}
}

// Batch takes all events that are there, and all that are left of each transaction.
func (s *Subscription) Batch() (all []Event, err error) {
	take := func(d *deed) {
		if s.sees(d) {
			all = append(all, Event{})
			d.fill(&all[len(all)-1])
		}
	}
	if p := s.past.Load(); p != nil {
		n := int64(len(p.deeds))
		for i := p.next.Swap(n); i < n; i++ {
			take(&p.deeds[i])
		}
		s.past.CompareAndSwap(p, nil)
	}
	for {
		at := s.at.Load()
		if at == nil {
			return all, ErrFeedClosed
		}
		first := at.next.Load()
		if first == nil {
			return all, nil
		}
		if err := ends(first); err != nil {
			if len(all) > 0 {
				err = nil // it will be there the next time
			}
			return all, err
		}
		had := len(all)
		last := first
		for n := first; n != nil && ends(n) == nil; n = n.next.Load() {
			take(&n.deed)
			last = n
		}
		if !s.step(at, first, last) { // what was taken may have been cut off meanwhile
			all = all[:had]
		}
	}
}

// step goes on from at, whose next is first, to last. It reports whether it did: somebody else may have, or at was cut off.
func (s *Subscription) step(at, first, last *notice) bool {
	last.standing.Add(1)
	// As long as at is not cut off, the writer has not passed it, and from now on it does not pass last.
	if at.next.Load() != first || !s.at.CompareAndSwap(at, last) {
		last.standing.Add(-1)
		return false
	}
	at.standing.Add(-1)
	return true
}

// Ready reports whether Next has anything to say.
func (s *Subscription) Ready() bool {
	if s.past.Load() != nil {
		return true
	}
	at := s.at.Load()
	return at == nil || at.next.Load() != nil
}

// Bell returns a channel that is closed when there may be more. Look at Ready after having got it.
func (s *Subscription) Bell() <-chan struct{} {
	for {
		if b := s.topic.bell.Load(); b != nil {
			return b.c
		}
		s.topic.bell.CompareAndSwap(nil, &bell{make(chan struct{})})
	}
}

// ends returns the error that n stands for, if it is no event.
func ends(n *notice) error {
	switch n {
	case overflowed:
		return ErrWatchOverflow
	case jumped:
		return ErrWatchGap
	case closed:
		return ErrFeedClosed
	}
	return nil
}

// sees reports whether the subscriber may read what d tells.
func (s *Subscription) sees(d *deed) bool {
	if s.who == nil || s.who.super() {
		return true
	}
	for _, v := range [...]*version{d.now, d.old} {
		if v != nil && !v.dead && !s.topic.feed.schemes.allow(s.who, aclOf(v.path(), v.rare).list, PermRead) {
			return false
		}
	}
	return true
}
