package ensemble_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// journal is what the loggers and hooks of a cluster wrote.
type journal struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(b)
}

func (j *journal) count(what string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.log.String(), what)
}

// Founding an ensemble is worth a warning, since a tree that existed before is not in it; joining one is not.
func TestFoundingIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var j journal
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&j, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		c.WaitLeader()
		if n := j.count("founded a new ensemble"); n != 3 {
			t.Fatalf("%d warnings of 3 founders:\n%s", n, j.log.String())
		}
		blank := c.Followers()[0]
		c.Stop(blank)
		if err := c.Restart(blank).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := j.count("founded a new ensemble"); n != 3 {
			t.Fatalf("a member that was readmitted founded nothing:\n%s", j.log.String())
		}
	})
}

// The hooks of one member tell one story, each position no earlier than what it rests on.
func TestTraceTellsTheWayOfAWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		type seen struct{ persisted, acked, committed, applied ensemble.Zxid }
		var mu sync.Mutex
		at := map[ensemble.ID]*seen{}
		ended := map[ensemble.ID][]ensemble.SessionID{}
		var wrong []string
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) {
			id, s := cfg.ID, new(seen)
			mu.Lock()
			at[id] = s
			mu.Unlock()
			locked := func(f func()) {
				mu.Lock()
				defer mu.Unlock()
				f()
			}
			check := func(ok bool, what string, z ensemble.Zxid) {
				if !ok {
					wrong = append(wrong, fmt.Sprintf("member %d %s %v: %+v", id, what, z, *s))
				}
			}
			cfg.Trace = &ensemble.Trace{
				Persisted: func(i ensemble.LogInfo) { locked(func() { s.persisted = i.Last }) },
				Acknowledged: func(i ensemble.AckInfo) {
					locked(func() { check(i.Zxid <= s.persisted && i.Leader != id, "acknowledges", i.Zxid); s.acked = i.Zxid })
				},
				Committed: func(i ensemble.CommitInfo) {
					locked(func() { check(i.Zxid > s.committed, "learns again of", i.Zxid); s.committed = i.Zxid })
				},
				Applied: func(i ensemble.AppliedInfo) {
					locked(func() { check(i.Zxid <= s.committed && i.Zxid >= s.applied, "applies", i.Zxid); s.applied = i.Zxid })
				},
				SessionEnded: func(i ensemble.SessionEndInfo) { locked(func() { ended[id] = append(ended[id], i.Session) }) },
			}
		})
		leader := c.WaitLeader()
		r := must[ensemble.Result](t)(c.Node(leader).Do(ctx, ensemble.CreateOp{Path: "/a"}))
		for _, id := range c.Followers() {
			if err := c.Node(id).Await(ctx, r.Zxid); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // Await may return while the hooks are still being called
		mu.Lock()
		for id, s := range at {
			if s.committed < r.Zxid || s.applied < r.Zxid || (id == leader) != (s.acked == 0) {
				t.Errorf("member %d of leader %d: %+v, want %v", id, leader, *s, r.Zxid)
			}
		}
		mu.Unlock()

		gone := c.Followers()[0]
		old := c.Node(gone).Session().ID()
		if n := c.Node(leader).Status().Sessions; n != 3 {
			t.Errorf("%d sessions of three nodes", n)
		}
		c.Wipe(gone)                                       // whatever it acknowledges from now on, it has persisted in this run
		if err := c.Restart(gone).Ready(ctx); err != nil { // its new session ends the old one
			t.Fatal(err)
		}
		must[ensemble.Result](t)(c.Node(gone).Do(ctx, ensemble.SetOp{Path: "/a"}))
		must[ensemble.Zxid](t)(c.Node(leader).Sync(ctx))
		mu.Lock()
		defer mu.Unlock()
		if e := ended[leader]; len(e) != 1 || e[0] != old {
			t.Errorf("sessions ended at the leader: %v, want %v", e, old)
		}
		for _, w := range wrong {
			t.Error(w)
		}
	})
}
