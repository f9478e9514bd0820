package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

const (
	tick    = 50 * time.Millisecond
	timeout = 2 * time.Second
	bucket  = 3 * tick // what a session may outlive its timeout by, at a leader that stays: the two ticks of session.Ticks, and the one that finds it
)

func newSession(t *testing.T, n *ensemble.Node) *ensemble.Session {
	t.Helper()
	return must[*ensemble.Session](t)(n.NewSession(t.Context(), ensemble.SessionOptions{Timeout: timeout}))
}

func ephemeral(t *testing.T, c ensemble.Client, path string) string {
	t.Helper()
	return must[string](t)(c.Create(t.Context(), path, nil, ensemble.Ephemeral))
}

// exists reports whether path is there for whoever has synced.
func exists(t *testing.T, n *ensemble.Node, path string) bool {
	t.Helper()
	must[ensemble.Zxid](t)(n.Sync(t.Context()))
	_, ok, err := n.Exists(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// vanishes waits until path is there no more, and returns for how long.
func vanishes(t *testing.T, n *ensemble.Node, path string, patience time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	for exists(t, n, path) {
		if time.Since(begin) > patience {
			t.Fatalf("%s is still there after %v", path, patience)
		}
		wait(t, tick/5)
	}
	return time.Since(begin)
}

// wait lets virtual time pass.
func wait(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}

// patient is a context for calls that must be answered: who waits for minutes of virtual time waits for nothing.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wantCause(t *testing.T, s *ensemble.Session, want error) {
	t.Helper()
	<-s.Context().Done()
	if got := context.Cause(s.Context()); !errors.Is(got, want) {
		t.Errorf("the session ended with %v, not %v", got, want)
	}
	if _, err := s.Create(t.Context(), "/too-late", nil, 0); !errors.Is(err, want) || errors.Is(err, ensemble.ErrUncertain) {
		t.Errorf("a write on an ended session: %v, not %v", err, want)
	}
}

func TestSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		s := newSession(t, c.Node(2))
		if s.ID() == 0 || s.Timeout() != timeout || s.Session() != s || len(s.Password()) == 0 {
			t.Errorf("session %x, timeout %v", s.ID(), s.Timeout())
		}
		for asked, want := range map[time.Duration]time.Duration{0: 5 * time.Second, 1: 500 * time.Millisecond, time.Hour: time.Minute} { // any order: each by itself
			if s := must[*ensemble.Session](t)(c.Node(1).NewSession(ctx, ensemble.SessionOptions{Timeout: asked})); s.Timeout() != want {
				t.Errorf("asked for %v: %v", asked, s.Timeout())
			}
		}
		ephemeral(t, s, "/e")
		z := must[ensemble.Znode](t)(s.Get(ctx, "/e"))
		if z.Stat.EphemeralOwner != uint64(s.ID()) {
			t.Errorf("owner %x, session %x", z.Stat.EphemeralOwner, s.ID())
		}
		if _, err := s.Create(ctx, "/e/child", nil, 0); !errors.Is(err, ensemble.ErrNoChildrenForEphemerals) {
			t.Error(err)
		}
		must[[]ensemble.Result](t)(s.Multi(ctx, ensemble.CreateOp{Path: "/p"}, ensemble.CreateOp{Path: "/p/e-", Mode: ensemble.Ephemeral | ensemble.Sequential}))
		wait(t, 10*time.Minute) // it is renewed by itself
		if !exists(t, c.Node(3), "/e") || s.Context().Err() != nil {
			t.Fatal("a session that is renewed has ended")
		}
		if n := c.Node(3).Status().Sessions; n != 3+4 {
			t.Errorf("%d sessions", n)
		}
		before := must[ensemble.Zxid](t)(c.Node(1).Sync(ctx))
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		wantCause(t, s, ensemble.ErrSessionExpired)
		for id := ensemble.ID(1); id <= 3; id++ {
			if exists(t, c.Node(id), "/e") || exists(t, c.Node(id), "/p/e-0000000000") || !exists(t, c.Node(id), "/p") {
				t.Errorf("member %d: not exactly the ephemerals have gone", id)
			}
		}
		if after := must[ensemble.Zxid](t)(c.Node(1).Sync(ctx)); after != before+1 {
			t.Errorf("closing took %v to %v, and ten minutes of renewals should be no transactions", before, after)
		}
		if err := s.Close(ctx); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

// Nobody renews a session whose process is gone: it ends after its timeout, not earlier, and not much later.
func TestSilentDeath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		leader, gone := c.WaitLeader(), c.Followers()[0]
		s := newSession(t, c.Node(gone))
		ephemeral(t, s, "/session")
		ephemeral(t, c.Node(gone), "/node")
		own := c.Node(gone).Session()
		wait(t, time.Minute)
		c.Crash(gone)
		wantCause(t, s, ensemble.ErrClosed)
		wantCause(t, own, ensemble.ErrClosed)
		if d := vanishes(t, c.Node(leader), "/session", time.Minute); d < timeout-timeout/6-2*tick || d > timeout+bucket {
			t.Errorf("the ephemeral of a dead client vanished after %v", d)
		}
		if d := vanishes(t, c.Node(leader), "/node", time.Minute); d > 5*time.Second+bucket {
			t.Errorf("the ephemeral of a dead node vanished %v later", d)
		}
	})
}

// The node that served a session is lost for good; whoever has its password goes on with it elsewhere, in time.
func TestResumeAfterCrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		gone, other := c.Followers()[0], c.Followers()[1]
		s := newSession(t, c.Node(gone))
		ephemeral(t, s, "/e")
		c.Crash(gone)
		next := must[*ensemble.Session](t)(c.Node(other).ResumeSession(ctx, s.ID(), s.Password()))
		wait(t, 5*timeout)
		if !exists(t, c.Node(other), "/e") || next.Context().Err() != nil {
			t.Error("it has ended")
		}
	})
}

// All members stop and start again: sessions, their passwords and their ephemerals are there, for the whole of their timeout.
func TestSessionsSurviveRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		s := newSession(t, c.Node(1))
		ephemeral(t, s, "/kept")
		lost := newSession(t, c.Node(2))
		ephemeral(t, lost, "/lost")
		for id := ensemble.ID(1); id <= 3; id++ {
			c.Crash(id)
		}
		wait(t, time.Hour) // downtime expires nothing
		for id := ensemble.ID(1); id <= 3; id++ {
			c.Restart(id)
		}
		next := must[*ensemble.Session](t)(c.Node(3).ResumeSession(ctx, s.ID(), s.Password()))
		if !exists(t, c.Node(3), "/kept") || !exists(t, c.Node(3), "/lost") {
			t.Error("an ephemeral did not survive the restart")
		}
		vanishes(t, c.Node(1), "/lost", timeout+bucket)
		if !exists(t, c.Node(1), "/kept") || next.Context().Err() != nil {
			t.Error("the session that was resumed has ended")
		}
	})
}

// A session is asked for permission, with what it has proved; the host is not.
func TestSessionPermissions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		n := c.Node(2)
		alice, bob := newSession(t, n), newSession(t, n)
		if err := alice.AddAuth(ctx, "digest", []byte("alice:secret")); err != nil {
			t.Fatal(err)
		}
		if err := bob.AddAuth(ctx, "none", nil); !errors.Is(err, ensemble.ErrNoAuth) {
			t.Errorf("a scheme that is not there: %v", err)
		}
		must[ensemble.Result](t)(alice.Do(ctx, ensemble.CreateOp{Path: "/a", ACL: []ensemble.ACL{{Perm: ensemble.PermAll, Scheme: "auth"}}}))
		for name, err := range map[string]error{ // any order: none changes anything
			"get": second(bob.Get(ctx, "/a")), "children": second(bob.Children(ctx, "/a")), "set": second(bob.Set(ctx, "/a", nil, ensemble.AnyVersion)),
			"create": second(bob.Create(ctx, "/a/b", nil, 0)), "setACL": second(bob.Do(ctx, ensemble.SetACLOp{Path: "/a"})),
			"multi": second(bob.Multi(ctx, ensemble.CheckOp{Path: "/a"})),
		} {
			if !errors.Is(err, ensemble.ErrNoAuth) && name != "setACL" || err == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := bob.Exists(ctx, "/a"); !errors.Is(err, ensemble.ErrNoAuth) {
			t.Error(err)
		}
		if _, ok, err := bob.Exists(ctx, "/none"); ok || err != nil {
			t.Error(ok, err)
		}
		if _, _, err := bob.ACL(ctx, "/a"); !errors.Is(err, ensemble.ErrNoAuth) {
			t.Error(err)
		}
		must[ensemble.Znode](t)(alice.Get(ctx, "/a"))
		must[ensemble.Stat](t)(alice.Set(ctx, "/a", nil, ensemble.AnyVersion))
		must[ensemble.Stat](t)(n.Set(ctx, "/a", nil, ensemble.AnyVersion))
		must[ensemble.Znode](t)(n.Session().Get(ctx, "/a"))
		must[ensemble.Stat](t)(n.Session().Set(ctx, "/a", nil, ensemble.AnyVersion))
		if err := bob.AddAuth(ctx, "digest", []byte("alice:secret")); err != nil {
			t.Fatal(err)
		}
		must[ensemble.Stat](t)(bob.Set(ctx, "/a", nil, ensemble.AnyVersion))
		again := must[*ensemble.Session](t)(n.ResumeSession(ctx, bob.ID(), bob.Password()))
		if _, err := again.Get(ctx, "/a"); !errors.Is(err, ensemble.ErrNoAuth) {
			t.Errorf("identities are kept by the session: %v", err)
		}
	})
}

// A caller that does not wait for its session leaves none behind.
func TestAbandonedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		f := c.Node(c.Followers()[0])
		c.Network().SetDelay(30*time.Millisecond, 30*time.Millisecond)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if s, err := f.NewSession(ctx, ensemble.SessionOptions{}); !errors.Is(err, ensemble.ErrUncertain) {
				t.Errorf("%v, %v", s, err)
			}
			cancel()
		}
		c.Network().SetDelay(0, 0)
		wait(t, 5*time.Second)
		leader := c.WaitLeader()
		if n := c.Node(leader).Status().Sessions; n != 3 {
			t.Errorf("%d sessions of three nodes", n)
		}
	})
}

// A resumption that takes longer than the session may go without a renewal is made again, and ends nothing.
func TestSlowResumption(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		a, b := c.Node(c.Followers()[0]), c.Node(c.Followers()[1])
		s := must[*ensemble.Session](t)(a.NewSession(t.Context(), ensemble.SessionOptions{Timeout: 500 * time.Millisecond}))
		ephemeral(t, s, "/e")
		c.Network().SetDelay(100*time.Millisecond, 100*time.Millisecond)
		time.AfterFunc(350*time.Millisecond, func() { c.Network().SetDelay(0, 0) })
		begin := time.Now()
		r, err := b.ResumeSession(t.Context(), s.ID(), s.Password())
		if err != nil || r.Context().Err() != nil || !exists(t, b, "/e") {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
		if d := time.Since(begin); d <= 500*time.Millisecond*2/3 {
			t.Errorf("it took only %v", d)
		}
		wait(t, 2*time.Second)
		if r.Context().Err() != nil || !exists(t, b, "/e") {
			t.Errorf("it is not renewed: %v", context.Cause(r.Context()))
		}
	})
}

// Who does not wait for a resumption has not ended the session: it can be resumed elsewhere, or ends by itself.
func TestAbandonedResumption(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		a, b := c.Node(c.Followers()[0]), c.Node(c.Followers()[1])
		s, silent := newSession(t, a), newSession(t, a)
		ephemeral(t, s, "/e")
		ephemeral(t, silent, "/silent")
		c.Network().SetDelay(30*time.Millisecond, 30*time.Millisecond)
		for _, s := range []*ensemble.Session{s, silent} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if r, err := b.ResumeSession(ctx, s.ID(), s.Password()); !errors.Is(err, ensemble.ErrUncertain) {
				t.Errorf("%v, %v", r, err)
			}
			cancel()
		}
		c.Network().SetDelay(0, 0)
		wait(t, time.Second)
		wantCause(t, s, ensemble.ErrSessionMoved) // it did take effect
		r, err := a.ResumeSession(t.Context(), s.ID(), s.Password())
		if err != nil {
			t.Fatalf("the session that was given up cannot be resumed: %v", err)
		}
		wait(t, 2*silent.Timeout())
		if r.Context().Err() != nil || !exists(t, a, "/e") || exists(t, a, "/silent") {
			t.Errorf("%v", context.Cause(r.Context()))
		}
	})
}

// A session whose time is almost over has either ended or, when it was resumed, its whole timeout before it.
func TestResumedInTheLastMoment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		from, to := c.Followers()[0], c.Node(c.Followers()[1])
		var all []*ensemble.Session
		for range 100 {
			all = append(all, must[*ensemble.Session](t)(c.Node(from).NewSession(t.Context(), ensemble.SessionOptions{Timeout: 500 * time.Millisecond})))
			wait(t, 7*time.Millisecond)
		}
		c.Network().SetDelay(20*time.Millisecond, 20*time.Millisecond)
		wait(t, 500*time.Millisecond)
		c.Crash(from)
		var group sync.WaitGroup
		var resumed, ended atomic.Int64
		for i, s := range all {
			group.Go(func() {
				wait(t, time.Duration(400+3*i)*time.Millisecond)
				r, err := to.ResumeSession(t.Context(), s.ID(), s.Password())
				if errors.Is(err, ensemble.ErrSessionExpired) {
					ended.Add(1)
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				resumed.Add(1)
				wait(t, time.Second)
				if err := r.Context().Err(); err != nil {
					t.Errorf("session %d was resumed, and then: %v", i, context.Cause(r.Context()))
				}
			})
		}
		group.Wait()
		if resumed.Load() == 0 || ended.Load() == 0 {
			t.Errorf("%d were resumed, %d had ended: that is no last moment", resumed.Load(), ended.Load())
		}
	})
}

// A node that is shut down politely leaves no session of its own for others to wait for.
func TestShutdownEndsOwnSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		f := c.Followers()[0]
		ephemeral(t, c.Node(f), "/e")
		kept := newSession(t, c.Node(f))
		ephemeral(t, kept, "/kept")
		own := c.Node(f).Session()
		begin := time.Now()
		if err := c.Node(f).Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("it took %v", d)
		}
		wantCause(t, own, ensemble.ErrClosed)
		if n := c.Node(c.WaitLeader()); exists(t, n, "/e") || !exists(t, n, "/kept") || n.Status().Sessions != 3 {
			t.Errorf("not just the own session has ended: %d are left", n.Status().Sessions)
		}
	})
}

// What waits at a node when its own session ends is made on its next one, in order; what was called on the session itself is refused, for certain.
func TestCallsOfANodeOutliveItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		leader, alone := c.WaitLeader(), c.Followers()[0]
		n := c.Node(alone)
		own := n.Session()
		must[string](t)(n.Create(ctx, "/former", nil, ensemble.Ephemeral))
		c.Isolate(alone)
		var pending []*ensemble.Pending
		for range 100 {
			pending = append(pending, n.Submit(ensemble.CreateOp{Path: "/e-", Mode: ensemble.Ephemeral | ensemble.Sequential}))
		}
		bound := own.Submit(ensemble.CreateOp{Path: "/bound", Mode: ensemble.Ephemeral})
		wantCause(t, own, ensemble.ErrNoQuorum)
		vanishes(t, c.Node(leader), "/former", time.Minute)
		c.Heal()
		for i, p := range pending {
			r := must[ensemble.Result](t)(p.Wait(ctx))
			if want := fmt.Sprintf("/e-%010d", i+1); r.Path != want { // the former was the first child
				t.Errorf("%s, want %s", r.Path, want)
			}
			if next := n.Session(); r.Stat.EphemeralOwner != uint64(next.ID()) || next.ID() == own.ID() || next.Context().Err() != nil {
				t.Fatalf("%s is of session %x, the node's own is %x after %x", r.Path, r.Stat.EphemeralOwner, next.ID(), own.ID())
			}
		}
		if _, err := bound.Wait(ctx); !errors.Is(err, ensemble.ErrSessionExpired) || errors.Is(err, ensemble.ErrUncertain) {
			t.Errorf("what was called on the session that ended: %v", err)
		}
		if exists(t, n, "/bound") {
			t.Error("it was made on another session")
		}
		wait(t, time.Minute)
		if !exists(t, c.Node(leader), "/e-0000000001") {
			t.Error("what was made on the next session has ended with the former")
		}
	})
}
