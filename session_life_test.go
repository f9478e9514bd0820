package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// H1: a member that misses the end of a session, because it is away or because the link fails just then, and gets it by synchronisation, has none of its ephemerals.
func TestH1EphemeralNotDeleted(t *testing.T) {
	for name, trouble := range map[string]struct {
		begin  func(c *ensembletest.Cluster, leader, away ensemble.ID)
		mended bool // by a restart
	}{ // any order: each by itself
		"the proposal is lost on the way": {func(c *ensembletest.Cluster, leader, away ensemble.ID) { c.Network().CutOneWay(leader, away) }, false},
		"cut off":                         {func(c *ensembletest.Cluster, _, away ensemble.ID) { c.Isolate(away) }, false},
		"power loss":                      {func(c *ensembletest.Cluster, _, away ensemble.ID) { c.Crash(away) }, true},
		"a lost disk":                     {func(c *ensembletest.Cluster, _, away ensemble.ID) { c.Wipe(away) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := ensembletest.New(t, 3)
				leader := c.WaitLeader()
				away, other := c.Followers()[0], c.Followers()[1]
				s := newSession(t, c.Node(other))
				for i := range 20 {
					ephemeral(t, s, fmt.Sprintf("/e-%d", i))
				}
				last := must[ensemble.Zxid](t)(c.Node(away).Sync(t.Context()))
				before := synced(c.Node(leader).Stats())
				trouble.begin(c, leader, away)
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := c.Node(away).Status().Applied; got != last {
					t.Errorf("the end of the session, after %v, was not missed: %v", last, got)
				}
				if _, ok, _ := c.Node(away).Exists(t.Context(), "/e-0"); !ok && !trouble.mended {
					t.Error("the ephemerals have gone without the end of their session")
				}
				c.Heal()
				if trouble.mended {
					c.Restart(away)
				}
				for i := range 20 {
					if path := fmt.Sprintf("/e-%d", i); exists(t, c.Node(away), path) || exists(t, c.Node(other), path) {
						t.Errorf("%s is there", path)
					}
				}
				wait(t, tick) // the leader counts once a tick
				if c.Leader() == leader && synced(c.Node(leader).Stats()) == before {
					t.Error("it was not synchronised")
				}
			})
		})
	}
}

func synced(s ensemble.Stats) uint64 { return s.SyncedByMemory + s.SyncedByLog + s.SyncedBySnapshot }

// H2: creates that are under way on a session that another member resumes and closes leave nothing.
func TestH2CreateAfterClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		a, b := c.Node(c.Followers()[0]), c.Node(c.Followers()[1])
		made, cut := 0, 0
		for round := range 10 {
			delay := 3*time.Millisecond + time.Duration(round)*600*time.Microsecond
			c.Network().SetDelay(delay, delay) // ever longer, so that no frame overtakes another: that would cost the link
			s := newSession(t, a)
			var group sync.WaitGroup
			var pending []*ensemble.Pending
			group.Go(func() {
				for i := range 100 {
					pending = append(pending, s.Submit(ensemble.CreateOp{Path: fmt.Sprintf("/r%d-%d-", round, i), Mode: ensemble.Ephemeral | ensemble.Sequential}))
					if i%5 == 0 {
						wait(t, time.Millisecond)
					}
				}
			})
			wait(t, 3*time.Millisecond)
			r := must[*ensemble.Session](t)(b.ResumeSession(ctx, s.ID(), s.Password()))
			if err := r.Close(ctx); err != nil {
				t.Fatal(err)
			}
			group.Wait()
			for _, p := range pending {
				switch _, err := p.Wait(ctx); {
				case err == nil:
					made++
				case !errors.Is(err, ensemble.ErrSessionMoved) && !errors.Is(err, ensemble.ErrSessionExpired) || errors.Is(err, ensemble.ErrUncertain):
					t.Errorf("a create on a session that was moved: %v", err)
				default:
					cut++
				}
			}
			must[ensemble.Zxid](t)(a.Sync(ctx))
			if names := must[[]string](t)(a.Children(ctx, "/")); len(names) != 1 {
				t.Fatalf("round %d leaves %v", round, names)
			}
		}
		if made+cut != 1000 || cut < 100 {
			t.Errorf("%d creates were in time, and %d too late: it was too tame", made, cut)
		}
	})
}

// H4: who is silent only because there is no leader keeps his session.
func TestH4LeaderChangeGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 5)
		epoch := func() uint32 { return c.Node(c.WaitLeader()).Status().Epoch }
		s := must[*ensemble.Session](t)(c.Node(c.Followers()[0]).NewSession(t.Context(), ensemble.SessionOptions{Timeout: time.Second}))
		ephemeral(t, s, "/e")
		begin := epoch()
		for range 20 { // more often than the session would have to be renewed
			if err := c.Node(c.WaitLeader()).Transfer(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			wait(t, 100*time.Millisecond)
		}
		if got := epoch(); got < begin+20 {
			t.Errorf("the leader changed only %d times", got-begin)
		}
		if s.Context().Err() != nil || !exists(t, c.Node(c.WaitLeader()), "/e") {
			t.Errorf("it has ended: %v", context.Cause(s.Context()))
		}
		// A leader that dies takes as long as it takes to be missed, and nobody's session with it.
		for range 3 {
			leader, begin := c.WaitLeader(), epoch()
			keep := newSession(t, c.Node(c.Followers()[0]))
			path := ephemeral(t, keep, fmt.Sprintf("/kept-%x", keep.ID()))
			c.Crash(leader)
			wait(t, 3*timeout)
			if keep.Context().Err() != nil || !exists(t, c.Node(c.WaitLeader()), path) || epoch() == begin {
				t.Errorf("it has ended: %v", context.Cause(keep.Context()))
			}
			c.Restart(leader)
			wait(t, time.Second)
		}
	})
}

// H4, too: while there is no quorum, for longer than any timeout, no session ends. Its owner cannot know that, and gives it up; whoever resumes it within its timeout after there is a leader has it
// with all that is its, and the others end after the whole of it.
func TestH4NoLeaderForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		s, lost := newSession(t, c.Node(1)), newSession(t, c.Node(2))
		ephemeral(t, s, "/kept")
		ephemeral(t, lost, "/lost")
		began := c.Node(c.WaitLeader()).Status().Epoch
		c.Partition([]ensemble.ID{1}, []ensemble.ID{2}, []ensemble.ID{3})
		wait(t, 3*timeout)
		wantCause(t, s, ensemble.ErrNoQuorum)
		wantCause(t, lost, ensemble.ErrNoQuorum)
		if c.Leader() != 0 {
			t.Fatal("there is a leader")
		}
		c.Heal()
		leader := c.WaitLeader()
		if c.Node(leader).Status().Epoch == began {
			t.Error("it is the former leader's epoch")
		}
		again := time.Now()
		next, err := c.Node(3).ResumeSession(t.Context(), s.ID(), s.Password())
		if err != nil {
			t.Fatalf("a session that was to be resumed ended as soon as there was a leader: %v", err)
		}
		vanishes(t, c.Node(leader), "/lost", timeout+bucket)
		if d := time.Since(again); d < timeout-tick {
			t.Errorf("a session that nobody resumed ended %v after there was a leader", d)
		}
		wait(t, 2*timeout)
		if next.Context().Err() != nil || !exists(t, c.Node(3), "/kept") {
			t.Errorf("the session that was resumed has ended: %v", context.Cause(next.Context()))
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
			t.Errorf("the Context lasted %v", d)
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

// H7, too: a Context lasts from when a renewal was sent, and not from when its answer came, however long both were on their way.
func TestH7SlowRenewals(t *testing.T) {
	const delay = 100 * time.Millisecond
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		n := c.Node(c.Followers()[0])
		s := must[*ensemble.Session](t)(n.NewSession(t.Context(), ensemble.SessionOptions{Timeout: timeout}))
		c.Network().SetDelay(delay, delay)
		wait(t, 10*timeout)
		if s.Context().Err() != nil {
			t.Fatalf("it is not renewed: %v", context.Cause(s.Context()))
		}
		cut := time.Now()
		c.Isolate(n.Status().ID)
		wantCause(t, s, ensemble.ErrNoQuorum)
		if d := time.Since(cut); d > timeout*2/3-4*delay || d < timeout*2/3-timeout/6-4*delay-2*tick { // there and back, with a round of confirmation between
			t.Errorf("the Context lasted %v", d)
		}
	})
}

// H8: whatever is asked of a session at a bad moment has a definite answer.
func TestH8BadMoments(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := patient(t)
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
		early, late := 0, 0
		for i := range 8 {
			s := newSession(t, n)
			path := ephemeral(t, s, fmt.Sprintf("/late-%d", i))
			c.Isolate(n.Status().ID)
			wait(t, timeout-4*tick+time.Duration(i)*tick)
			if _, ok, _ := c.Node(c.Leader()).Exists(ctx, path); ok {
				early++
			} else {
				late++
			}
			c.Heal()
			if err := s.Close(ctx); err != nil {
				t.Errorf("closing: %v", err)
			}
			if exists(t, n, path) {
				t.Errorf("%s is there", path)
			}
		}
		if early == 0 || late == 0 {
			t.Errorf("%d sessions were closed before they expired, %d after", early, late)
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

// E16: a leader is stopped, as by SIGSTOP, for three timeouts while another leads and commits. When it goes on it ends no session, acknowledges nothing by itself and confirms nothing old, and the
// session that it served has ended for its owner before anybody else could know.
func TestE16PausedLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		var paused sync.Map // of members that are to be stopped at the next transaction: a channel that is closed when they may go on
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) {
			id := cfg.ID
			cfg.Trace = &ensemble.Trace{Applied: func(ensemble.AppliedInfo) {
				if goOn, stop := paused.Load(id); stop {
					<-goOn.(chan struct{})
				}
			}}
		})
		old := c.WaitLeader()
		f := c.Node(c.Followers()[0])
		s, lost := newSession(t, f), newSession(t, c.Node(old))
		ephemeral(t, s, "/e")
		ephemeral(t, lost, "/lost")
		must[string](t)(f.Create(ctx, "/x", nil, 0))
		wait(t, time.Second)
		epoch := f.Status().Epoch
		goOn, begin := make(chan struct{}), time.Now()
		paused.Store(old, goOn)
		f.Submit(ensemble.SetOp{Path: "/x", Data: []byte("the last that it may have seen")})
		wantCause(t, lost, ensemble.ErrNoQuorum)
		if d := time.Since(begin); d > timeout*2/3 {
			t.Errorf("who held a session at a leader that is stopped learnt of it after %v", d)
		}
		for f.Status().Epoch == epoch || !f.Status().Ready {
			wait(t, tick)
		}
		stat := must[ensemble.Stat](t)(f.Set(ctx, "/x", []byte("new"), ensemble.AnyVersion))
		vanishes(t, f, "/lost", 2*timeout+bucket)
		wait(t, time.Until(begin.Add(3*timeout)))
		if at := c.Node(old).Status(); at.Role != ensemble.Leading || at.Epoch != epoch {
			t.Fatalf("it was not stopped: %+v", at)
		}
		// What is asked of it now waits, and is stepped first when it goes on.
		write := c.Node(old).Submit(ensemble.CreateOp{Path: "/by-the-old"})
		var fresh ensemble.Znode
		var synced error
		var group sync.WaitGroup
		group.Go(func() {
			if _, synced = c.Node(old).Sync(ctx); synced == nil {
				fresh, synced = c.Node(old).Get(ctx, "/x")
			}
		})
		wait(t, tick)
		paused.Delete(old)
		close(goOn)
		group.Wait()
		if synced != nil || fresh.Stat.Mzxid < stat.Mzxid {
			t.Errorf("it confirmed what was old: %q of %v, %v", fresh.Data, fresh.Stat.Mzxid, synced)
		}
		if r := must[ensemble.Result](t)(write.Wait(ctx)); r.Zxid.Epoch() <= epoch {
			t.Errorf("it acknowledged %v by itself", r.Zxid)
		}
		wait(t, 3*timeout)
		if s.Context().Err() != nil || !exists(t, c.Node(old), "/e") || exists(t, c.Node(old), "/lost") {
			t.Errorf("it is not as the others have left it: %v", context.Cause(s.Context()))
		}
	})
}
