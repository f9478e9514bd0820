package transport

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

// Memory is a network in memory. Frames of one class from one member to another keep their order, unless a delay is set, and none
// is lost but by a cut, by SetLoss, by the closing of an endpoint, or beyond [QueueBytes] waiting from one member for another. It never repeats a frame.
//
// All methods may be called from many goroutines, but not from within a Handler's call if they are to be seen by the frame at hand.
// It uses goroutines, channels and timers only, and holds no lock while it waits or calls, so it can be used in a bubble
// of testing/synctest, if the endpoints are started inside.
type Memory struct {
	mu      sync.RWMutex
	live    map[quorum.ID]*endpoint
	ways    map[direction]*way
	cuts    map[direction]bool
	groups  map[quorum.ID]int // the group of Partition; 0 for all that it did not name
	min     time.Duration
	max     time.Duration
	loss    float64
	chance  sync.Mutex // guards rng, and is taken inside mu
	rng     *rand.Rand
	arrival atomic.Uint64
}

type direction struct{ from, to quorum.ID }

// way is what two endpoints share about the frames from one to the other.
type way struct {
	queued atomic.Int64  // bytes sent and not yet handled
	cut    atomic.Uint64 // odd: cut; it only rises, so a frame that was sent before a cut is known for lost after it
}

// NewMemory returns a network with nothing wrong with it.
func NewMemory() *Memory {
	return &Memory{
		live: make(map[quorum.ID]*endpoint),
		ways: make(map[direction]*way),
		cuts: make(map[direction]bool),
		rng:  seeded(1),
	}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)) }

// Peer returns a new endpoint for the id. Any number may be made, one after the other or at once, but only one of them at a
// time can be between Start and Close: a second one's Start fails with ErrInUse.
func (n *Memory) Peer(id quorum.ID) Transport {
	return &endpoint{net: n, id: id}
}

// Cut severs a from b, in both directions: frames under way are lost, and each of the two is told that the other may be lost.
func (n *Memory) Cut(a, b quorum.ID) {
	n.change(true, func() {
		n.cuts[direction{a, b}] = true
		n.cuts[direction{b, a}] = true
	})
}

// CutOneWay loses all frames from one to the other, those under way too. Nobody is told.
func (n *Memory) CutOneWay(from, to quorum.ID) {
	n.change(false, func() { n.cuts[direction{from, to}] = true })
}

// Partition severs the groups from each other, and each from the members that are in no group, who form one more. It takes the place of
// an earlier Partition; single cuts remain. As with Cut, frames under way are lost and those who are severed are told.
func (n *Memory) Partition(groups ...[]quorum.ID) {
	n.change(true, func() {
		n.groups = make(map[quorum.ID]int)
		for i, g := range groups {
			for _, id := range g {
				n.groups[id] = i + 1
			}
		}
	})
}

// Heal ends all cuts and partitions. Delay and loss stay as they are set.
func (n *Memory) Heal() {
	n.change(false, func() {
		clear(n.cuts)
		n.groups = nil
	})
}

// SetDelay delays each frame that is sent from now on by a random time from min to max, so that frames overtake each other. Zero and zero, the
// default, deliver at once and in order.
func (n *Memory) SetDelay(min, max time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.min, n.max = min, max
	if max < min {
		n.max = min
	}
}

// SetLoss loses each frame that is sent from now on with the probability p, from 0 to 1.
func (n *Memory) SetLoss(p float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = p
}

// SetSeed starts the random numbers behind delay and loss anew. What they do is as repeatable as the order of the calls of
// Send.
func (n *Memory) SetSeed(seed uint64) {
	n.chance.Lock()
	defer n.chance.Unlock()
	n.rng = seeded(seed)
}

// change alters the cuts and then tells, if wanted, the live endpoints that it severs.
func (n *Memory) change(tell bool, alter func()) {
	type told struct {
		e    *endpoint
		peer quorum.ID
	}
	var hints []told
	n.mu.Lock()
	type pair struct{ a, b *endpoint }
	var open []pair
	if tell {
		for _, a := range n.live {
			for _, b := range n.live {
				if a.id < b.id && !n.severed(direction{a.id, b.id}) && !n.severed(direction{b.id, a.id}) {
					open = append(open, pair{a, b})
				}
			}
		}
	}
	alter()
	for d, w := range n.ways {
		if n.severed(d) != (w.cut.Load()%2 == 1) {
			w.cut.Add(1)
		}
	}
	for _, p := range open {
		if n.severed(direction{p.a.id, p.b.id}) {
			hints = append(hints, told{p.a, p.b.id}, told{p.b, p.a.id})
		}
	}
	n.mu.Unlock()
	// The maps have no order, but what is told has.
	slices.SortFunc(hints, func(x, y told) int {
		return cmp.Or(cmp.Compare(x.e.id, y.e.id), cmp.Compare(x.peer, y.peer))
	})
	for _, h := range hints {
		h.e.queues[Control].put(parcel{from: h.peer, hint: true})
	}
}

// severed is called with mu held.
func (n *Memory) severed(d direction) bool {
	return n.cuts[d] || n.groups[d.from] != n.groups[d.to]
}

// route is where a frame goes, as of one moment.
type route struct {
	to    *endpoint // nil: the frame is lost
	way   *way
	cut   uint64 // of way; even if there is a receiver
	delay time.Duration
}

// route finds the receiver, the way to it and the delay, or says that the frame is lost.
func (n *Memory) route(d direction) route {
	n.mu.RLock()
	defer n.mu.RUnlock()
	to, w := n.live[d.to], n.ways[d]
	if w == nil {
		return route{}
	}
	r := route{way: w, cut: w.cut.Load()}
	if to == nil || r.cut%2 == 1 {
		return r
	}
	if n.loss > 0 || n.max > 0 {
		n.chance.Lock()
		defer n.chance.Unlock()
		if n.rng.Float64() < n.loss {
			return r
		}
		r.delay = n.min
		if n.max > n.min {
			r.delay += time.Duration(n.rng.Int64N(int64(n.max-n.min) + 1))
		}
	}
	r.to = to
	return r
}

func (n *Memory) makeWay(d direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ways[d] == nil {
		w := new(way)
		if n.severed(d) {
			w.cut.Store(1)
		}
		n.ways[d] = w
	}
}

// endpoint is one member's Transport.
type endpoint struct {
	net *Memory
	id  quorum.ID

	mu     sync.Mutex
	state  endpointState
	live   atomic.Bool // between Start and Close
	done   chan struct{}
	wait   sync.WaitGroup
	queues [Classes]queue
}

type endpointState uint8

const (
	fresh endpointState = iota
	started
	closed
)

func (e *endpoint) Start(self quorum.ID, h Handler) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.state == started:
		return ErrStarted
	case e.state == closed:
		return ErrClosed
	case self != e.id:
		return fmt.Errorf("%w: %d, not %d", ErrID, e.id, self)
	}
	e.done = make(chan struct{})
	for i := range e.queues {
		e.queues[i].wake = make(chan struct{}, 1)
	}
	n := e.net
	n.mu.Lock()
	if n.live[e.id] != nil {
		n.mu.Unlock()
		return fmt.Errorf("%w: %d", ErrInUse, e.id)
	}
	n.live[e.id] = e
	n.mu.Unlock()
	e.state = started
	e.live.Store(true)
	for i := range e.queues {
		e.wait.Add(1)
		go e.deliver(Class(i), h)
	}
	return nil
}

func (e *endpoint) SetPeers(map[quorum.ID]string) {} // whoever is live can be reached by its id

func (e *endpoint) Send(to quorum.ID, class Class, frame []byte) {
	if !e.live.Load() || class >= Classes || len(frame) > MaxFrame {
		return
	}
	d := direction{e.id, to}
	r := e.net.route(d)
	if r.way == nil {
		e.net.makeWay(d)
		r = e.net.route(d)
	}
	if r.to != nil {
		e.put(r, class, frame)
	}
}

// put sends a frame on its way. What has been cut since the route was found is found out by the receiver.
func (e *endpoint) put(r route, class Class, frame []byte) {
	size := parcelBytes + int64(len(frame))
	if r.way.queued.Add(size) > QueueBytes {
		r.way.queued.Add(-size)
		return
	}
	p := parcel{from: e.id, way: r.way, cut: r.cut, buf: borrow(len(frame)), size: len(frame)}
	copy(*p.buf, frame)
	if r.delay > 0 {
		p.due = time.Now().Add(r.delay)
		p.nth = e.net.arrival.Add(1)
	}
	r.to.queues[class].put(p)
}

func (e *endpoint) Close() error {
	e.mu.Lock()
	was := e.state
	e.state = closed
	if was == started {
		e.live.Store(false)
		n := e.net
		n.mu.Lock()
		delete(n.live, e.id)
		var others []*endpoint
		for _, o := range n.live {
			if !n.severed(direction{e.id, o.id}) {
				others = append(others, o)
			}
		}
		n.mu.Unlock()
		close(e.done)
		for i := range e.queues {
			e.queues[i].shut()
		}
		for _, o := range others {
			o.queues[Control].put(parcel{from: e.id, hint: true})
		}
	}
	e.mu.Unlock()
	e.wait.Wait()
	return nil
}

// deliver hands the frames of one class to the handler.
func (e *endpoint) deliver(class Class, h Handler) {
	defer e.wait.Done()
	q := &e.queues[class]
	var batch []parcel
	for {
		var next time.Time
		batch, next = q.take(batch)
		if len(batch) == 0 {
			if !q.sleep(e.done, next) {
				return
			}
			continue
		}
		for i := range batch {
			p := &batch[i]
			switch {
			case !e.live.Load():
			case p.hint:
				h.Lost(p.from)
			case p.cut == p.way.cut.Load():
				h.Receive(p.from, class, (*p.buf)[:p.size:p.size])
			}
			p.drop()
			*p = parcel{}
		}
	}
}

// parcel is a frame on its way, or the hint that its sender is lost.
type parcel struct {
	from quorum.ID
	hint bool
	way  *way
	cut  uint64  // way.cut when its route was found: even
	buf  *[]byte // from the pool
	size int
	due  time.Time
	nth  uint64
}

// parcelBytes is what a frame counts beyond its own bytes, so that empty frames are bounded too.
const parcelBytes = 64

func (p *parcel) drop() {
	if p.buf != nil {
		p.way.queued.Add(-parcelBytes - int64(p.size))
		giveBack(p.buf)
	}
}

// queue holds what one endpoint has yet to take of one class.
type queue struct {
	mu     sync.Mutex
	ready  []parcel
	late   lateHeap
	closed bool
	wake   chan struct{}
}

func (q *queue) put(p parcel) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		p.drop()
		return
	}
	first := true
	if p.due.IsZero() {
		q.ready = append(q.ready, p)
		first = len(q.ready) == 1
	} else {
		heap.Push(&q.late, p)
		first = q.late[0].nth == p.nth
	}
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take returns all that is due, and when there will be more. It reuses the last batch.
func (q *queue) take(last []parcel) (batch []parcel, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if cap(last) > 4096 {
		last = nil // a burst is not a reason to keep its memory
	}
	batch, q.ready = q.ready, last[:0]
	if len(q.late) > 0 {
		now := time.Now()
		for len(q.late) > 0 && !q.late[0].due.After(now) {
			batch = append(batch, heap.Pop(&q.late).(parcel))
		}
		if len(q.late) > 0 {
			next = q.late[0].due
		}
	}
	return batch, next
}

// sleep waits for a wake-up or for the time next, if there is one. It reports whether to go on.
func (q *queue) sleep(done <-chan struct{}, next time.Time) bool {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-done:
		return false
	case <-q.wake:
	case <-due:
	}
	return true
}

// shut refuses what comes later and drops what has come.
func (q *queue) shut() {
	q.mu.Lock()
	rest := append(q.ready, q.late...)
	q.ready, q.late, q.closed = nil, nil, true
	q.mu.Unlock()
	for i := range rest {
		rest[i].drop()
	}
}

// lateHeap has the parcel that is due first on top.
type lateHeap []parcel

func (h lateHeap) Len() int { return len(h) }
func (h lateHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].nth < h[j].nth
}
func (h lateHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *lateHeap) Push(x any)   { *h = append(*h, x.(parcel)) }
func (h *lateHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = parcel{}
	*h = old[:len(old)-1]
	return p
}
