package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

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

// H3: a session is resumed elsewhere while the member that served it cannot be heard, or cannot hear of it. What it has of the session's calls then is refused, of whatever kind, and none takes effect.
func TestH3RequestsLeftBehind(t *testing.T) {
	for name, trouble := range map[string]struct {
		begin func(c *ensembletest.Cluster, leader, a ensemble.ID)
		late  bool // the calls are made after the move, and reach the leader
	}{ // any order: each by itself
		"cut off": {func(c *ensembletest.Cluster, _, a ensemble.ID) { c.Isolate(a) }, false},
		"unheard": {func(c *ensembletest.Cluster, leader, a ensemble.ID) { c.Network().CutOneWay(a, leader) }, false},
		"deaf":    {func(c *ensembletest.Cluster, leader, a ensemble.ID) { c.Network().CutOneWay(leader, a) }, true},
	} {
		for _, closed := range []bool{false, true} { // by its former owner, at last
			t.Run(fmt.Sprintf("%s, closed %v", name, closed), func(t *testing.T) {
				bubble(t, func(t *testing.T) { leaveBehind(t, trouble.begin, trouble.late, closed) })
			})
		}
	}
}

func leaveBehind(t *testing.T, trouble func(c *ensembletest.Cluster, leader, a ensemble.ID), late, closed bool) {
	ctx := patient(t)
	c := ensembletest.New(t, 3)
	leader, a, b := c.WaitLeader(), c.Followers()[0], c.Followers()[1]
	s := must[*ensemble.Session](t)(c.Node(a).NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute}))
	must[string](t)(c.Node(a).Create(ctx, "/x", nil, 0)) // the first call on the session is yet to come, so nothing but its generation tells it from one of the next owner
	trouble(c, leader, a)
	var next *ensemble.Session
	resume := func() {
		next = must[*ensemble.Session](t)(c.Node(b).ResumeSession(ctx, s.ID(), s.Password()))
	}
	if late {
		resume()
	}
	var group sync.WaitGroup
	call := func(name string, f func() error) {
		group.Go(func() {
			err := f()
			if (!closed || name == "close") && !errors.Is(err, ensemble.ErrSessionMoved) || err == nil || errors.Is(err, ensemble.ErrUncertain) {
				t.Errorf("%s: %v", name, err)
			}
		})
		wait(t, tick/5)
	}
	call("create", func() error { return second(s.Create(ctx, "/late", nil, 0)) })
	call("set", func() error { return second(s.Set(ctx, "/x", []byte("late"), ensemble.AnyVersion)) })
	call("delete", func() error { return s.Delete(ctx, "/x", ensemble.AnyVersion) })
	call("multi", func() error {
		return second(s.Multi(ctx, ensemble.CheckOp{Path: "/x"}, ensemble.CreateOp{Path: "/late-", Mode: ensemble.Ephemeral | ensemble.Sequential}))
	})
	call("sync", func() error { return second(s.Sync(ctx)) })
	if closed {
		call("close", func() error { return s.Close(ctx) })
	}
	if !late {
		resume()
	}
	c.Heal()
	group.Wait()
	must[ensemble.Zxid](t)(next.Sync(ctx))
	if names := must[[]string](t)(next.Children(ctx, "/")); !slices.Equal(names, []string{"x", "zookeeper"}) {
		t.Errorf("%v are there", names)
	}
	if z := must[ensemble.Znode](t)(next.Get(ctx, "/x")); z.Stat.Version.Int() != 0 {
		t.Errorf("%q was written", z.Data)
	}
}

// R1: a session that has seen much goes to a member that lags. It is not served there until that has caught up with all that the session has seen.
func TestR1NoTimeTravel(t *testing.T) {
	for name, lags := range map[string]func(c *ensembletest.Cluster, id ensemble.ID) (mend func()){ // any order: each by itself
		"cut off": func(c *ensembletest.Cluster, id ensemble.ID) func() {
			c.Isolate(id)
			return c.Heal
		},
		"it hears nothing": func(c *ensembletest.Cluster, id ensemble.ID) func() {
			c.Network().CutOneWay(c.Leader(), id)
			return c.Heal
		},
		"it starts again with a long history": func(c *ensembletest.Cluster, id ensemble.ID) func() {
			c.Stop(id)
			return func() { c.Restart(id) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx := t.Context()
				c := ensembletest.New(t, 3)
				c.WaitLeader()
				lag, fresh := c.Followers()[0], c.Followers()[1]
				s := must[*ensemble.Session](t)(c.Node(fresh).NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute}))
				must[string](t)(s.Create(ctx, "/x", nil, 0))
				must[ensemble.Zxid](t)(c.Node(lag).Sync(ctx))
				mend := lags(c, lag)
				var seen ensemble.Stat
				for range 500 {
					seen = must[ensemble.Stat](t)(s.Set(ctx, "/x", make([]byte, 100), ensemble.AnyVersion))
				}
				if z := c.Node(lag).Status().Applied; z >= seen.Mzxid {
					t.Fatalf("it does not lag: %v", z)
				}
				short, cancel := context.WithTimeout(ctx, 4*tick)
				defer cancel()
				if c.Node(lag).Status().Role != ensemble.Stopped {
					if early, err := c.Node(lag).ResumeSession(short, s.ID(), s.Password()); err == nil {
						z, _ := early.Get(ctx, "/x")
						t.Fatalf("it is served by a member that shows %v, and has seen %v", z.Stat.Mzxid, seen.Mzxid)
					}
				}
				mend()
				next := must[*ensemble.Session](t)(c.Node(lag).ResumeSession(ctx, s.ID(), s.Password()))
				if z := must[ensemble.Znode](t)(next.Get(ctx, "/x")); z.Stat.Mzxid < seen.Mzxid || z.Zxid < seen.Mzxid {
					t.Errorf("it shows %v, and the session has seen %v", z.Stat.Mzxid, seen.Mzxid)
				}
			})
		})
	}
}

// R2: a member follows a leader that has been deposed and does not know it, in the smaller half. Its Sync confirms nothing; once it has succeeded, what it reads is fresh.
func TestR2SyncIsFresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := patient(t)
		c := ensembletest.New(t, 5, func(cfg *ensemble.Config) {
			if cfg.ID <= 2 {
				cfg.SyncLimit = 200 // these miss nobody for long
			}
		})
		for c.WaitLeader() > 2 {
			if err := c.Node(c.WaitLeader()).Transfer(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}
		old := c.WaitLeader()
		f := c.Node(3 - old)
		must[string](t)(f.Create(ctx, "/x", []byte("old"), 0))
		must[ensemble.Zxid](t)(f.Sync(ctx)) // so that there is a round which is over, and must not count for what is asked later
		c.Partition([]ensemble.ID{1, 2}, []ensemble.ID{3, 4, 5})
		var early error
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, early = f.Sync(ctx)
		}()
		for c.Leader() == old || c.Leader() == 0 {
			wait(t, tick)
		}
		stat := must[ensemble.Stat](t)(c.Node(c.Leader()).Set(ctx, "/x", []byte("new"), ensemble.AnyVersion))
		if at, by := f.Status(), c.Node(old).Status(); at.Leader != old || !at.Ready || by.Role != ensemble.Leading {
			t.Fatalf("the old leader has noticed: %+v, %+v", at, by)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if z, err := f.Sync(short); err == nil {
			t.Errorf("a leader that was deposed confirms %v", z)
		}
		if z := must[ensemble.Znode](t)(f.Get(ctx, "/x")); string(z.Data) != "old" {
			t.Errorf("it reads %q without anybody who could have told", z.Data)
		}
		select {
		case <-answered:
			t.Errorf("a leader that was cut off confirms: %v", early)
		default:
		}
		c.Heal()
		must[ensemble.Zxid](t)(f.Sync(ctx))
		if z := must[ensemble.Znode](t)(f.Get(ctx, "/x")); z.Stat.Mzxid != stat.Mzxid {
			t.Errorf("after a Sync it reads %q of %v, and not what was acknowledged as %v", z.Data, z.Stat.Mzxid, stat.Mzxid)
		}
		if <-answered; early != nil {
			t.Error(early)
		}
	})
}

// R3: a thousand writes of one goroutine on a session, refusals among them, are under way while leaders die or hand over. They take effect, and are answered, in the order in which they were submitted; a
// read sees the writes whose answers came before it; and nobody else starves.
func TestR3SubmitOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := patient(t)
		c := ensembletest.New(t, 3)
		c.WaitLeader()
		f := c.Node(c.Followers()[0])
		s := must[*ensemble.Session](t)(f.NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute}))
		must[string](t)(s.Create(ctx, "/seq", nil, 0))
		must[string](t)(s.Create(ctx, "/seq/kept", nil, 0))
		other := must[*ensemble.Session](t)(f.NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute})) // whose node is never crashed; leaders may go faster than any of them confirms a renewal
		must[string](t)(other.Create(ctx, "/other", nil, 0))
		across := 0
		for round := range 6 {
			c.Network().SetDelay(4*time.Millisecond, 4*time.Millisecond)
			leader, epoch := c.WaitLeader(), f.Status().Epoch
			var pending []*ensemble.Pending
			for i := range 1000 {
				op := ensemble.Op(ensemble.CreateOp{Path: "/seq/n-", Mode: ensemble.Sequential})
				if i%10 == 3 {
					op = ensemble.DeleteOp{Path: "/seq"} // not empty
				}
				pending = append(pending, s.Submit(op))
			}
			var group sync.WaitGroup
			group.Go(func() { // what another session asks for meanwhile has its turn
				must[ensemble.Stat](t)(other.Set(ctx, "/other", nil, ensemble.AnyVersion))
			})
			wait(t, time.Duration(round)*4*time.Millisecond) // nobody has it, the leader has it, or some of it is committed
			switch {
			case leader == f.Status().ID || round == 5:
				if err := c.Node(leader).Transfer(ctx, 0); err != nil {
					t.Fatal(err)
				}
			default:
				c.Crash(leader)
				c.Restart(leader)
			}
			group.Go(func() { inOrder(t, ctx, pending) })
			last, names := ensemble.Zxid(0), ""
			for i, p := range pending {
				r, err := p.Wait(ctx)
				switch {
				case i%10 == 3 && !errors.Is(err, ensemble.ErrNotEmpty), i%10 != 3 && err != nil:
					t.Fatalf("%d: %v", i, err)
				case err == nil && (r.Path <= names || r.Zxid <= last):
					t.Fatalf("%d: %s of %v after %s of %v", i, r.Path, r.Zxid, names, last)
				case err == nil:
					last, names = r.Zxid, r.Path
					if r.Zxid.Epoch() > epoch {
						across++
					}
					if z, err := s.Get(ctx, r.Path); err != nil || z.Zxid < r.Zxid {
						t.Fatalf("%d: a read after %v shows the tree of %v, %v", i, r.Zxid, z.Zxid, err)
					}
				}
			}
			answered := time.Now()
			group.Wait()
			if d := time.Since(answered); d > 10*tick {
				t.Errorf("another session's write, made at the same time, is answered %v after them", d)
			}
			c.Network().SetDelay(0, 0)
			if got := must[[]string](t)(s.Children(ctx, "/seq")); len(got) != 900*(round+1)+1 {
				t.Errorf("%d children", len(got))
			}
		}
		if across < 100 {
			t.Errorf("only %d writes outlived the leader that was there when they were submitted", across)
		}
	})
}

// inOrder watches that whenever one is answered all before it are, too.
func inOrder(t *testing.T, ctx context.Context, pending []*ensemble.Pending) {
	for answered := 0; answered < len(pending) && ctx.Err() == nil; wait(t, time.Millisecond) {
		for i := len(pending) - 1; i >= 0; i-- { // from the end: meanwhile there may be more
			switch {
			case done(pending[i]):
				answered = max(answered, i+1)
			case i < answered:
				t.Errorf("%d is answered before %d", answered-1, i)
				return
			}
		}
	}
}

func done(p *ensemble.Pending) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}
