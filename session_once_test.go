package ensemble_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

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
