package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// H7: a client that is cut off from all knows by itself that its session may be over, before anybody else can know it.
func TestH7ClientSideExpiry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		leader, alone := c.WaitLeader(), c.Followers()[0]
		s := newSession(t, c.Node(alone))
		ephemeral(t, s, "/e")
		own := c.Node(alone).Session()
		wait(t, time.Minute)
		c.Isolate(alone)
		cut := time.Now()
		wantCause(t, s, ensemble.ErrNoQuorum)
		if d := time.Since(cut); d > timeout*2/3 || d < timeout/3 {
			t.Errorf("it took %v", d)
		}
		if !exists(t, c.Node(leader), "/e") {
			t.Error("the session was ended before its owner knew")
		}
		vanishes(t, c.Node(leader), "/e", timeout+bucket)
		wantCause(t, own, ensemble.ErrNoQuorum)
		if c.Node(alone).Session() != own {
			t.Error("there is another session without a quorum")
		}
		c.Heal()
		must[string](t)(c.Node(alone).Create(t.Context(), "/again", nil, ensemble.Ephemeral)) // on the next one, which the node makes by itself
		z := must[ensemble.Znode](t)(c.Node(alone).Get(t.Context(), "/again"))
		if next := c.Node(alone).Session(); next.Context().Err() != nil || uint64(next.ID()) != z.Stat.EphemeralOwner || next.ID() == own.ID() {
			t.Errorf("the node's own session is %x after %x, and the ephemeral is of %x", next.ID(), own.ID(), z.Stat.EphemeralOwner)
		}
		if s.Context().Err() == nil {
			t.Error("an ended Context came back")
		}
	})
}

// H4: who is silent only because there is no leader keeps his session.
func TestH4LeaderChangeGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 5)
		s := must[*ensemble.Session](t)(c.Node(c.Followers()[0]).NewSession(t.Context(), ensemble.SessionOptions{Timeout: time.Second}))
		ephemeral(t, s, "/e")
		for range 20 {
			leader := c.WaitLeader()
			if leader == 0 {
				t.Fatal("no leader")
			}
			if id := leader; c.Node(id).Session() == nil {
				t.Fatal("no session")
			}
			if slices.Contains(c.Followers(), leader) {
				t.Fatal("it follows itself")
			}
			if c.Node(leader).Status().Role == ensemble.Leading {
				if err := c.Node(leader).Transfer(t.Context(), 0); err != nil && !errors.Is(err, ensemble.ErrNotLeading) {
					t.Fatal(err)
				}
			}
			wait(t, 300*time.Millisecond)
		}
		if s.Context().Err() != nil || !exists(t, c.Node(c.WaitLeader()), "/e") {
			t.Errorf("it has ended: %v", context.Cause(s.Context()))
		}
		// A leader that dies takes as long as it takes to be missed, and nobody's session with it.
		for range 3 {
			leader := c.WaitLeader()
			keep := newSession(t, c.Node(c.Followers()[0]))
			path := ephemeral(t, keep, fmt.Sprintf("/kept-%x", keep.ID()))
			c.Crash(leader)
			wait(t, 3*timeout)
			if keep.Context().Err() != nil || !exists(t, c.Node(c.WaitLeader()), path) {
				t.Errorf("it has ended: %v", context.Cause(keep.Context()))
			}
			c.Restart(leader)
			wait(t, time.Second)
		}
	})
}

// E16: a leader that hears nobody for three timeouts, while another leads, ends no session when it comes back, and answers nothing in between.
func TestE16LeaderCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		old := c.WaitLeader()
		f := c.Followers()[0]
		s := newSession(t, c.Node(f))
		ephemeral(t, s, "/e")
		lost := newSession(t, c.Node(old))
		cut := time.Now()
		c.Isolate(old)
		<-lost.Context().Done()
		if d := time.Since(cut); d > timeout*2/3 {
			t.Errorf("a leader that is cut off renewed its own session for %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*timeout)
		defer cancel()
		if _, err := c.Node(old).Sync(ctx); err == nil {
			t.Error("a leader that is cut off confirms")
		}
		wantCause(t, lost, ensemble.ErrNoQuorum)
		c.Heal()
		wait(t, 3*timeout)
		if s.Context().Err() != nil || !exists(t, c.Node(old), "/e") {
			t.Errorf("a session of the other side has ended: %v", context.Cause(s.Context()))
		}
	})
}

// H1: a member that is away while a session ends, and gets the end by synchronisation, has none of its ephemerals.
func TestH1EphemeralNotDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		away, other := c.Followers()[0], c.Followers()[1]
		for round := range 3 {
			s := newSession(t, c.Node(other))
			for i := range 20 {
				ephemeral(t, s, fmt.Sprintf("/e-%d-%d", round, i))
			}
			must[ensemble.Zxid](t)(c.Node(away).Sync(t.Context()))
			switch round {
			case 0:
				c.Isolate(away)
			case 1:
				c.Crash(away)
			case 2:
				c.Wipe(away)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Heal()
			if round > 0 {
				c.Restart(away)
			}
			for i := range 20 {
				if path := fmt.Sprintf("/e-%d-%d", round, i); exists(t, c.Node(away), path) || exists(t, c.Node(other), path) {
					t.Errorf("%s is there", path)
				}
			}
		}
	})
}

// H2: creates that are under way on a session that another member resumes and closes leave nothing.
func TestH2CreateAfterClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		a, b := c.Node(c.Followers()[0]), c.Node(c.Followers()[1])
		for round := range 10 {
			s := newSession(t, a)
			var group sync.WaitGroup
			var pending []*ensemble.Pending
			group.Go(func() {
				for i := range 100 {
					pending = append(pending, s.Submit(ensemble.CreateOp{Path: fmt.Sprintf("/r%d-%d-", round, i), Mode: ensemble.Ephemeral | ensemble.Sequential}))
				}
			})
			r := must[*ensemble.Session](t)(b.ResumeSession(ctx, s.ID(), s.Password()))
			if err := r.Close(ctx); err != nil {
				t.Fatal(err)
			}
			group.Wait()
			for _, p := range pending {
				if _, err := p.Wait(ctx); err != nil && (!errors.Is(err, ensemble.ErrSessionMoved) && !errors.Is(err, ensemble.ErrSessionExpired) || errors.Is(err, ensemble.ErrUncertain)) {
					t.Errorf("a create on a session that was moved: %v", err)
				}
			}
			must[ensemble.Zxid](t)(a.Sync(ctx))
			if names := must[[]string](t)(a.Children(ctx, "/")); len(names) != 1 {
				t.Fatalf("round %d leaves %v", round, names)
			}
		}
	})
}

// H3, R1: a session goes from member to member. The former owner learns that it has moved, and the next one sees all that the session has seen.
func TestH3SessionMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		s := newSession(t, c.Node(1))
		ephemeral(t, s, "/e")
		for round := range 12 {
			at := ensemble.ID(round%3 + 1)
			stat := must[ensemble.Stat](t)(s.Set(ctx, "/e", []byte{byte(round)}, ensemble.AnyVersion))
			next := must[*ensemble.Session](t)(c.Node(at).ResumeSession(ctx, s.ID(), s.Password()))
			if z := must[ensemble.Znode](t)(next.Get(ctx, "/e")); z.Stat.Mzxid != stat.Mzxid {
				t.Errorf("member %d shows %v, the session has seen %v", at, z.Stat.Mzxid, stat.Mzxid)
			}
			wantCause(t, s, ensemble.ErrSessionMoved)
			if err := s.Close(ctx); !errors.Is(err, ensemble.ErrSessionMoved) {
				t.Errorf("the former owner closed it: %v", err)
			}
			if next.ID() != s.ID() || next.Timeout() != s.Timeout() || !slices.Equal(next.Password(), s.Password()) {
				t.Error("it is not the same session")
			}
			s = next
			wait(t, timeout) // who has moved is renewed where it is, and only there
		}
		wait(t, time.Minute)
		if s.Context().Err() != nil || !exists(t, c.Node(2), "/e") {
			t.Error("it has ended")
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

// H8: whatever is asked of a session at a bad moment has a definite answer.
func TestH8BadMoments(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		n := c.Node(c.Followers()[0])
		s := newSession(t, n)
		ephemeral(t, s, "/e")
		wrong := s.Password()
		wrong[0] ^= 1
		for _, p := range [][]byte{wrong, nil, s.Password()[1:], append(s.Password(), 0)} {
			if _, err := n.ResumeSession(ctx, s.ID(), p); !errors.Is(err, ensemble.ErrSessionExpired) || errors.Is(err, ensemble.ErrUncertain) {
				t.Errorf("password %x: %v", p, err)
			}
		}
		if _, err := n.ResumeSession(ctx, s.ID()+1, s.Password()); !errors.Is(err, ensemble.ErrSessionExpired) {
			t.Errorf("another id: %v", err)
		}
		if s.Context().Err() != nil {
			t.Error("a wrong password disturbs the owner")
		}
		var group sync.WaitGroup
		for range 5 { // closed by many at once
			group.Go(func() {
				if err := s.Close(ctx); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
		}
		group.Wait()
		if _, err := n.ResumeSession(ctx, s.ID(), s.Password()); !errors.Is(err, ensemble.ErrSessionExpired) {
			t.Errorf("an ended session: %v", err)
		}
		// Closed just when it expires: the node is cut off and comes back about then.
		for i := range 8 {
			s := newSession(t, n)
			path := ephemeral(t, s, fmt.Sprintf("/late-%d", i))
			c.Isolate(n.Status().ID)
			wait(t, timeout-4*tick+time.Duration(i)*tick)
			c.Heal()
			if err := s.Close(ctx); err != nil {
				t.Errorf("closing: %v", err)
			}
			if exists(t, n, path) {
				t.Errorf("%s is there", path)
			}
		}
		if _, err := n.NewSession(ctx, ensemble.SessionOptions{Timeout: -1}); !errors.Is(err, ensemble.ErrBadArguments) {
			t.Errorf("a negative timeout: %v", err)
		}
	})
}

// H9: no id comes twice, whoever leads and however often members begin anew.
func TestH9SessionIDsAreUnique(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		seen := map[ensemble.SessionID]bool{}
		for range 30 {
			leader := c.WaitLeader()
			for id := ensemble.ID(1); id <= 3; id++ {
				for range 3 {
					s := newSession(t, c.Node(id))
					if seen[s.ID()] {
						t.Fatalf("session %x comes twice", s.ID())
					}
					seen[s.ID()] = true
				}
			}
			c.Crash(leader)
			c.Restart(leader)
		}
	})
}

// R6, and what else a lost answer has ever done: the leader dies with creates, increments and deletes under way, again and again. Each takes effect once: no
// number is skipped by an orphan, the counter is exact, no delete of what is there is told that it is not.
func TestR6LostAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		must[string](t)(c.Node(1).Create(ctx, "/n", []byte{0}, 0))
		must[string](t)(c.Node(1).Create(ctx, "/q", nil, 0))
		c.WaitLeader()
		f := c.Node(c.Followers()[0])
		s := must[*ensemble.Session](t)(f.NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute}))
		var group sync.WaitGroup
		made := map[string]bool{}
		sum := 0
		group.Go(func() {
			for range 150 {
				path := must[string](t)(s.Create(ctx, "/q/i-", nil, ensemble.Sequential))
				if made[path] {
					t.Errorf("%s twice", path)
				}
				made[path] = true
				if err := s.Delete(ctx, path, ensemble.VersionOf(0)); err != nil {
					t.Errorf("delete of what is there: %v", err)
				}
				z := must[ensemble.Znode](t)(s.Get(ctx, "/n"))
				if _, err := s.Set(ctx, "/n", []byte{z.Data[0] + 1}, z.Stat.Version); err != nil {
					t.Errorf("an increment by the only writer: %v", err)
				}
				sum++
				wait(t, tick)
			}
		})
		for range 8 {
			wait(t, time.Second)
			leader := c.WaitLeader()
			if leader == f.Status().ID {
				if err := f.Transfer(ctx, 0); err != nil {
					t.Log(err)
				}
				continue
			}
			c.Crash(leader)
			wait(t, 100*time.Millisecond)
			c.Restart(leader)
		}
		group.Wait()
		must[ensemble.Zxid](t)(f.Sync(ctx))
		if z := must[ensemble.Znode](t)(f.Get(ctx, "/n")); int(z.Data[0]) != sum%256 {
			t.Errorf("the counter is %d after %d increments", z.Data[0], sum)
		}
		if left := must[[]string](t)(f.Children(ctx, "/q")); len(left) != 0 || len(made) != sum {
			t.Errorf("orphans: %v", left)
		}
		for i := range sum {
			if !made[fmt.Sprintf("/q/i-%010d", i)] {
				t.Errorf("number %d was used for nobody", i)
			}
		}
	})
}

// R3: a thousand writes of one goroutine on a session, through changes of leader, refusals among them, take effect in the order in which they were submitted.
func TestR3SubmitOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		f := c.Node(c.Followers()[0])
		s := must[*ensemble.Session](t)(f.NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute}))
		must[string](t)(s.Create(ctx, "/seq", nil, 0))
		other := newSession(t, f) // whose node is never crashed
		for round := range 4 {
			var pending []*ensemble.Pending
			for i := range 1000 {
				op := ensemble.Op(ensemble.CreateOp{Path: "/seq/n-", Mode: ensemble.Sequential})
				if i%10 == 3 {
					op = ensemble.DeleteOp{Path: "/seq"} // not empty
				}
				pending = append(pending, s.Submit(op))
			}
			if leader := c.WaitLeader(); round%2 == 0 && leader != f.Status().ID {
				c.Crash(leader)
				c.Restart(leader)
			}
			last := ""
			for i, p := range pending {
				r, err := p.Wait(ctx)
				switch {
				case i%10 == 3 && i+round > 3 && !errors.Is(err, ensemble.ErrNotEmpty), i%10 != 3 && err != nil:
					t.Fatalf("%d: %v", i, err)
				case err == nil && r.Path <= last:
					t.Fatalf("%d: %s after %s", i, r.Path, last)
				case err == nil:
					last = r.Path
				}
			}
			if got := must[[]string](t)(s.Children(ctx, "/seq")); len(got) != 900*(round+1) {
				t.Errorf("%d children", len(got))
			}
		}
		if other.Context().Err() != nil {
			t.Error("the others starved")
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
			t.Fatal(err)
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
