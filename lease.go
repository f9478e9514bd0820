package ensemble

import (
	"container/heap"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// leases ends the contexts of sessions of which no renewal was confirmed in time. One timer does it for all, and not the node's goroutine: a context ends even while that stands still.
//
// A renewal only notes until when the session lasts. It is when its time comes by, as it was before, that it gets its new place: once in half a timeout, and not with each renewal.
type leases struct {
	began time.Time // what until and due of a Session are counted from

	mu    sync.Mutex
	queue leaseQueue
	timer *time.Timer // nil: none was needed yet
}

// add begins the lease of s, if it is not over already.
func (l *leases) add(s *Session, until time.Time) (ok bool) {
	at := until.Sub(l.began)
	if at <= time.Since(l.began) {
		return false
	}
	s.until.Store(int64(at))
	l.mu.Lock()
	s.due = at
	if heap.Push(&l.queue, s); s.place == 1 {
		l.arm()
	}
	l.mu.Unlock()
	return true
}

// remove ends the lease of s, if there is one.
func (l *leases) remove(s *Session) {
	l.mu.Lock()
	if s.place > 0 {
		heap.Remove(&l.queue, int(s.place-1))
	}
	l.mu.Unlock()
}

// arm sets the timer to the first that is due.
func (l *leases) arm() {
	if len(l.queue) == 0 {
		return
	}
	left := l.queue[0].due - time.Since(l.began)
	if l.timer == nil {
		l.timer = time.AfterFunc(left, l.round)
	} else {
		l.timer.Reset(left)
	}
}

// mostLooked is how many a round looks at before it tells those that are over, and lets others have the lock.
const mostLooked = 64

// round takes those whose time has come.
func (l *leases) round() {
	for more := true; more; {
		var over []*Session
		l.mu.Lock()
		now := time.Since(l.began)
		for n := 0; n < mostLooked && l.queue.due(now); n++ {
			s := l.queue[0]
			if s.due = time.Duration(s.until.Load()); s.due > now {
				heap.Fix(&l.queue, 0)
				continue
			}
			heap.Pop(&l.queue)
			over = append(over, s)
		}
		if more = l.queue.due(now); !more {
			l.arm()
		}
		l.mu.Unlock()
		for _, s := range over {
			s.lapse()
		}
	}
}

// stop lets go of the timer.
func (l *leases) stop() {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
}

// leaseQueue is a heap of sessions by when they are due, each with its place in it.
type leaseQueue []*Session

// due reports whether the time of the first has come.
func (q leaseQueue) due(now time.Duration) bool { return len(q) > 0 && q[0].due <= now }

func (q leaseQueue) Len() int           { return len(q) }
func (q leaseQueue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q leaseQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = uint32(i+1), uint32(j+1)
}

func (q *leaseQueue) Push(x any) {
	s := x.(*Session)
	*q = append(*q, s)
	s.place = uint32(len(*q))
}

func (q *leaseQueue) Pop() any {
	n := len(*q) - 1
	s := (*q)[n]
	(*q)[n], *q = nil, (*q)[:n]
	s.place = 0
	return s
}

// lastsUntil is how long the context of a session may go on when what was sent then has been confirmed by a quorum.
func (s *Session) lastsUntil(sent time.Time) time.Time {
	if mutant.On("context-outlives") {
		return sent.Add(s.timeout * 2)
	}
	return sent.Add(s.timeout * 2 / 3)
}
