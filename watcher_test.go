package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// The scenarios of watches: W1 to W8 of the catalogue in internal/sim, and more.
var watchScenarios = []struct {
	name string
	run  func(t *testing.T)
}{
	{"W1", eventBeforeData},
	{"W2", nothingMissedElsewhere},
	{"W4", noWatchIsLeft},
	{"W5", multiTellsOnce},
	{"W6", wholeTreeInOrder},
	{"W7", closeWhileItHappens},
	{"overflow", overflowEnds},
	{"snapshot", snapshotIsAGap},
	{"view", viewWhereItBegins},
	{"end", endOfTheNode},
	{"refusals", watchRefusals},
}

func TestWatchScenarios(t *testing.T) {
	for _, s := range watchScenarios {
		t.Run("scn/"+s.name, func(t *testing.T) { synctest.Test(t, s.run) })
	}
}

func mustWatch(t *testing.T, n ensemble.Client, path string, mode ensemble.WatchMode) *ensemble.Watcher {
	t.Helper()
	w, err := n.Watch(t.Context(), path, mode)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustDo(t *testing.T, n ensemble.Client, ops ...ensemble.Op) []ensemble.Result {
	t.Helper()
	r, err := n.Multi(context.Background(), ops...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told is what a watcher is told until there is nothing more.
func told(t *testing.T, w *ensemble.Watcher) (all []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // only what is there
		got, err := w.Batch(ctx)
		for _, e := range got {
			all = append(all, fmt.Sprintf("%v %s %q %q", e.Type, e.Path, e.Znode.Data, e.Prev.Data))
		}
		if errors.Is(err, context.Canceled) {
			return all
		}
		if err != nil {
			return append(all, err.Error())
		}
	}
}

func same(t *testing.T, have []string, want ...string) {
	t.Helper()
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("told  %q\nwant %q", have, want)
	}
}

// Whoever has read a change finds its event ready, on each member and while the leader changes.
func eventBeforeData(t *testing.T) {
	c := ensembletest.New(t, 3)
	ctx := t.Context()
	if _, err := c.Node(c.WaitLeader()).Create(ctx, "/a", nil, ensemble.Persistent); err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	for id := ensemble.ID(1); id <= 3; id++ {
		n := c.Node(id)
		if _, err := n.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		w := mustWatch(t, n, "/", ensemble.WatchTree)
		group.Go(func() {
			seen, events := int32(0), 0
			for stop.Err() == nil {
				z, err := n.Get(ctx, "/a")
				if err != nil {
					t.Error(err)
					return
				}
				if v := z.Stat.Version.Int(); v > seen {
					for seen < v {
						ended, cancel := context.WithCancel(ctx)
						cancel()
						e, err := w.Next(ended) // it does not wait
						if err != nil || e.Type != ensemble.Changed || e.Znode.Stat.Version.Int() != seen+1 || e.Prev.Stat.Version.Int() != seen {
							t.Errorf("member %d read version %d, and the event is %+v, %v", id, v, e, err)
							return
						}
						seen++
						events++
					}
				}
				<-time.After(time.Millisecond)
			}
			if events < 100 {
				t.Errorf("member %d: only %d events", id, events)
			}
		})
	}
	for i := range 120 {
		n := c.Node(ensemble.ID(i%3 + 1))
		if _, err := n.Set(ctx, "/a", []byte{byte(i)}, ensemble.AnyVersion); err != nil {
			t.Fatal(err)
		}
		if i%40 == 20 {
			if err := c.Node(c.WaitLeader()).Transfer(ctx, 0); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Millisecond)
	}
	<-time.After(time.Second)
	cancel()
	group.Wait()
}

// Who goes to another member, after a zxid, is told what happened meanwhile: each change once, with what was deleted and made anew.
func nothingMissedElsewhere(t *testing.T) {
	c := ensembletest.New(t, 3, func(c *ensemble.Config) { c.WatchHistory = 64 << 10 })
	one, two := c.Node(1), c.Node(2)
	mustDo(t, one, ensemble.CreateOp{Path: "/p"}, ensemble.CreateOp{Path: "/p/a", Data: []byte("1")}, ensemble.CreateOp{Path: "/p/b"})
	w := mustWatch(t, one, "/p", ensemble.WatchChildren)
	at := mustDo(t, one, ensemble.CreateOp{Path: "/p/c"})[0].Zxid
	if e, err := w.Next(t.Context()); err != nil || e.Zxid != at {
		t.Fatal(e, err)
	}
	w.Close()
	mustDo(t, one, ensemble.SetOp{Path: "/p/a", Data: []byte("2")})
	mustDo(t, one, ensemble.DeleteOp{Path: "/p/b"}, ensemble.CreateOp{Path: "/p/b", Data: []byte("new")})
	mustDo(t, one, ensemble.SetACLOp{Path: "/p/a", ACL: []ensemble.ACL{{Perm: ensemble.PermRead, Scheme: "world", ID: "anyone"}}})
	last := mustDo(t, one, ensemble.DeleteOp{Path: "/p/a"})[0].Zxid

	if err := two.Await(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	var watchers []*ensemble.Watcher
	want := [][]string{
		ensemble.WatchNode:     nil,
		ensemble.WatchChildren: {`Deleted /p/b "" ""`, `Created /p/b "new" ""`, `Deleted /p/a "" "2"`},
		ensemble.WatchTree:     {`Changed /p/a "2" "1"`, `Deleted /p/b "" ""`, `Created /p/b "new" ""`, `Deleted /p/a "" "2"`},
	}
	for mode := range want {
		w, err := two.WatchFrom(t.Context(), "/p", ensemble.WatchMode(mode), at)
		if err != nil {
			t.Fatal(err)
		}
		watchers = append(watchers, w)
	}
	mustDo(t, one, ensemble.CreateOp{Path: "/p/x"})
	last = mustDo(t, one, ensemble.DeleteOp{Path: "/p/x"})[0].Zxid
	if err := two.Await(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for mode, w := range watchers {
		if mode != int(ensemble.WatchNode) {
			want[mode] = append(want[mode], `Created /p/x "" ""`, `Deleted /p/x "" ""`)
		}
		same(t, told(t, w), want[mode]...)
		if w.View().Zxid() != at {
			t.Errorf("it begins at %v", w.View().Zxid())
		}
		w.Close()
	}
	// A zxid that is not there yet is waited for.
	three := c.Node(3)
	c.Isolate(3)
	future := mustDo(t, one, ensemble.SetOp{Path: "/p", Data: []byte("x")})[0].Zxid
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := three.WatchFrom(short, "/p", ensemble.WatchNode, future); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	c.Heal()
	if w, err := three.WatchFrom(t.Context(), "/p", ensemble.WatchNode, future); err != nil || len(told(t, w)) != 0 {
		t.Error(err)
	}
	// What is too long ago is a gap, never a part.
	for range 1000 {
		mustDo(t, one, ensemble.SetOp{Path: "/p", Data: make([]byte, 100)})
	}
	if _, err := one.WatchFrom(t.Context(), "/p", ensemble.WatchTree, last); !errors.Is(err, ensemble.ErrWatchGap) {
		t.Error(err)
	}
}

// A caller that goes while its watch is being registered leaves nothing; nor does one whose context ends, or that closes.
func noWatchIsLeft(t *testing.T) {
	c := ensembletest.New(t, 1)
	n := c.Node(1)
	var group sync.WaitGroup
	for i := range 300 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			group.Go(cancel)
			w, err := n.Watch(ctx, fmt.Sprint("/", i%7), ensemble.WatchMode(i%3))
			if err == nil && i%2 == 0 {
				group.Go(func() {
					if _, err := w.Next(t.Context()); !errors.Is(err, context.Canceled) && !errors.Is(err, ensemble.ErrClosed) {
						t.Error(err)
					}
				})
			}
			if err == nil && i%5 == 0 {
				w.Close()
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	synctest.Wait()
	if s := n.Status(); s.Watches != 0 {
		t.Errorf("%d watches are left", s.Watches)
	}
	w := mustWatch(t, n, "/a", ensemble.WatchNode)
	v := mustWatch(t, n, "/a", ensemble.WatchNode)
	if n.Status().Watches != 2 {
		t.Errorf("%d watches", n.Status().Watches)
	}
	w.Close()
	w.Close()
	if _, err := w.Next(t.Context()); !errors.Is(err, ensemble.ErrClosed) || err.Error() != "watcher is closed" {
		t.Error(err)
	}
	mustDo(t, n, ensemble.CreateOp{Path: "/a"})
	same(t, told(t, v), `Created /a "" ""`)
	if v.Close(); n.Status().Watches != 0 {
		t.Errorf("%d watches are left", n.Status().Watches)
	}
}

// A Multi that fails tells nothing; one that succeeds tells each change once, all at one zxid and together.
func multiTellsOnce(t *testing.T) {
	c := ensembletest.New(t, 3)
	n := c.Node(2)
	mustDo(t, n, ensemble.CreateOp{Path: "/a", Data: []byte("1")})
	w := mustWatch(t, n, "/", ensemble.WatchTree)
	one := mustWatch(t, n, "/a", ensemble.WatchNode)
	if _, err := n.Multi(t.Context(), ensemble.SetOp{Path: "/a"}, ensemble.CreateOp{Path: "/b"}, ensemble.DeleteOp{Path: "/c"}); !errors.Is(err, ensemble.ErrNoNode) {
		t.Fatal(err)
	}
	same(t, told(t, w))
	done := make(chan []ensemble.Event)
	go func() {
		all, err := w.Batch(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- all
	}()
	synctest.Wait()
	mustDo(t, n,
		ensemble.SetOp{Path: "/a", Data: []byte("2")},
		ensemble.CreateOp{Path: "/b"}, ensemble.CreateOp{Path: "/b/c"}, ensemble.DeleteOp{Path: "/b/c"},
		ensemble.CreateOp{Path: "/s-", Mode: ensemble.Sequential}, ensemble.CheckOp{Path: "/a"},
		ensemble.SetOp{Path: "/a", Data: []byte("3")}, ensemble.SetOp{Path: "/b", Data: []byte("b")})
	var have []string
	for _, e := range <-done {
		have = append(have, fmt.Sprintf("%v %s %q %q", e.Type, e.Path, e.Znode.Data, e.Prev.Data))
	}
	same(t, have, `Created /b "b" ""`, `Created /s-0000000002 "" ""`, `Changed /a "3" "1"`)
	same(t, told(t, one), `Changed /a "3" "1"`)
	same(t, told(t, w))
}

// A watch of the whole tree is told each change once and in order, through elections and the loss of members.
func wholeTreeInOrder(t *testing.T) {
	c := ensembletest.New(t, 3)
	n := c.Node(1)
	w := mustWatch(t, n, "/", ensemble.WatchTree)
	var last ensemble.Zxid
	for round := range 5 {
		var group sync.WaitGroup
		for k := range 4 {
			group.Go(func() {
				for i := range 10 {
					path := fmt.Sprintf("/%d-%d-%d", round, k, i)
					mustDo(t, n, ensemble.CreateOp{Path: path}, ensemble.CreateOp{Path: path + "/x"})
					mustDo(t, n, ensemble.SetOp{Path: path})
				}
			})
		}
		if round > 0 {
			if id := c.WaitLeader(); id != 1 {
				c.Crash(id)
				c.Restart(id)
			} else {
				c.Partition([]ensemble.ID{1}, []ensemble.ID{2, 3})
				<-time.After(5 * time.Second)
				c.Heal()
			}
		}
		group.Wait()
		seen := map[string]int{}
		for _, e := range batch(t, w) {
			if e.Zxid < last {
				t.Errorf("%v after %v", e.Zxid, last)
			}
			last = e.Zxid
			seen[fmt.Sprint(e.Type, e.Path)]++
		}
		for k := range 4 {
			for i := range 10 {
				path := fmt.Sprintf("/%d-%d-%d", round, k, i)
				for _, e := range []string{"Created" + path, "Created" + path + "/x", "Changed" + path} {
					if seen[e] != 1 {
						t.Errorf("%s: told %d times", e, seen[e])
					}
				}
			}
		}
		if len(seen) != 120 {
			t.Errorf("%d events", len(seen))
		}
	}
}

func batch(t *testing.T, w *ensemble.Watcher) []ensemble.Event {
	t.Helper()
	all, err := w.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A watch that is closed while its event comes gives either the event or the error.
func closeWhileItHappens(t *testing.T) {
	c := ensembletest.New(t, 1)
	n := c.Node(1)
	mustDo(t, n, ensemble.CreateOp{Path: "/a"})
	events := 0
	for range 200 {
		w := mustWatch(t, n, "/a", ensemble.WatchNode)
		var group sync.WaitGroup
		var err error
		var e ensemble.Event
		group.Go(func() { e, err = w.Next(t.Context()) })
		group.Go(w.Close)
		group.Go(func() { mustDo(t, n, ensemble.SetOp{Path: "/a"}) })
		group.Wait()
		switch {
		case err == nil && e.Type == ensemble.Changed:
			events++
		case !errors.Is(err, ensemble.ErrClosed):
			t.Fatal(e, err)
		}
		if _, err := w.Next(t.Context()); !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
	}
	if n.Status().Watches != 0 {
		t.Error("a watch is left")
	}
}

// The buffer is bounded, one by one, and the end is told once.
func overflowEnds(t *testing.T) {
	c := ensembletest.New(t, 1, func(c *ensemble.Config) { c.WatchBuffer = 3 })
	n := c.Node(1)
	mustDo(t, n, ensemble.CreateOp{Path: "/a"})
	slow, idle := mustWatch(t, n, "/a", ensemble.WatchNode), mustWatch(t, n, "/a", ensemble.WatchNode)
	for range 3 {
		mustDo(t, n, ensemble.SetOp{Path: "/a"})
	}
	if _, err := slow.Next(t.Context()); err != nil {
		t.Error(err)
	}
	mustDo(t, n, ensemble.SetOp{Path: "/a"})
	if got := batch(t, slow); len(got) != 3 {
		t.Errorf("%d events, want 3", len(got))
	}
	if n.Status().Watches != 2 {
		t.Error("who has overflowed is not told yet")
	}
	errs := 0
	soon, cancelSoon := context.WithTimeout(t.Context(), time.Minute)
	defer cancelSoon()
	for _, err := range idle.All(soon) {
		if errs++; !errors.Is(err, ensemble.ErrWatchOverflow) {
			t.Fatalf("an overflow is told as %v", err)
		}
	}
	idle.Close()
	if _, err := idle.Batch(t.Context()); errs != 1 || !errors.Is(err, ensemble.ErrWatchOverflow) {
		t.Error(errs, err)
	}
	if n.Status().Watches != 1 {
		t.Errorf("%d watches", n.Status().Watches)
	}
	// All leaves the watcher open.
	mustDo(t, n, ensemble.SetOp{Path: "/a"})
	for e, err := range slow.All(t.Context()) {
		if err != nil || e.Type != ensemble.Changed {
			t.Error(e, err)
		}
		break
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := slow.Next(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mustDo(t, n, ensemble.SetOp{Path: "/a"})
	if len(batch(t, slow)) != 1 {
		t.Error("the end of a Next has ended the watcher")
	}
}

// A member that is given the tree as a whole does not know what happened: its watchers are told so, and nothing else.
func snapshotIsAGap(t *testing.T) {
	c := ensembletest.New(t, 3, func(c *ensemble.Config) { c.SnapshotBytes, c.SnapshotsKept = 1<<20, 1 })
	leader := c.WaitLeader()
	n := c.Node(leader)
	mustDo(t, n, ensemble.CreateOp{Path: "/a"})
	id := leader%3 + 1
	far := c.Node(id)
	before, err := far.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := mustWatch(t, far, "/", ensemble.WatchTree)
	waits := make(chan error, 1)
	go func() {
		_, err := w.Next(t.Context())
		waits <- err
	}()
	quiet := mustWatch(t, far, "/q", ensemble.WatchNode)
	c.Isolate(id)
	for range 20 {
		mustDo(t, n, ensemble.SetOp{Path: "/a", Data: make([]byte, 1<<20)})
	}
	last := mustDo(t, n, ensemble.SetOp{Path: "/a", Data: []byte("x")})[0].Zxid
	c.Heal()
	if err := far.Await(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second)
	if s := n.Stats(); s.SyncedBySnapshot == 0 {
		t.Fatalf("there was no snapshot: %d by the log, %d by memory", s.SyncedByLog, s.SyncedByMemory)
	}
	select {
	case err := <-waits:
		if !errors.Is(err, ensemble.ErrWatchGap) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("who waits is not told")
	}
	same(t, told(t, quiet), ensemble.ErrWatchGap.Error())
	if far.Status().Watches != 0 {
		t.Errorf("%d watches", far.Status().Watches)
	}
	if _, err := far.WatchFrom(t.Context(), "/", ensemble.WatchTree, before); !errors.Is(err, ensemble.ErrWatchGap) {
		t.Error(err)
	}
	again := mustWatch(t, far, "/", ensemble.WatchTree)
	from, err := far.WatchFrom(t.Context(), "/", ensemble.WatchTree, last)
	if err != nil {
		t.Fatal(err)
	}
	mustDo(t, far, ensemble.DeleteOp{Path: "/a"})
	same(t, told(t, again), `Deleted /a "" "x"`)
	same(t, told(t, from), `Deleted /a "" "x"`)
}

// View and events together are the tree at each moment, and a View that nobody wanted is let go of.
func viewWhereItBegins(t *testing.T) {
	c := ensembletest.New(t, 1)
	n := c.Node(1)
	mustDo(t, n, ensemble.CreateOp{Path: "/a", Data: []byte("1")})
	w, other, blind := mustWatch(t, n, "/a", ensemble.WatchTree), mustWatch(t, n, "/a", ensemble.WatchTree), mustWatch(t, n, "/a", ensemble.WatchTree)
	at := n.Status().Applied
	mustDo(t, n, ensemble.SetOp{Path: "/a", Data: []byte("2")}, ensemble.CreateOp{Path: "/a/b"})
	v := other.View()
	if batch(t, blind); blind.View().Zxid() != at || blind.View().Len() == 0 {
		t.Error("it does not know where it began")
	}
	if _, ok := blind.View().Get("/a"); ok {
		t.Error("a View that was not asked for in time shows something")
	}
	v.Release()
	begin := w.View()
	z, ok := begin.Get("/a")
	if !ok || string(z.Data) != "1" || w.View() != begin || begin.Zxid() != at {
		t.Errorf("%q, %v", z.Data, ok)
	}
	if e := batch(t, w); len(e) != 2 || string(e[0].Prev.Data) != "1" || e[0].Prev.Stat != z.Stat {
		t.Errorf("%v", e)
	}
	if _, ok := w.View().Get("/a"); !ok {
		t.Error("a View that was asked for is let go of")
	}
}

// Close of the node ends every watcher, those that wait and those that will ask; what was ready is still given.
func endOfTheNode(t *testing.T) {
	c := ensembletest.New(t, 1)
	n := c.Node(1)
	ready, waits, unread := mustWatch(t, n, "/a", ensemble.WatchNode), mustWatch(t, n, "/b", ensemble.WatchNode), mustWatch(t, n, "/c", ensemble.WatchNode)
	mustDo(t, n, ensemble.CreateOp{Path: "/a"})
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := waits.Next(t.Context()); !errors.Is(err, ensemble.ErrClosed) {
			t.Error(err)
		}
	})
	for i := range 20 {
		group.Go(func() {
			if _, err := n.Watch(t.Context(), fmt.Sprint("/", i), ensemble.WatchNode); err != nil && !errors.Is(err, ensemble.ErrClosed) {
				t.Error(err)
			}
		})
	}
	c.Stop(1)
	group.Wait()
	same(t, told(t, ready), `Created /a "" ""`, ensemble.ErrClosed.Error())
	unread.Close()
	if _, err := n.Watch(t.Context(), "/a", ensemble.WatchNode); !errors.Is(err, ensemble.ErrClosed) {
		t.Error(err)
	}
}

func watchRefusals(t *testing.T) {
	c := ensembletest.New(t, 1)
	n := c.Node(1)
	for path, want := range map[string]error{"a": ensemble.ErrBadPath, "/a/": ensemble.ErrBadPath, "": ensemble.ErrBadPath} {
		if _, err := n.Watch(t.Context(), path, ensemble.WatchNode); !errors.Is(err, want) {
			t.Errorf("%q: %v", path, err)
		}
	}
	_, err := n.Watch(t.Context(), "/a", 3)
	if e := (*ensemble.OpError)(nil); !errors.Is(err, ensemble.ErrBadArguments) || !errors.As(err, &e) || e.Error() != `watch "/a": bad arguments` {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Watch(ended, "/a", ensemble.WatchNode); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n.Status().Watches != 0 {
		t.Error("a watch is left")
	}
}
