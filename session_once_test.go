package ensemble_test

import (
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

// lost is a write whose answer does not arrive: the leader and another member have decided it, and the member that serves the session cannot hear of that.
type lost struct {
	t                    *testing.T
	c                    *ensembletest.Cluster
	leader, other, serve ensemble.ID
	s                    *ensemble.Session
	pending              *ensemble.Pending
	zxid                 ensemble.Zxid // that it was decided by
}

// loseAnswer submits op on a session, with the answer lost on its way.
func loseAnswer(t *testing.T, op ensemble.Op) *lost {
	ctx := patient(t)
	c := ensembletest.New(t, 3)
	x := &lost{t: t, c: c, leader: c.WaitLeader(), serve: c.Followers()[0], other: c.Followers()[1]}
	x.s = must[*ensemble.Session](t)(c.Node(x.serve).NewSession(ctx, ensemble.SessionOptions{Timeout: 20 * time.Second}))
	must[string](t)(x.s.Create(ctx, "/q", nil, 0))
	must[string](t)(x.s.Create(ctx, "/n", []byte{1}, 0))
	must[string](t)(x.s.Create(ctx, "/d", nil, 0))
	before := must[ensemble.Zxid](t)(c.Node(x.other).Sync(ctx))
	must[ensemble.Zxid](t)(c.Node(x.serve).Sync(ctx))
	c.Network().CutOneWay(x.leader, x.serve)
	x.pending = x.s.Submit(op)
	if err := c.Node(x.other).Await(ctx, before+1); err != nil {
		t.Fatal(err)
	}
	x.zxid = before + 1
	if z := c.Node(x.serve).Status().Applied; done(x.pending) || z != before {
		t.Fatalf("the answer was not lost: %v is applied there", z)
	}
	return x
}

// The ways in which an answer is lost for longer than a moment. Each returns a session on which to look what has become of it, and whether its caller is told.
var losses = map[string]func(x *lost) (look *ensemble.Session, told bool){
	"the leader changes": func(x *lost) (*ensemble.Session, bool) {
		x.c.Crash(x.leader)
		x.c.Heal()
		return x.s, true
	},
	"the member restarts": func(x *lost) (*ensemble.Session, bool) {
		x.c.Crash(x.serve)
		x.c.Heal()
		return must[*ensemble.Session](x.t)(x.c.Restart(x.serve).ResumeSession(x.t.Context(), x.s.ID(), x.s.Password())), false
	},
	"the session moves": func(x *lost) (*ensemble.Session, bool) {
		next := must[*ensemble.Session](x.t)(x.c.Node(x.other).ResumeSession(x.t.Context(), x.s.ID(), x.s.Password()))
		x.c.Heal()
		return next, true
	},
}

// forLosses loses the answer to an op in each way. Its caller is told what was decided, or, when its member has gone, that nothing is known.
func forLosses(t *testing.T, op ensemble.Op, then func(t *testing.T, x *lost, look *ensemble.Session, r ensemble.Result)) {
	for name, loss := range losses { // any order: each by itself
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				x := loseAnswer(t, op)
				look, told := loss(x)
				r, err := x.pending.Wait(patient(t))
				switch {
				case told && (err != nil || r.Zxid != x.zxid):
					t.Errorf("what was decided as %v is told as %v, %v", x.zxid, r.Zxid, err)
				case !told && (!errors.Is(err, ensemble.ErrUncertain) || !errors.Is(err, ensemble.ErrClosed)):
					t.Errorf("what nobody here can know is told as %v", err)
				}
				must[ensemble.Zxid](t)(look.Sync(t.Context()))
				then(t, x, look, r)
			})
		})
	}
}

// R6: the answer to a sequential create is lost. There is exactly one znode; its caller has its name, or finds it by its session.
func TestR6UnknownOutcomeResolves(t *testing.T) {
	forLosses(t, ensemble.CreateOp{Path: "/q/i-", Mode: ensemble.Ephemeral | ensemble.Sequential}, func(t *testing.T, x *lost, look *ensemble.Session, r ensemble.Result) {
		ctx := patient(t)
		names := must[[]string](t)(look.Children(ctx, "/q"))
		if len(names) != 1 || r.Path != "" && r.Path != "/q/"+names[0] {
			t.Fatalf("%q was made, and %q told", names, r.Path)
		}
		z := must[ensemble.Znode](t)(look.Get(ctx, "/q/"+names[0]))
		if z.Stat.EphemeralOwner != uint64(x.s.ID()) || z.Stat.Czxid != x.zxid {
			t.Errorf("it is of session %x and of %v", z.Stat.EphemeralOwner, z.Stat.Czxid)
		}
		if path := must[string](t)(look.Create(ctx, "/q/i-", nil, ensemble.Ephemeral|ensemble.Sequential)); path != "/q/i-0000000001" {
			t.Errorf("the next is %s", path)
		}
		if err := look.Close(ctx); err != nil {
			t.Fatal(err)
		}
		n := x.c.Node(x.other)
		must[ensemble.Zxid](t)(n.Sync(ctx))
		if left := must[[]string](t)(n.Children(ctx, "/q")); len(left) != 0 {
			t.Errorf("orphans: %v", left)
		}
	})
}

// The answer to an increment is lost: it is made once, and not refused because it has been made.
func TestIncrementIsNotAppliedTwice(t *testing.T) {
	forLosses(t, ensemble.SetOp{Path: "/n", Data: []byte{2}, Version: ensemble.VersionOf(0)}, func(t *testing.T, x *lost, look *ensemble.Session, _ ensemble.Result) {
		if z := must[ensemble.Znode](t)(look.Get(t.Context(), "/n")); z.Stat.Version.Int() != 1 || z.Data[0] != 2 || z.Stat.Mzxid != x.zxid {
			t.Errorf("%+v", z)
		}
	})
	forLosses(t, ensemble.SetOp{Path: "/n", Data: []byte{2}}, func(t *testing.T, x *lost, look *ensemble.Session, _ ensemble.Result) { // which nothing but its number tells from another
		if z := must[ensemble.Znode](t)(look.Get(t.Context(), "/n")); z.Stat.Version.Int() != 1 || z.Stat.Mzxid != x.zxid {
			t.Errorf("%+v", z)
		}
	})
}

// The answer to a delete is lost: whoever asked is not told that the znode is not there, and one that is made under the name afterwards stays.
func TestDeleteIsNotReportedAsNoNode(t *testing.T) {
	forLosses(t, ensemble.DeleteOp{Path: "/d"}, func(t *testing.T, x *lost, look *ensemble.Session, _ ensemble.Result) {
		must[string](t)(look.Create(t.Context(), "/d", nil, 0))
		wait(t, time.Second)
		if !exists(t, x.c.Node(x.other), "/d") {
			t.Error("it was deleted again")
		}
	})
}

// H10: an ephemeral inside a multi whose answer is lost is there once, with all of the multi, and goes with its session. There are no local sessions that would have to be upgraded for it: every session is known to all
// from its first transaction on.
func TestH10EphemeralInMulti(t *testing.T) {
	for name, loss := range losses { // any order: each by itself
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx := patient(t)
				x := loseAnswer(t, ensemble.CreateOp{Path: "/q/first"})
				answer := make(chan error, 1)
				go func() {
					_, err := x.s.Multi(ctx, ensemble.CheckOp{Path: "/n"}, ensemble.CreateOp{Path: "/q/e", Mode: ensemble.Ephemeral},
						ensemble.CreateOp{Path: "/q/twin-", Mode: ensemble.Ephemeral | ensemble.Sequential}, ensemble.SetOp{Path: "/n"})
					answer <- err
				}()
				if err := x.c.Node(x.other).Await(ctx, x.zxid+1); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-answer:
					t.Fatalf("the answer was not lost: %v", err)
				default:
				}
				look, told := loss(x)
				if err := <-answer; told && err != nil || !told && !errors.Is(err, ensemble.ErrUncertain) {
					t.Errorf("told %v: %v", told, err)
				}
				must[ensemble.Zxid](t)(look.Sync(ctx))
				if names := must[[]string](t)(look.Children(ctx, "/q")); !slices.Equal(names, []string{"e", "first", "twin-0000000002"}) {
					t.Errorf("%v are there", names)
				}
				if z := must[ensemble.Znode](t)(look.Get(ctx, "/n")); z.Stat.Version.Int() != 1 {
					t.Errorf("the rest of it was done %d times", z.Stat.Version.Int())
				}
				if z := must[ensemble.Znode](t)(look.Get(ctx, "/q/e")); z.Stat.EphemeralOwner != uint64(x.s.ID()) {
					t.Errorf("it is of %x", z.Stat.EphemeralOwner)
				}
				if err := look.Close(ctx); err != nil {
					t.Fatal(err)
				}
				if n := x.c.Node(x.other); exists(t, n, "/q/e") || exists(t, n, "/q/twin-0000000002") || !exists(t, n, "/q/first") {
					t.Error("not exactly the ephemerals have gone")
				}
			})
		})
	}
}

// What a lost answer has ever done, over and over: the leader dies with creates, increments and deletes under way, again and again. Each takes effect once: no
// number is skipped by an orphan, the counter is exact, no delete of what is there is told that it is not.
func TestLostAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := patient(t)
		c := ensembletest.New(t, 3)
		must[string](t)(c.Node(1).Create(ctx, "/n", []byte{0}, 0))
		must[string](t)(c.Node(1).Create(ctx, "/q", nil, 0))
		c.WaitLeader()
		f := c.Node(c.Followers()[0])
		s := must[*ensemble.Session](t)(f.NewSession(ctx, ensemble.SessionOptions{Timeout: time.Minute}))
		var group sync.WaitGroup
		made := map[string]bool{}
		sum, across := 0, 0
		c.Network().SetDelay(3*time.Millisecond, 3*time.Millisecond) // there is always one under way
		var over atomic.Bool
		group.Go(func() {
			for !over.Load() {
				epoch := f.Status().Epoch
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
				if f.Status().Epoch != epoch {
					across++
				}
			}
		})
		for range 10 {
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
		over.Store(true)
		group.Wait()
		c.Network().SetDelay(0, 0)
		if across < 4 {
			t.Errorf("only %d of the rounds saw their leader go", across)
		}
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
