package ensemble

import (
	"context"
	"testing"
	"testing/synctest"
)

// lasting is a context of which one can tell what waits for its end.
type lasting struct {
	context.Context
	done    chan struct{}
	waiting int
}

func (l *lasting) Done() <-chan struct{} { return l.done }

func (l *lasting) Value(any) any { return nil } // there is no context of the library's behind it

func (l *lasting) AfterFunc(func()) (stop func() bool) {
	l.waiting++
	stopped := false
	return func() bool {
		was := stopped
		if stopped = true; !was {
			l.waiting--
		}
		return !was
	}
}

// A context that goes on after the node has ended keeps nothing of it, also when nobody has closed the watchers.
func TestContextOfForgottenWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &lasting{Context: context.Background(), done: make(chan struct{})}
		n, err := Open(t.Context(), Config{ID: 1, Members: []Member{{ID: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		for range 2 {
			if _, err := n.Watch(ctx, "/", WatchTree); err != nil {
				t.Fatal(err)
			}
		}
		if ctx.waiting != 1 {
			t.Fatalf("%d wait for the end of the context", ctx.waiting)
		}
		n.Close()
		if ctx.waiting != 0 {
			t.Error("the node has ended, and waits for the end of a context")
		}
		n.h.watches.bind(&Watcher{h: n.h}, ctx) // of a Watch that was answered just before
		if ctx.waiting != 0 {
			t.Error("the node has ended, and another watcher waits for the end of a context")
		}
	})
}
