package ensemble

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/session"
)

// SessionOptions says what a new session should be like.
type SessionOptions struct {
	// Timeout of silence after which the ensemble ends the session: Config.SessionTimeout by default, clamped to Config.MinSessionTimeout and
	// MaxSessionTimeout.
	Timeout time.Duration
}

// Session is what the ensemble knows a client by. Its writes are numbered within it, which makes them take effect exactly once, and the ephemeral znodes
// that it creates live exactly as long as it does, in the order of commits.
//
// The node that serves a session renews it by itself until it is closed, given up (see Context), or resumed elsewhere. It outlives its node: with its ID and
// Password it can be resumed at any member until the ensemble has ended it, which happens when nobody has renewed it for Timeout.
//
// A Session is a Client. Its calls are asked for permission as those of somebody with the identities that AddAuth has gained; those of a Node, and of its own
// session, are the host's and are not.
type Session struct {
	client
	id         SessionID
	timeout    time.Duration
	generation uint32
	place      uint32        // in leases, plus 1; 0: it is not there
	due        time.Duration // when it comes by there
	until      atomic.Int64  // when its context ends, if nothing more is confirmed; it grows by the node's goroutine only
	ending     atomic.Pointer[ending]
	who        atomic.Pointer[datatree.Caller] // nil: whoever needs no more than the session; replaced, never changed
	mu         sync.Mutex
	context    *endable // nil: nobody has asked for it
	password   [session.PasswordBytes]byte
	own        bool // the node's own
}

// endable is a context and what ends it.
type endable struct {
	context.Context
	cancel context.CancelCauseFunc
}

// newSession makes what callers see of a session that this node serves, since something was sent that is confirmed now. Called by the node's goroutine.
func (h *host) newSession(n *core.SessionNews, own bool, since time.Time) *Session {
	s := &Session{id: SessionID(n.Session), generation: n.Generation, timeout: time.Duration(n.Timeout) * time.Millisecond, own: own}
	s.client = client{h, s}
	copy(s.password[:], h.sm.Password(n.Session))
	h.open.Put(served{s})
	if !h.leases.add(s, s.lastsUntil(since)) {
		s.lapse()
	}
	return s
}

// served lets byid find a session.
type served struct{ *Session }

func (s served) Key() uint64 { return uint64(s.id) }

// noSession is the session of a node that has none yet.
func noSession(h *host) *Session {
	s := &Session{own: true}
	s.client = client{h, s}
	s.end(ErrNoQuorum)
	return s
}

// lasts lets the context last two thirds of the timeout from since on, when something was sent that a quorum has confirmed by now. A context that has ended stays
// so. Called by the node's goroutine.
func (s *Session) lasts(since time.Time) {
	if until := int64(s.lastsUntil(since).Sub(s.h.leases.began)); until > s.until.Load() {
		s.until.Store(until) // if that has passed, so has what stood there: its time comes by
	}
}

// lapse ends the context because no renewal was confirmed in time. The ensemble may end the session from now on, so the node gives it up.
func (s *Session) lapse() {
	s.end(ErrNoQuorum)
	s.h.tell(&call{kind: giveUp, kept: true, done: make(chan struct{}), s: s})
}

// end ends the context. The first says why; when any returns it has ended.
func (s *Session) end(why error) {
	s.ending.CompareAndSwap(nil, &ending{why})
	s.mu.Lock()
	c := s.context
	s.mu.Unlock()
	if c != nil {
		c.cancel(s.alive())
	}
	s.h.leases.remove(s)
}

// tell puts a call of the node itself into the queue. It reports false when the node has ended: nobody will answer.
func (h *host) tell(c *call) bool {
	n := c.counts()
	h.inFlight.Add(n)
	c.begin = time.Now()
	if !h.queue.put(c) {
		h.inFlight.Add(-n)
		return false
	}
	h.wakeUp()
	return true
}

// sessionNews takes what has become of the sessions that this node serves. Called by the node's goroutine, before calls are answered.
func (h *host) sessionNews(news []core.SessionNews) {
	for i := range news {
		n := &news[i]
		s := h.open.Get(n.Session).Session
		if n.What > core.SessionAttached && (s == nil || s.generation != n.Generation) {
			continue
		}
		switch n.What {
		case core.SessionOpened:
			s = h.newSession(n, true, h.began.Add(n.Since))
			if h.session.Swap(s).id == 0 {
				close(h.opened)
			}
		case core.SessionAttached:
			if c := h.slots.peek(n.Ticket); c != nil { // it is answered next
				c.s = h.newSession(n, false, c.handed)
			}
		case core.SessionRenewed:
			if mutant.On("lasts-from-answer") {
				s.lasts(time.Now())
			}
			s.lasts(h.began.Add(n.Since))
		case core.SessionExpired:
			h.open.Delete(n.Session)
			s.end(ErrSessionExpired)
		case core.SessionMoved:
			h.open.Delete(n.Session)
			s.end(ErrSessionMoved)
		}
	}
}

// orphaned is for a session whose caller did not wait for it. One that is new is ended; one that was there before is only given up: its owner may resume it elsewhere.
func (h *host) orphaned(c *call) {
	if c.resumes && !mutant.On("resumption-ends") {
		c.s.lapse()
		return
	}
	c.s.end(ErrSessionExpired)
	h.tell(&call{kind: write, kept: true, done: make(chan struct{}), s: c.s, payload: core.AppendClose(nil)})
}

// NewSession opens a session that this node serves. It waits for a quorum until ctx ends; a session that is opened then all the same is closed again. It gives
// ErrBadArguments for a negative timeout, and ErrQuotaExceeded when the ensemble has as many sessions as it may, 2^18.
func (n *Node) NewSession(ctx context.Context, o SessionOptions) (*Session, error) {
	cfg := &n.h.cfg
	if o.Timeout < 0 {
		return nil, ErrBadArguments
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = cfg.SessionTimeout
	}
	return n.h.openSession(ctx, false, func() []byte { return core.AppendCreate(nil, cfg.granted(timeout)) })
}

// ResumeSession lets this node serve a session that exists, wherever it was served before, and returns when that is so here: what was acknowledged on
// it can be read here then. Where it was served before, its Context ends with ErrSessionMoved, as do its calls that were not decided before the move; none of them
// takes effect later. Its identities start empty. A wrong password is ErrSessionExpired, and does nothing. When ctx ends first the session may have moved here all the
// same; nobody renews it then, and until its timeout has passed it can be resumed once more.
func (n *Node) ResumeSession(ctx context.Context, id SessionID, password []byte) (*Session, error) {
	if id == 0 || len(password) != session.PasswordBytes {
		return nil, ErrSessionExpired
	}
	password = slices.Clone(password)
	return n.h.openSession(ctx, true, func() []byte { return core.AppendResume(nil, uint64(id), password) })
}

// openSession makes requests until one leads to a session that is alive: what took too long may be over already, or be given up here.
func (h *host) openSession(ctx context.Context, resumes bool, request func() []byte) (*Session, error) {
	for {
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), ErrNoQuorum)
		}
		c := &call{kind: opening, resumes: resumes, kept: true, done: make(chan struct{}), payload: request()}
		if err := h.enqueue(c); err != nil {
			return nil, err
		}
		if ok, err := h.await(ctx, c); !ok {
			return nil, err
		}
		switch e, isOp := errors.AsType[*OpError](c.err); {
		case isOp:
			return nil, e.Err
		case c.err != nil:
			return nil, c.err
		}
		switch why := c.s.alive(); {
		case why == nil:
			return c.s, nil
		case errors.Is(why, ErrClosed), resumes && !errors.Is(why, ErrNoQuorum):
			return nil, why
		}
		h.orphaned(c)
	}
}

// Session is the node's own, now: before the first readiness one without an ID, and after an end, until there is a quorum, the ended one. The node makes the
// next by itself. It never waits. A call on what it returns is made on that session or not at all, unlike one on the Node.
func (n *Node) Session() *Session { return n.h.session.Load() }

// ID returns the id of the session, the zxid of the transaction that opened it; 0 before the node's first readiness.
func (s *Session) ID() SessionID { return s.id }

// Password returns what ResumeSession asks for; nothing before the node's first readiness. Every member of the ensemble can compute it; keep it from everybody else.
func (s *Session) Password() []byte {
	if s.id == 0 {
		return nil
	}
	return slices.Clone(s.password[:])
}

// Timeout returns the timeout as it was granted.
func (s *Session) Timeout() time.Duration { return s.timeout }

// Session returns s.
func (s *Session) Session() *Session { return s }

// Context ends when the session does, or may have: when its end is applied here, or when two thirds of its timeout have passed, by the local monotonic clock,
// since the sending of the last renewal that the leader has confirmed. The ensemble ends no session earlier than its timeout after such a renewal, so
// until then nobody else can hold what this session holds, unless this session was resumed elsewhere: there it is alive while this node, if it is cut off, does
// not know yet. The cause is ErrSessionExpired (also after Close), ErrSessionMoved, ErrClosed when the node has ended, or
// ErrNoQuorum when nothing was confirmed in time: the session is given up here then, and its Context stays ended, even if ResumeSession brings the session back.
//
// A process that was stopped, or a machine that slept, learns of it late: its monotonic clock may have stood still. Guard what matters with a fencing token, such as the Czxid of the session's ephemeral.
// It grows from each session that holds something to the next; who resumes a session, and is to be told apart from its former owner, makes the ephemeral anew.
func (s *Session) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.context == nil {
		s.context = new(endable)
		s.context.Context, s.context.cancel = context.WithCancelCause(context.Background())
	}
	if why := s.alive(); why != nil {
		s.context.cancel(why)
	}
	return s.context.Context
}

// alive returns why the session cannot be used any more.
func (s *Session) alive() error {
	if e := s.ending.Load(); e != nil {
		return e.err
	}
	return nil
}

// caller returns who a session's calls are made by: nil for the host.
func (s *Session) caller() *datatree.Caller {
	if s.own {
		return nil
	}
	if who := s.who.Load(); who != nil {
		return who
	}
	s.who.CompareAndSwap(nil, &datatree.Caller{Session: uint64(s.id)})
	return s.who.Load()
}

// AddAuth adds the identities that the credential proves under a scheme, such as "digest" with "user:password", for the calls made after it. It gives ErrNoAuth if
// there is no such scheme or the credential is refused, and ErrTooLarge when the session would have more than 256 identities. The host's own calls, and so those of a node's own session, need none.
func (s *Session) AddAuth(ctx context.Context, scheme string, credential []byte) error {
	t, err := s.h.reader(ctx)
	if err != nil {
		return err
	}
	if err := s.alive(); err != nil {
		return err
	}
	for {
		is := s.who.Load()
		who := datatree.Caller{Session: uint64(s.id)}
		if is != nil {
			who.Identities = slices.Clone(is.Identities)
		}
		if !t.Authenticate(&who, scheme, credential) {
			return ErrNoAuth
		}
		if len(who.Identities) > core.MaxIdentities {
			return ErrTooLarge
		}
		if s.who.CompareAndSwap(is, &who) {
			return nil
		}
	}
}

// Close ends the session: its Context at once, and its ephemerals by agreement, when Close returns nil. A session that has ended already is no error; one that
// is served elsewhere now is ErrSessionMoved. When ctx ends first the session ends after its timeout at the latest. The node's own session is followed by the next.
func (s *Session) Close(ctx context.Context) error {
	moved := errors.Is(s.alive(), ErrSessionMoved)
	s.end(ErrSessionExpired)
	if moved {
		return ErrSessionMoved
	}
	if s.id == 0 {
		return nil
	}
	c := s.h.borrow(write)
	c.s, c.payload = s, core.AppendClose(c.payload[:0])
	_, _, err := s.h.do(ctx, c)
	if errors.Is(err, ErrSessionExpired) && !errors.Is(err, ErrUncertain) && !mutant.On("closed-twice-refused") {
		return nil
	}
	if err != nil {
		s.lapse() // nobody renews it
	}
	return err
}
