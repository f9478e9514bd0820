package ensemble

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/transport"
)

// Node is one member of an ensemble, running inside this process. All its methods may be called from many goroutines.
//
// Its calls are made on its own session, whichever that is when they are decided. A call that waits when that session ends, as it does when there was no quorum for too long,
// is made on the next one, in its place among the others, unless it may have been made on the former: then its error is ErrSessionExpired, joined with ErrUncertain. So an ephemeral that a Node has made lives
// as long as the session that its Stat.EphemeralOwner tells, which may have begun after the call. What is to be of one session or not to be at all, such as what is written by whoever holds a lock,
// is called on what Session returns.
type Node struct{ client }

// Open starts a member. It returns long before the member can serve: see Ready. Every fault of cfg is reported, as *ConfigErrors joined by
// errors.Join. The node owns cfg.Transport from then on: it closes it, also when it cannot be started. Only one that has been started already stays whose it is, such
// as another node's: Open fails with transport.ErrStarted.
//
// With Config.Dir it reads that directory first, which ctx bounds only between its steps, and fails with a *DirError if it cannot be used.
//
// The Transport comes last. When Open fails before, as for a fault of cfg or a *DirError, it was not touched and is the caller's still: to be closed, or used
// again. It may hold something open, as one of package tcp does with a Listener that it was given.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("ensemble: %w", err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ensemble: %w", ctx.Err())
	}
	cfg = cfg.withDefaults()
	h, err := newHost(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("ensemble: %w", err)
	}
	if h.tr != nil {
		if err := h.tr.Start(cfg.ID, handler{h}); err != nil {
			if !errors.Is(err, transport.ErrStarted) { // then it is another's
				err = errors.Join(err, h.tr.Close())
			}
			return nil, fmt.Errorf("ensemble: transport: %w", errors.Join(err, h.closeDisk()))
		}
		addrs := make(map[ID]string, len(h.cfg.Members))
		for _, m := range h.cfg.Members {
			addrs[m.ID] = m.Addr
		}
		h.tr.SetPeers(addrs)
	}
	if h.writer != nil {
		go h.writer.run()
	}
	go h.run()
	return &Node{client{h: h}}, nil
}

// host is what stands behind a Node: one goroutine that owns the machine, and what callers share with it.
type host struct {
	cfg Config
	tr  transport.Transport

	// Shared.
	pool     sync.Pool
	queue    calls
	lanes    [transport.Classes]lane
	loaded   loads
	receiver receiver
	sleeping atomic.Bool   // the goroutine waits, or is about to
	wake     chan struct{} // has room for one
	stop     chan struct{} // closed by the first Close
	stopOnce sync.Once
	done     chan struct{} // closed when the node has ended; err is set before
	err      error
	refusing atomic.Bool
	idle     atomic.Pointer[chan struct{}] // of a Shutdown that waits for the calls in flight

	tree     atomic.Pointer[datatree.Tree]
	sessions atomic.Int64 // as of the tree
	cell     atomic.Pointer[cell]
	session  atomic.Pointer[Session]
	opened   chan struct{} // closed with the first session of its own
	impaired atomic.Bool   // its state is known to be wrong
	serves   atomic.Bool   // has been ready once, and is not impaired
	served   chan struct{} // closed then
	inFlight atomic.Int64
	waiters  waiters
	leases   leases
	keeper   keeper
	backups  backups
	watches  watches
	stats    counters
	writer   *writer // nil: everything is in memory

	loop
}

func newHost(ctx context.Context, cfg Config) (*host, error) {
	h := &host{
		cfg: cfg, tr: cfg.Transport,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), served: make(chan struct{}),
	}
	var f durable.Found
	state := core.NewZnodes(cfg.MaxData)
	if cfg.Dir != "" {
		var s *storage
		var err error
		if s, f, err = openStorage(ctx, &cfg); err != nil {
			return nil, err
		}
		h.cfg.Members = cfg.Members
		if h.tr == nil && len(cfg.Members) > 1 {
			return nil, errors.Join(&ConfigError{"Transport", errNoTransport}, s.Close())
		}
		if s.state != nil {
			state, s.state = s.state, nil
		}
		h.writer, h.damage = newWriter(s, h.wakeUp), s.damage
	}
	h.initLoop(f, state, disk.Of(ctx).Tail)
	err := h.m.Err()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, h.closeDisk())
	}
	h.session.Store(noSession(h))
	h.opened = make(chan struct{})
	first := Status{ID: cfg.ID, Role: Looking, Reason: NoQuorum, Peers: h.peerStatus(core.Status{})}
	if f.Mark.Spoilt {
		h.impaired.Store(true)
		first.Reason = Impaired
	}
	h.cell.Store(&cell{first, make(chan struct{})})
	return h, nil
}

// closeDisk closes the directory of a node whose goroutines were never started.
func (h *host) closeDisk() error {
	if h.writer == nil {
		return nil
	}
	return h.writer.disk.Close()
}

// random fills b with what nobody can foresee.
func random(b []byte) { crand.Read(b) } // never fails

func randomNonce() (n link.Nonce) {
	random(n[:])
	return n
}

// wakeUp makes the goroutine look at its queues, if it sleeps.
func (h *host) wakeUp() {
	if h.sleeping.Load() && h.sleeping.CompareAndSwap(true, false) {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// Ready returns nil when this node can serve and has a session of its own. When the node has ended it returns ErrClosed, joined with what Err tells if it was not
// closed; when ctx ends, the error of ctx joined with ErrNoQuorum, and with ErrImpaired if that is why.
func (n *Node) Ready(ctx context.Context) error {
	for {
		c, opened := n.h.cell.Load(), n.h.opened
		if !c.Ready {
			opened = nil
		}
		switch {
		case c.Ready && n.h.session.Load().id != 0:
			return nil
		case c.Reason == Ended:
			<-n.h.done
			return n.h.closedErr()
		}
		select {
		case <-c.next:
		case <-opened:
		case <-ctx.Done():
			err := errors.Join(ctx.Err(), ErrNoQuorum)
			if c.Reason == Impaired {
				err = errors.Join(err, ErrImpaired)
			}
			return err
		}
	}
}

// View returns a handle on the whole tree as it is here now. It never waits and may lag behind what other members have.
//
// Nor does it judge. On a member whose state is known to be wrong, where reads are given ErrImpaired, it shows that state, for those who want to
// see what differs: since when it is wrong nobody knows, so there is no last good tree to show instead. Who relies on what a View shows looks, after taking
// it, whether Status says Impaired.
func (n *Node) View() *View { return n.h.tree.Load().View() }

// Await returns when the transaction z is applied here: later reads see it.
func (n *Node) Await(ctx context.Context, z Zxid) error {
	h := n.h
	ch := h.waiters.add(h, z)
	if ch == nil {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-h.done:
		return h.closedErr()
	case <-ctx.Done():
		h.waiters.remove(ch)
		return ctx.Err()
	}
}

// waiters are those who wait for a zxid.
type waiters struct {
	count atomic.Int64
	mu    sync.Mutex
	list  []waiter
}

type waiter struct {
	z  Zxid
	ch chan struct{}
}

// add returns nil when there is nothing to wait for.
func (w *waiters) add(h *host, z Zxid) chan struct{} {
	if h.tree.Load().Zxid() >= z {
		return nil
	}
	ch := make(chan struct{})
	w.mu.Lock()
	w.list = append(w.list, waiter{z, ch})
	w.mu.Unlock()
	w.count.Add(1)
	// Either the goroutine sees the count after it has published, or we see what it has published.
	if h.tree.Load().Zxid() >= z {
		w.remove(ch)
		return nil
	}
	return ch
}

func (w *waiters) remove(ch chan struct{}) {
	w.mu.Lock()
	for i := range w.list {
		if w.list[i].ch == ch {
			w.list = append(w.list[:i], w.list[i+1:]...)
			w.count.Add(-1)
			break
		}
	}
	w.mu.Unlock()
}

// wake lets go of those who waited for z or less.
func (w *waiters) wake(z Zxid) {
	if w.count.Load() == 0 {
		return
	}
	var due []chan struct{}
	w.mu.Lock()
	rest := w.list[:0]
	for _, x := range w.list {
		if x.z <= z {
			due = append(due, x.ch)
		} else {
			rest = append(rest, x)
		}
	}
	w.list = rest
	w.mu.Unlock()
	w.count.Add(-int64(len(due)))
	for _, ch := range due {
		close(ch)
	}
}

// Transfer hands the leadership over to the voter to, or, if it is 0, to the most advanced one. It is called on the leader, which takes no new
// writes meanwhile, and returns nil when that does not lead any more; StatusChanges tells who does. It gives ErrNotLeading on any other member, when
// there is nobody to hand over to, which a member whose state is known to be wrong is not, and when the successor has not caught up within SyncLimit
// ticks: then the leader leads on.
func (n *Node) Transfer(ctx context.Context, to ID) error {
	c := n.h.borrow(transfer)
	c.to = to
	_, _, err := n.h.do(ctx, c)
	return err
}

// Membership is who belongs to the ensemble, and the transaction that made it so; 0 is its birth.
type Membership struct {
	Members []Member
	Version Zxid
}

// Membership returns who belongs to the ensemble: what the data directory holds, or Config.Members where there is none. Addresses are those of the Config. The Version
// is 0 as long as the membership cannot be changed.
func (n *Node) Membership() Membership {
	return Membership{Members: append([]Member(nil), n.h.cfg.Members...)}
}

// Done is closed when the node has ended, for whatever reason.
func (n *Node) Done() <-chan struct{} { return n.h.done }

// Err tells why the node has ended: nil before Done, and nil after Close.
func (n *Node) Err() error {
	select {
	case <-n.h.done:
		return n.h.err
	default:
		return nil
	}
}

// Shutdown ends the node politely: it refuses new calls, waits for those under way, ends the node's own session, hands the leadership over if it has it, and
// closes. The sessions of clients are left to be resumed elsewhere. When ctx ends it closes anyway, and returns the error of ctx. Give it one that ends: without a
// quorum the calls under way last as long as their own contexts, so with context.Background() on both sides it waits until a quorum is back.
func (n *Node) Shutdown(ctx context.Context) error {
	h := n.h
	h.refusing.Store(true)
	idle := make(chan struct{})
	var err error
	h.idle.CompareAndSwap(nil, &idle) // several may wait
	h.nudge()
	select {
	case <-*h.idle.Load():
	case <-h.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil && n.Status().Ready {
		h.endOwn(ctx)
	}
	voters := 0
	for _, m := range h.cfg.Members {
		if !m.Observer {
			voters++
		}
	}
	if s := n.Status(); err == nil && s.Role == Leading && s.Ready && voters > 1 {
		c := &call{kind: transfer, done: make(chan struct{}, 1), begin: time.Now()}
		h.inFlight.Add(1)
		if h.queue.put(c) {
			h.nudge()
			if _, lost := h.await(ctx, c); lost != nil {
				err = lost
			}
		} else {
			h.inFlight.Add(-1)
		}
	}
	return errors.Join(err, n.Close())
}

// endOwn ends the node's own session, if that does not take long.
func (h *host) endOwn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.cfg.SyncLimit)*h.cfg.Tick)
	defer cancel()
	s := h.session.Load()
	s.end(ErrClosed)
	h.tell(&call{kind: leaveOff, kept: true, done: make(chan struct{})})
	if s.id == 0 {
		return
	}
	c := &call{kind: write, kept: true, done: make(chan struct{}), s: s, payload: core.AppendClose(nil)}
	if h.tell(c) {
		_, _ = h.await(ctx, c) // it expires by itself
	}
}

// Close ends the node at once; to the others it looks like a crash. When it returns there is no goroutine left. Calls under way
// are given ErrClosed. It is idempotent, and always returns nil. It must not be called from a hook of Trace.
func (n *Node) Close() error {
	h := n.h
	h.refusing.Store(true)
	h.stopOnce.Do(func() { close(h.stop) })
	<-h.done
	return nil
}

// nudge wakes the goroutine even if it sees nothing in its queues.
func (h *host) nudge() {
	h.sleeping.Store(false)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}
