package ensemble

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/datatree"
)

// Event tells what one transaction did to one znode: Znode is as it left it, Prev as it found it, and each is zero where there was none. So a Multi that
// sets a znode twice gives one event, one that creates and deletes it none, and one that deletes it and creates it anew a Deleted and a Created. Changes of ACLs are no
// events.
type Event = datatree.Event

// EventType says what a transaction did to a znode.
type EventType = datatree.EventType

// The types of events.
const (
	Created = datatree.Created
	Changed = datatree.Changed
	Deleted = datatree.Deleted
)

// WatchMode says which events a Watcher has.
type WatchMode = datatree.WatchMode

// The modes.
const (
	WatchNode     = datatree.WatchNode     // of the znode at the path, which need not exist: Created, Changed, Deleted
	WatchChildren = datatree.WatchChildren // of its children, with their paths: Created and Deleted, never Changed
	WatchTree     = datatree.WatchTree     // of the path and all below it
)

// Watcher has the events of a path, in the order of the transactions and none left out. An event is ready before any read on the same node can
// return what it tells. It is pulled: there is no goroutine, and who does not read it costs the others nothing. It stays through elections and the end of a node's own
// session. Any goroutine may use it; of several that take events each gets others.
//
// It ends with one error, which all its methods give from then on: ErrWatchOverflow when more than Config.WatchBuffer events were not taken, which
// are dropped; ErrWatchGap when this member got its state from another in one piece; the error of the context of Watch, joined with its cause; ErrClosed when the node has ended, or the
// watcher was closed. After an ErrWatchGap or the end of the node, events that were ready are still given, before it.
type Watcher struct {
	sub     datatree.Subscription
	h       *host
	from    atomic.Pointer[origin] // nil after WatchFrom
	view    atomic.Pointer[View]   // once somebody asked for it
	ending  atomic.Pointer[ending]
	context *watchContext // nil: it never ends
	left    *Watcher      // in the list of context
	right   *Watcher
	hold    atomic.Uint32 // of from
	opened  bool          // it is counted
	begun   bool          // the loop's: it has a subscription
}

type ending struct{ err error }

// Whether a watcher holds its origin.
const (
	notHeld uint32 = iota
	held
	letGo
)

// origin is the state where watchers begin, one for all that begin there.
type origin struct {
	tree    *datatree.Tree
	view    *View
	holders atomic.Int32
}

// errWatcherClosed is ErrClosed for a watcher.
type errWatcherClosed struct{}

func (errWatcherClosed) Error() string { return "watcher is closed" }

func (errWatcherClosed) Is(target error) bool { return target == ErrClosed }

// View returns the tree where the watch begins; exactly what changed after it comes from Next, Batch and All. The first call of one of these lets go of it, unless View
// was called before: then it is the caller's, and the same each time. What is left afterwards, as after WatchFrom, shows an empty tree and
// has the Zxid. Release it when you have read it: like every View it keeps in memory what has changed since.
func (w *Watcher) View() *View {
	if v := w.view.Load(); v != nil {
		return v
	}
	o := w.from.Load()
	v := o.view.Share()
	if w.hold.Load() == letGo {
		v.Release()
	}
	if !w.view.CompareAndSwap(nil, v) {
		v.Release()
		v = w.view.Load()
	}
	return v
}

// release lets go of the state where the watch begins.
func (w *Watcher) release() {
	if w.hold.Load() != letGo && w.hold.Swap(letGo) == held {
		w.from.Load().release()
	}
}

func (o *origin) release() {
	if o.holders.Add(-1) == 0 {
		o.view.Release()
	}
}

// Next takes the next event. It waits until there is one, ctx ends, which does not end the watcher, or the watcher does.
func (w *Watcher) Next(ctx context.Context) (e Event, err error) {
	w.release()
	for {
		if err := w.ended(); err != nil {
			return e, err
		}
		ok, err := w.sub.Next(&e)
		switch {
		case ok:
			return e, nil
		case err != nil:
			return e, w.give(err)
		}
		if err := w.wait(ctx); err != nil {
			return e, err
		}
	}
}

// Batch takes all events that are ready, and waits like Next until there is one. It never returns a part of a transaction, of which the rest would come later.
func (w *Watcher) Batch(ctx context.Context) ([]Event, error) {
	w.release()
	for {
		if err := w.ended(); err != nil {
			return nil, err
		}
		all, err := w.sub.Batch()
		switch {
		case len(all) > 0:
			return all, nil
		case err != nil:
			return nil, w.give(err)
		}
		if err := w.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// All yields events until ctx ends or the watcher does, and then why, once.
func (w *Watcher) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := w.Next(ctx)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the watcher, and every Next that waits. It is idempotent.
func (w *Watcher) Close() { w.finish(errWatcherClosed{}) }

// wait returns nil when there may be something new.
func (w *Watcher) wait(ctx context.Context) error {
	waits := w.sub.Wait()
	if w.sub.Ready() || w.ending.Load() != nil {
		waits.Done(false)
		return nil // it came before anybody could see that we wait
	}
	done := ctx.Done()
	if w.context != nil && done == w.context.ctx.Done() {
		done = nil // its end ends the watcher
	}
	if done == nil { // one channel only: the sooner many are awake
		<-waits.C()
		waits.Done(true)
		return nil
	}
	select {
	case <-waits.C():
		waits.Done(true)
	case <-done:
		waits.Done(false)
		return ctx.Err()
	}
	return nil
}

// ended returns what has ended the watcher.
func (w *Watcher) ended() error {
	if w.context != nil && w.context.ctx.Err() != nil { // who is to finish it may not have come to it
		w.finish(endOf(w.context.ctx))
	}
	if e := w.ending.Load(); e != nil {
		return e.err
	}
	return nil
}

// give ends the watcher with what its subscription says.
func (w *Watcher) give(err error) error {
	if errors.Is(err, datatree.ErrFeedClosed) {
		if e := w.ending.Load(); e != nil {
			return e.err // that is why
		}
		<-w.h.done
		err = w.h.closedErr()
	}
	w.finish(err)
	return w.ending.Load().err
}

// finish ends the watcher, once.
func (w *Watcher) finish(err error) {
	if !w.ending.CompareAndSwap(nil, &ending{err}) {
		return
	}
	if w.opened {
		w.h.watches.open.Add(-1)
	}
	w.release()
	w.h.watches.leave(w)
	w.sub.Wake()
}
