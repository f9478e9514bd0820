package datatree

import (
	"sync/atomic"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// WatchMode says which events a subscription has.
type WatchMode uint8

// The modes.
const (
	WatchNode     WatchMode = iota // of the znode at the path
	WatchChildren                  // Created and Deleted of its children
	WatchTree                      // of the znode at the path and all below it

	watchModes = 3
)

// Valid reports whether m is one of the modes.
func (m WatchMode) Valid() bool { return m < watchModes }

// Feed gives the events of a tree to those who have subscribed to them. An event is there for its subscribers before anybody can read what it tells. The methods are for
// the tree's writer. It takes no memory of its own for an event that nobody has subscribed to, but for that of the history.
//
// Subscriptions to one path in one mode share a topic: a chain of notices in which each stands somewhere. So an event costs the writer the same however many there are,
// and a notice that all have passed is garbage.
type Feed struct {
	history
	buffer  uint64
	schemes schemes
	topics  [watchModes]map[string]*topic
	pending []*topic        // that have notices of the transaction being applied
	behind  []*topic        // in which somebody may stand before the end
	next    int             // of behind, to be looked at
	rung    []chan struct{} // to be closed by who may
}

// topic is a path in one mode. Those who read take tail and bell; all else is the writer's.
type topic struct {
	feed   *Feed
	path   string
	bell   atomic.Pointer[bell] // of those who wait for a notice
	head   *notice              // nobody stands before it
	tail   *notice
	first  *notice // not linked to the tail yet
	last   *notice
	subs   int32
	mode   WatchMode
	behind bool // is in feed.behind
	gone   bool // is not in feed.topics
}

// notice is an event in a topic.
type notice struct {
	deed
	next     atomic.Pointer[notice]
	number   uint64       // in its topic
	standing atomic.Int32 // who has taken this one and not the next
}

// bell is rung by closing it.
type bell struct{ c chan struct{} }

// What ends a chain.
var (
	overflowed = new(notice)
	jumped     = new(notice)
	closed     = new(notice)
)

// Feed returns the feed of the tree. The first call begins it: a subscription may lag buffer events behind, and events are kept for SubscribeAfter as
// far as they need no more than history bytes, about.
func (t *Tree) Feed(buffer, history int) *Feed {
	if t.feed == nil {
		f := &Feed{buffer: uint64(max(buffer, 1)), schemes: t.schemes}
		f.most = history
		f.jump(t.now.zxid)
		for i := range f.topics {
			f.topics[i] = make(map[string]*topic)
		}
		t.feed = f
	}
	return t.feed
}

// add takes in an event of the transaction that is being applied.
func (f *Feed) add(d deed) {
	f.history.add(d)
	path := d.now.path()
	if p := f.topics[WatchNode][path]; p != nil {
		p.add(d)
	}
	if d.what != Changed && len(f.topics[WatchChildren]) > 0 {
		if p := f.topics[WatchChildren][path[:parentLen(path)]]; p != nil {
			p.add(d)
		}
	}
	if len(f.topics[WatchTree]) == 0 {
		return
	}
	for {
		if p := f.topics[WatchTree][path]; p != nil {
			p.add(d)
		}
		if path == rootPath {
			return
		}
		path = path[:parentLen(path)]
	}
}

func (p *topic) add(d deed) {
	n := &notice{deed: d}
	if p.last == nil {
		p.first, n.number = n, p.tail.number+1
		p.feed.pending = append(p.feed.pending, p)
	} else {
		n.number = p.last.number + 1
		p.last.next.Store(n)
	}
	p.last = n
}

// send lets the subscribers have what was added, all of a transaction at once.
func (f *Feed) send() {
	for i, p := range f.pending {
		p.tail.next.Store(p.first)
		p.tail, p.first, p.last = p.last, nil, nil
		p.trim()
		if !p.behind {
			p.behind = true
			f.behind = append(f.behind, p)
		}
		p.ring()
		f.pending[i] = nil
	}
	f.pending = f.pending[:0]
}

// trim lets go of what all have passed, and of those who are too far behind. Who stands at a notice that is not cut off may go on to the next: it stays
// within reach of trim until he says that he has gone on.
func (p *topic) trim() {
	for p.head != p.tail {
		next := p.head.next.Load()
		if p.head.standing.Load() != 0 {
			if p.tail.number-p.head.number <= p.feed.buffer {
				return
			}
			if !mutant.On("overflow-not-told") {
				p.head.next.Store(overflowed)
			}
		}
		p.head = next
	}
}

// ring notes that those who wait in the topic are to be woken.
func (p *topic) ring() {
	if p.bell.Load() != nil {
		if b := p.bell.Swap(nil); b != nil {
			p.feed.rung = append(p.feed.rung, b.c)
		}
	}
}

// Rung returns channels to be closed, which others wait for: see Subscription.Bell.
func (f *Feed) Rung() []chan struct{} {
	r := f.rung
	f.rung = nil
	return r
}

// tidyBudget is how many topics Tidy looks at.
const tidyBudget = 256

// Tidy lets go of what has been taken since the last event. To be called now and then.
func (f *Feed) Tidy() {
	for range min(tidyBudget, len(f.behind)) {
		if f.next >= len(f.behind) {
			f.next = 0
		}
		p := f.behind[f.next]
		if p.trim(); p.head != p.tail && !p.gone {
			f.next++
			continue
		}
		p.behind = false
		last := len(f.behind) - 1
		f.behind[f.next], f.behind[last] = f.behind[last], nil
		f.behind = f.behind[:last]
	}
}

// Subscribe begins s with the events of path after the newest state. Who is given only events of znodes that he may read; nil is the host itself.
func (f *Feed) Subscribe(s *Subscription, who *Caller, path string, mode WatchMode) {
	p := f.topics[mode][path]
	if p == nil {
		end := new(notice)
		p = &topic{feed: f, path: path, mode: mode, head: end, tail: end}
		f.topics[mode][path] = p
	}
	p.subs++
	p.tail.standing.Add(1)
	s.who, s.topic = who, p
	s.at.Store(p.tail)
}

// SubscribeAfter is Subscribe with the events after transaction z. It fails with ErrWatchGap when the history does not reach back so far.
// What it has to tell of the past does not count as lagging.
func (f *Feed) SubscribeAfter(s *Subscription, who *Caller, path string, mode WatchMode, z zab.Zxid) error {
	i, ok := f.after(z)
	if !ok {
		return ErrWatchGap
	}
	f.Subscribe(s, who, path, mode)
	var missed []deed
	for ; i < f.n && !mutant.On("missed-not-told"); i++ {
		if d := f.at(i); s.topic.wants(d) {
			missed = append(missed, *d)
		}
	}
	if len(missed) > 0 {
		s.past.Store(&past{deeds: missed})
	}
	return nil
}

// wants reports whether d belongs to the topic.
func (p *topic) wants(d *deed) bool {
	path := d.now.path()
	switch p.mode {
	case WatchNode:
		return path == p.path
	case WatchChildren:
		return d.what != Changed && path != rootPath && path[:parentLen(path)] == p.path
	}
	return p.path == rootPath || path == p.path || len(path) > len(p.path) && path[len(p.path)] == '/' && path[:len(p.path)] == p.path
}

// Unsubscribe ends s, which has been begun, once.
func (f *Feed) Unsubscribe(s *Subscription) {
	p := s.topic
	s.past.Store(nil)
	if at := s.at.Swap(nil); at != nil {
		at.standing.Add(-1)
	}
	if p.subs--; p.subs == 0 && !p.gone {
		p.gone = true
		delete(f.topics[p.mode], p.path)
	}
}

// Close ends all subscriptions: after what is there for them they are told ErrFeedClosed.
func (f *Feed) Close() { f.end(closed) }

// succeed makes t, which was decoded from a snapshot, the successor of old.
func (f *Feed) succeed(z zab.Zxid) {
	f.jump(z)
	if !mutant.On("gap-not-told") {
		f.end(jumped)
	}
}

func (f *Feed) end(why *notice) {
	for mode := range f.topics {
		for _, p := range f.topics[mode] { // any order: they know nothing of each other
			p.gone = true
			p.tail.next.Store(why)
			p.ring()
		}
		f.topics[mode] = make(map[string]*topic)
	}
	clear(f.behind)
	f.behind, f.next = f.behind[:0], 0
}
