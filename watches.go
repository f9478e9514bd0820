package ensemble

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/datatree"
)

// Watch returns a Watcher of path. See Client.
func (c client) Watch(ctx context.Context, path string, mode WatchMode) (*Watcher, error) {
	return c.watch(ctx, &watchAsk{path: path, mode: mode})
}

// WatchFrom returns a Watcher that begins after a transaction. See Client.
func (c client) WatchFrom(ctx context.Context, path string, mode WatchMode, after Zxid) (*Watcher, error) {
	return c.watch(ctx, &watchAsk{path: path, mode: mode, replay: true, after: after})
}

// watch asks as whoever the session is.
func (c client) watch(ctx context.Context, a *watchAsk) (*Watcher, error) {
	if c.s != nil {
		if err := c.s.alive(); err != nil {
			return nil, err
		}
		a.who = c.s.caller()
	}
	return c.h.watch(ctx, a)
}

// watches is what a node knows of its watchers. Their subscriptions are begun and ended by the node's goroutine, between two states; taking
// events is between the watcher and the feed.
type watches struct {
	open    atomic.Int64
	waiting atomic.Int64 // asks
	leaving atomic.Bool  // there may be somebody in gone
	rings   sync.WaitGroup

	mu       sync.Mutex
	asks     []*watchAsk
	gone     []*Watcher
	contexts map[<-chan struct{}]*watchContext
	closed   bool

	// The rest is the loop's.
	feed   *datatree.Feed
	origin *origin // of the last watcher
}

// watchAsk asks for a subscription.
type watchAsk struct {
	w      *Watcher
	who    *datatree.Caller // nil: the host itself
	path   string
	mode   WatchMode
	replay bool
	after  Zxid
	err    error
	done   chan struct{}
}

// watchContext is a context whose end ends watchers.
type watchContext struct {
	ctx   context.Context
	stop  func() bool
	first *Watcher
}

func (h *host) watch(ctx context.Context, a *watchAsk) (*Watcher, error) {
	refused := func(err error) error { return &OpError{Op: "watch", Path: a.path, Index: -1, Err: err} }
	if err := datatree.CheckPath(a.path); err != nil {
		return nil, refused(err)
	}
	if !a.mode.Valid() {
		return nil, refused(ErrBadArguments)
	}
	if _, err := h.reader(ctx); err != nil {
		return nil, err
	}
	if a.replay {
		if err := (&Node{client{h: h}}).Await(ctx, a.after); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a.w, a.done = &Watcher{h: h}, make(chan struct{})
	if err := h.watches.ask(a, h.cfg.MaxInFlight); err != nil {
		if errors.Is(err, ErrClosed) {
			<-h.done // it is ending
			err = h.closedErr()
		}
		return nil, err
	}
	h.wakeUp()
	select {
	case <-a.done:
	case <-ctx.Done():
		a.w.finish(ctx.Err())
		return nil, ctx.Err()
	}
	switch {
	case errors.Is(a.err, ErrClosed):
		<-h.done
		return nil, h.closedErr()
	case a.err != nil:
		return nil, refused(a.err)
	}
	a.w.opened = true
	h.watches.open.Add(1)
	h.watches.bind(a.w, ctx)
	return a.w, nil
}

func (ws *watches) ask(a *watchAsk, most int) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch {
	case ws.closed:
		return ErrClosed
	case len(ws.asks) >= most:
		return ErrOverloaded
	}
	ws.asks = append(ws.asks, a)
	ws.waiting.Add(1)
	return nil
}

// bind lets the end of ctx end w. One function waits for all watchers of a context.
func (ws *watches) bind(w *Watcher, ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return // that has ended it
	}
	c := ws.contexts[ctx.Done()]
	if c == nil {
		c = &watchContext{ctx: ctx}
		if ws.contexts == nil {
			ws.contexts = make(map[<-chan struct{}]*watchContext)
		}
		ws.contexts[ctx.Done()] = c
		c.stop = context.AfterFunc(ctx, func() { ws.ended(c) })
	}
	w.context, w.right = c, c.first
	if c.first != nil {
		c.first.left = w
	}
	c.first = w
}

// ended ends the watchers of c.
func (ws *watches) ended(c *watchContext) {
	for {
		ws.mu.Lock()
		w := c.first
		ws.mu.Unlock()
		if w == nil {
			return
		}
		w.finish(endOf(c.ctx)) // which takes it out of the list
		ws.unlink(w)           // if somebody else has finished it and has not come so far
	}
}

// endOf says why a context has ended. That of a call does not: its cause, such as the end of another session, would be taken for what the call met.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return errors.Join(err, cause)
}

// unlink takes w out of the list of its context.
func (ws *watches) unlink(w *Watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	c := w.context
	if c == nil || c.first != w && w.left == nil {
		return
	}
	if w.right != nil {
		w.right.left = w.left
	}
	if w.left != nil {
		w.left.right = w.right
	} else {
		c.first = w.right
	}
	w.left, w.right = nil, nil
	if c.first == nil {
		c.stop()
		delete(ws.contexts, c.ctx.Done())
	}
}

// leave has the subscription of w, which has ended, ended.
func (ws *watches) leave(w *Watcher) {
	ws.unlink(w)
	ws.mu.Lock()
	if !ws.closed {
		ws.gone = append(ws.gone, w)
		ws.leaving.Store(true)
	}
	ws.mu.Unlock()
}

// serveWatches begins and ends subscriptions. The node's goroutine calls it when all that it has applied can be read.
func (h *host) serveWatches() {
	ws := &h.watches
	if ws.waiting.Load() == 0 && !ws.leaving.Load() {
		return
	}
	ws.mu.Lock()
	asks, gone := ws.asks, ws.gone
	ws.asks, ws.gone = nil, nil
	ws.waiting.Store(0)
	ws.leaving.Store(false)
	ws.mu.Unlock()
	for _, a := range asks {
		if a.w.ending.Load() == nil {
			a.err = ws.begin(a, h.sm.Tree())
		}
		close(a.done)
	}
	for _, w := range gone {
		if w.begun {
			w.begun = false
			ws.feed.Unsubscribe(&w.sub)
		}
	}
}

func (ws *watches) begin(a *watchAsk, tree *datatree.Tree) error {
	if a.replay {
		if err := ws.feed.SubscribeAfter(&a.w.sub, a.who, a.path, a.mode, a.after); err != nil {
			return err
		}
		a.w.view.Store(tree.Spent(a.after))
	} else {
		ws.feed.Subscribe(&a.w.sub, a.who, a.path, a.mode)
		o := ws.originOf(tree)
		a.w.from.Store(o)
		if !a.w.hold.CompareAndSwap(notHeld, held) { // it has ended meanwhile
			o.release()
		}
	}
	a.w.begun = true
	return nil
}

// originOf returns the state of the tree, to be held by one more watcher.
func (ws *watches) originOf(tree *datatree.Tree) *origin {
	if o := ws.origin; o != nil && o.tree == tree && o.view.Zxid() == tree.Zxid() {
		for n := o.holders.Load(); n > 0; n = o.holders.Load() {
			if o.holders.CompareAndSwap(n, n+1) {
				return o
			}
		}
	}
	ws.origin = &origin{tree: tree, view: tree.View()}
	ws.origin.holders.Store(1)
	return ws.origin
}

// ring wakes those who wait for events, beside the node's goroutine: they may be many.
func (ws *watches) ring() {
	if bells := ws.feed.Rung(); len(bells) > 0 {
		ws.rings.Go(func() {
			for _, b := range bells {
				b.Ring()
			}
		})
	}
}

// end answers who asks and tells all watchers that there will be nothing more.
func (ws *watches) end() {
	ws.mu.Lock()
	asks := ws.asks
	ws.asks, ws.gone, ws.closed = nil, nil, true
	ws.mu.Unlock()
	for _, a := range asks {
		a.err = ErrClosed
		close(a.done)
	}
	ws.feed.Close()
	ws.ring()
	ws.rings.Wait()
	ws.origin = nil
	ws.mu.Lock()
	for _, c := range ws.contexts { // a context may go on for long, and would keep the node
		c.stop()
	}
	ws.contexts = nil
	ws.mu.Unlock()
}
