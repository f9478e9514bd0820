package ensemble_test

import (
	"errors"
	"slices"
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
