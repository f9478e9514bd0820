package ensemble_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// A call whose ctx ends says so by the ctx's Err, whatever the cause: one made under the Context of another session has not lost its own.
func TestErrorsCarryCtxErr(t *testing.T) {
	judge := func(t *testing.T, name string, err error, also ...error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) || errors.Is(err, ensemble.ErrSessionExpired) {
			t.Errorf("%s: %v", name, err)
		}
		for _, is := range also {
			if !errors.Is(err, is) {
				t.Errorf("%s: %v is not %v", name, err, is)
			}
		}
	}
	over := func() context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(ensemble.ErrSessionExpired)
		return ctx
	}
	// during has ctx end while the call waits.
	during := func(t *testing.T, name string, call func(ctx context.Context) error, also ...error) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		result := make(chan error, 1)
		go func() { result <- call(ctx) }()
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("%s: it does not wait: %v", name, err)
			return
		default:
		}
		cancel(ensemble.ErrSessionExpired)
		judge(t, name, <-result, also...)
	}
	three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}

	t.Run("cut off from the start", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: three, Transport: transport.NewMemory().Peer(1)}))
			defer n.Close()
			for name, call := range map[string]func(ctx context.Context) error{
				"Ready":         n.Ready,
				"Get":           func(ctx context.Context) error { return second(n.Get(ctx, "/")) },
				"Create":        func(ctx context.Context) error { return second(n.Create(ctx, "/a", nil, 0)) },
				"Multi":         func(ctx context.Context) error { return second(n.Multi(ctx)) },
				"Submit":        func(ctx context.Context) error { return second(n.Submit(ensemble.CreateOp{Path: "/a"}).Wait(ctx)) },
				"Sync":          func(ctx context.Context) error { return second(n.Sync(ctx)) },
				"Transfer":      func(ctx context.Context) error { return n.Transfer(ctx, 2) },
				"NewSession":    func(ctx context.Context) error { return second(n.NewSession(ctx, ensemble.SessionOptions{})) },
				"ResumeSession": func(ctx context.Context) error { return second(n.ResumeSession(ctx, 1, make([]byte, 16))) },
				"Watch":         func(ctx context.Context) error { return second(n.Watch(ctx, "/", ensemble.WatchTree)) },
			} {
				judge(t, name, call(over()), ensemble.ErrNoQuorum)
				during(t, name, call, ensemble.ErrNoQuorum)
			}
			judge(t, "Await", n.Await(over(), 1))
			during(t, "Await", func(ctx context.Context) error { return n.Await(ctx, 1) })
			n.Submit(ensemble.CreateOp{Path: "/a"})
			during(t, "Shutdown", n.Shutdown)
		})
	})
	t.Run("handed over", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := ensembletest.New(t, 3)
			n := c.Node(c.WaitLeader())
			c.Isolate(c.Leader())
			during(t, "Create", func(ctx context.Context) error { return second(n.Create(ctx, "/a", nil, 0)) }, ensemble.ErrUncertain)
			during(t, "Submit", func(ctx context.Context) error { return second(n.Submit(ensemble.CreateOp{Path: "/b"}).Wait(ctx)) }, ensemble.ErrUncertain)
			during(t, "NewSession", func(ctx context.Context) error { return second(n.NewSession(ctx, ensemble.SessionOptions{})) }, ensemble.ErrUncertain)
			during(t, "Sync", func(ctx context.Context) error { return second(n.Sync(ctx)) })
		})
	})
	t.Run("ready", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: three[:1]}))
			defer n.Close()
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			judge(t, "Watch", second(n.Watch(over(), "/", ensemble.WatchTree)))
			judge(t, "Backup", second(n.Backup(over(), io.Discard)))
			future := n.Status().Applied + 1000
			during(t, "WatchFrom", func(ctx context.Context) error {
				return second(n.WatchFrom(ctx, "/", ensemble.WatchTree, future))
			})
			w := must[*ensemble.Watcher](t)(n.Watch(t.Context(), "/", ensemble.WatchTree))
			judge(t, "Next", second(w.Next(over())))
			during(t, "Next", func(ctx context.Context) error { return second(w.Next(ctx)) })
			during(t, "Batch", func(ctx context.Context) error { return second(w.Batch(ctx)) })
		})
	})
	t.Run("directories", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m := vfs.NewMemory()
			on := func(ctx context.Context) context.Context {
				return disk.With(ctx, disk.Disk{FS: m, SegmentSize: 16 << 10})
			}
			cfg := ensemble.Config{ID: 1, Members: three[:1], Dir: "/data"}
			judge(t, "Open", second(ensemble.Open(on(over()), cfg)))
			judge(t, "Bootstrap", ensemble.Bootstrap(on(over()), cfg))
			n := must[*ensemble.Node](t)(ensemble.Open(on(t.Context()), cfg))
			if _, err := n.Create(t.Context(), "/a", nil, 0); err != nil {
				t.Fatal(err)
			}
			n.Close()
			judge(t, "BackupDir", second(ensemble.BackupDir(on(over()), "/data", io.Discard)))
			var b bytes.Buffer
			must[ensemble.Zxid](t)(ensemble.BackupDir(on(t.Context()), "/data", &b))
			judge(t, "Restore", ensemble.Restore(on(over()), "/other", &b, ensemble.RestoreOptions{Members: three[:1]}))
		})
	})
}

// A watcher tells what ended its context: by the ctx's Err as all do, and by its cause.
func TestWatcherTellsWhyItsContextEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := ensembletest.New(t, 1).Node(1)
		why := errors.New("why")
		for name, is := range map[string][]error{"at once": {context.Canceled, why}, "in time": {context.DeadlineExceeded, why}, "plain": {context.Canceled}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			end := func() { cancel(why) }
			switch name {
			case "in time":
				late, stop := context.WithTimeoutCause(ctx, time.Second, why)
				defer stop()
				ctx, end = late, func() { <-late.Done() }
			case "plain":
				end = func() { cancel(nil) }
			}
			w := must[*ensemble.Watcher](t)(n.Watch(ctx, "/", ensemble.WatchTree))
			end()
			synctest.Wait()
			_, err := w.Next(t.Context())
			for _, want := range is {
				if !errors.Is(err, want) {
					t.Errorf("%s: %v is not %v", name, err, want)
				}
			}
			if name == "plain" && err != context.Canceled {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
