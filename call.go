package ensemble

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/mutant"
)

type callKind uint8

const (
	write callKind = iota
	syncing
	transfer
	opening  // a session, or resuming one
	giveUp   // a session; the machine does not answer
	leaveOff // opens no session of the node itself any more; the same
	reap     // a write of the node's goroutine itself; it is in no queue
)

// The life of a call. Each step is taken by compare-and-swap, so a caller that leaves and the node's goroutine never both have it.
const (
	waiting  uint32 = iota // in the queue: nothing has happened
	handed                 // stepped into the machine, or about to be; giveUp and leaveOff stay so
	answered               // the answer is in the call
	left                   // its caller has gone: whoever has it drops it
)

// call is a request to the machine on its way: a caller's, or one that the node tells itself (see tell, reap), for which mostly nobody waits. Its fields are
// the caller's until it is queued, the node's goroutine's until it is answered, and the caller's again.
type call struct {
	state   atomic.Uint32
	kind    callKind
	resumes bool // opening: a session that exists
	kept    bool // by a Pending, or made for one use: done is closed, not sent to, and the call is not used again
	to      ID
	s       *Session  // that it is made on, nil: whatever is the node's own; of an opening, what it led to
	handed  time.Time // opening: to the machine
	payload []byte
	begin   time.Time
	result  core.Result
	zxid    Zxid
	err     error
	done    chan struct{}
}

// counts is what the call is in Status.InFlight. What no answer is expected to does not count.
func (c *call) counts() int64 {
	if c.kind == giveUp || c.kind == leaveOff {
		return 0
	}
	return 1
}

// finish gives the answer that is in the call, unless the caller has gone. Called by whoever the call was handed to.
func (c *call) finish() {
	if c.claim() {
		c.signal()
	}
}

// claim makes the answer that of whoever calls it, unless the caller has gone.
func (c *call) claim() bool {
	for {
		s := c.state.Load()
		if s >= answered {
			return false
		}
		if c.state.CompareAndSwap(s, answered) {
			return true
		}
	}
}

// signal tells the caller that its answer is there.
func (c *call) signal() {
	if c.kept {
		close(c.done)
	} else {
		c.done <- struct{}{} // it has room for one
	}
}

// calls is the queue from the callers to the node's goroutine.
type calls struct {
	mu     sync.Mutex
	list   []*call
	closed bool
}

func (q *calls) put(c *call) bool {
	q.mu.Lock()
	ok := !q.closed
	if ok {
		q.list = append(q.list, c)
	}
	q.mu.Unlock()
	return ok
}

func (q *calls) take(t *taken[*call]) {
	spare := t.recycle()
	q.mu.Lock()
	t.list, q.list = q.list, spare
	q.mu.Unlock()
	t.next = 0
	if mutant.On("calls-reversed") {
		slices.Reverse(t.list)
	}
}

// borrow returns a call that nobody else has. The pool is the node's own: a channel of one bubble of testing/synctest must not get into another.
func (h *host) borrow(kind callKind) *call {
	c, ok := h.pool.Get().(*call)
	if !ok {
		c = &call{done: make(chan struct{}, 1)}
	}
	c.kind = kind
	return c
}

// mostKept bounds the bytes of a payload that a call in the pool keeps for the next request: whoever gives the call back has had its answer, and
// then nothing refers to the request any more.
const mostKept = 4 << 10

func (h *host) giveBack(c *call) {
	payload := c.payload[:0]
	if cap(payload) > mostKept {
		payload = nil
	}
	*c = call{done: c.done, payload: payload}
	h.pool.Put(c)
}

// enqueue hands c to the node's goroutine, or says why not.
func (h *host) enqueue(c *call) error {
	if h.refusing.Load() {
		return h.closedErr()
	}
	if h.inFlight.Add(1) > int64(h.cfg.MaxInFlight) {
		h.inFlight.Add(-1)
		h.stats.overloaded.Add(1)
		return ErrOverloaded
	}
	c.begin = time.Now()
	if !h.queue.put(c) {
		h.inFlight.Add(-1)
		return h.closedErr()
	}
	h.wakeUp()
	return nil
}

// closedErr is ErrClosed, with what ended the node by itself.
func (h *host) closedErr() error {
	select {
	case <-h.done:
		return closedErrOf(h.err)
	default:
	}
	return ErrClosed
}

// closedErrOf is ErrClosed, with what ended the node by itself, if anything did.
func closedErrOf(why error) error {
	if why != nil {
		return errors.Join(ErrClosed, why)
	}
	return ErrClosed
}

// await waits for the answer to an enqueued call. ok is false when the caller has left it: then it is not the caller's any more.
func (h *host) await(ctx context.Context, c *call) (ok bool, err error) {
	ended := ctx.Done()
	if ended == nil { // a plain receive costs half of a select
		<-c.done
		return true, nil
	}
	select {
	case <-c.done:
		return true, nil
	case <-ended:
	}
	if c.state.CompareAndSwap(waiting, left) {
		h.inFlight.Add(-1)
		h.stats.abandoned.Add(1)
		return false, errors.Join(ctx.Err(), ErrNoQuorum)
	}
	if !c.state.CompareAndSwap(handed, left) {
		<-c.done // it is being answered at this moment
		return true, nil
	}
	h.stats.abandoned.Add(1)
	if c.kind == write || c.kind == opening {
		return false, errors.Join(ctx.Err(), ErrUncertain)
	}
	return false, ctx.Err()
}

// do enqueues c, waits and gives c back to the pool, unless it was left.
func (h *host) do(ctx context.Context, c *call) (result core.Result, z Zxid, err error) {
	if ctx.Err() != nil {
		h.giveBack(c)
		return result, 0, errors.Join(ctx.Err(), ErrNoQuorum)
	}
	if err := h.enqueue(c); err != nil {
		h.giveBack(c)
		return result, 0, err
	}
	if ok, err := h.await(ctx, c); !ok {
		return result, 0, err
	}
	result, z, err = c.result, c.zxid, c.err
	h.giveBack(c)
	return result, z, err
}

// Pending is a write that was submitted. Any goroutine may use it.
type Pending struct {
	h    *host
	call *call
	op   Op
}

// Done is closed when the outcome is known: Wait then returns at once.
func (p *Pending) Done() <-chan struct{} { return p.call.done }

// Wait returns the outcome. When ctx ends first, a write that was not handed to the ensemble yet is withdrawn for good, and the error is that of ctx
// joined with ErrNoQuorum; otherwise it is joined with ErrUncertain, and a later Wait may tell more.
func (p *Pending) Wait(ctx context.Context) (Result, error) {
	c := p.call
	select {
	case <-c.done:
	default:
		select {
		case <-c.done:
		case <-ctx.Done():
			if !c.state.CompareAndSwap(waiting, left) {
				if c.state.Load() == handed {
					return Result{}, errors.Join(ctx.Err(), ErrUncertain)
				}
				<-c.done // it is answered, or withdrawn by another Wait, at this moment
				break
			}
			p.h.inFlight.Add(-1)
			p.h.stats.abandoned.Add(1)
			c.err = errors.Join(ctx.Err(), ErrNoQuorum)
			close(c.done)
		}
	}
	return p.outcome()
}

func (p *Pending) outcome() (Result, error) {
	if p.call.err != nil {
		return Result{}, refusal(p.call.err, p.op)
	}
	return p.call.result.First, nil
}
