package datatree

import "sync/atomic"

// Bell wakes those who wait for one subscription, and is kept for the next time. It hangs in the topic until there is a notice. A bell for each subscription and not one
// for a topic: of that, each who waits would need a second channel, to be told of the end of his own.
//
// As a rule one goroutine waits. If several do, who was woken wakes the next, until all have looked that waited when it rang.
type Bell struct {
	sub     *Subscription
	c       chan struct{} // has room for one
	full    atomic.Bool   // there is one in c, or somebody has just taken it
	next    *Bell         // in the topic
	hangs   atomic.Bool   // in the topic, or will ring at once
	waiting atomic.Int32
	rung    atomic.Uint32 // how often
}

// Waiting is somebody who waits for a subscription.
type Waiting struct {
	bell  *Bell
	since uint32 // so often it had rung
}

// Wait announces that the caller will wait. He looks at Ready afterwards, and calls Done when he does not wait any more.
func (s *Subscription) Wait() Waiting {
	b := s.bell.Load()
	if b == nil {
		if b = (&Bell{sub: s, c: make(chan struct{}, 1)}); !s.bell.CompareAndSwap(nil, b) {
			b = s.bell.Load()
		}
	}
	b.waiting.Add(1)
	w := Waiting{b, b.rung.Load()}
	if !b.hangs.Swap(true) {
		s.topic.hang(b, b)
	}
	return w
}

// C returns a channel that gives something when there may be more, and after Wake. There may be nothing, too.
func (w Waiting) C() <-chan struct{} { return w.bell.c }

// Done says that the caller does not wait any more, and whether he was given something.
func (w Waiting) Done(given bool) {
	if given {
		w.bell.full.Store(false) // before he looks at Ready
	}
	if w.bell.waiting.Add(-1) > 0 && w.bell.rung.Load() != w.since {
		w.bell.push()
	}
}

// Wake wakes those who wait for s.
func (s *Subscription) Wake() {
	if b := s.bell.Load(); b != nil {
		b.wake()
	}
}

func (b *Bell) wake() {
	b.rung.Add(1)
	b.push()
}

func (b *Bell) push() {
	if !b.full.Swap(true) {
		b.c <- struct{}{} // there is room
	}
}

// Ring rings b and those that hang behind it.
func (b *Bell) Ring() {
	for b != nil {
		next := b.next
		b.hangs.Store(false) // from now on it may hang in the topic again; who came too early for that is woken
		b.wake()
		b = next
	}
}

// hang adds a chain of bells. Any goroutine.
func (p *topic) hang(first, last *Bell) {
	for {
		last.next = p.bells.Load()
		if p.bells.CompareAndSwap(last.next, first) {
			return
		}
	}
}

// clearBells takes away those of subscriptions that have ended. Until then they keep them in memory.
func (p *topic) clearBells() {
	var first, last *Bell
	for b := p.bells.Swap(nil); b != nil; {
		next := b.next
		if b.sub.bell.Load() == b && b.sub.at.Load() != nil {
			if b.next = first; first == nil {
				last = b
			}
			first = b
		}
		b = next
	}
	if first != nil {
		p.hang(first, last)
	}
}
