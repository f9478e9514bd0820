package datatree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// naiveEvents is what happened between two states, in the order of the paths, by looking at every znode of both.
func naiveEvents(before, after *View) (all []Event) {
	old, now := map[string]Znode{}, map[string]Znode{}
	var paths []string
	for z := range before.Walk("/") {
		old[z.Path] = z
		paths = append(paths, z.Path)
	}
	for z := range after.Walk("/") {
		now[z.Path] = z
		paths = append(paths, z.Path)
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		was, existed := old[path]
		is, exists := now[path]
		was.Zxid = 0 // not compared
		e := Event{Path: path, Zxid: after.Zxid(), Znode: is, Prev: was}
		switch {
		case existed && exists && was.Stat.Czxid != is.Stat.Czxid:
			all = append(all, Event{Deleted, path, e.Zxid, Znode{}, was}, Event{Created, path, e.Zxid, is, Znode{}})
		case existed && exists && was.Stat.Mzxid != is.Stat.Mzxid:
			e.Type = Changed
			all = append(all, e)
		case existed && !exists:
			e.Type = Deleted
			all = append(all, e)
		case !existed && exists:
			e.Type = Created
			all = append(all, e)
		}
	}
	return all
}

func naiveWants(path string, mode WatchMode, e *Event) bool {
	switch mode {
	case WatchNode:
		return e.Path == path
	case WatchChildren:
		return e.Type != Changed && e.Path != "/" && e.Path[:max(1, strings.LastIndexByte(e.Path, '/'))] == path
	}
	return path == "/" || e.Path == path || strings.HasPrefix(e.Path, path+"/")
}

// subscriber is a subscription and what it should be told.
type subscriber struct {
	Subscription
	path string
	mode WatchMode
	want []Event // not taken yet
	left int     // of want, that are past
}

// take reads some and compares.
func (s *subscriber) take(t *testing.T, r *rand.Rand, lag int) (alive bool) {
	t.Helper()
	var have []Event
	var err error
	if r.IntN(2) == 0 {
		have, err = s.Batch()
		if cut := len(s.want)-s.left > lag && len(have) == s.left; err == nil && len(have) < len(s.want) && !cut {
			t.Fatalf("a batch of %d of %d", len(have), len(s.want))
		}
	} else {
		for range 1 + r.IntN(4) {
			e, ok, why := nextOf(&s.Subscription)
			if err = why; !ok {
				break
			}
			have = append(have, e)
		}
		if err == nil && len(have) == 0 && len(s.want) > 0 {
			t.Fatal("nothing, where there is something")
		}
	}
	if late := len(s.want) - s.left; (late > lag) && !errors.Is(err, ErrWatchOverflow) && s.left == 0 || late <= lag && err != nil {
		t.Fatalf("%d behind, %d of them past, at most %d: %v", len(s.want), s.left, lag, err)
	}
	for i := range have {
		if have[i].Prev.Path != "" && have[i].Prev.Zxid >= have[i].Zxid {
			t.Fatalf("%v before %v", have[i].Prev.Zxid, have[i].Zxid)
		}
		have[i].Prev.Zxid = 0
		at := slices.IndexFunc(s.want, func(e Event) bool { return e.Zxid == have[i].Zxid && reflect.DeepEqual(e, have[i]) })
		if at < 0 || s.want[at].Zxid != s.want[0].Zxid {
			t.Fatalf("%s %d has %v, wants %v", s.path, s.mode, have[i], s.want)
		}
		s.want = slices.Delete(s.want, at, at+1)
		s.left = max(0, s.left-1)
	}
	return err == nil
}

// Subscriptions of every mode, read at random, while random requests of every kind come: each is told exactly what looking at both states tells, all of a transaction
// at once, in an order in which a tree can follow, or that it was too slow. SubscribeAfter tells it again, as far back as the history reaches.
func TestFeed(t *testing.T) {
	const lag = 30
	r := rand.New(rand.NewPCG(1, 2))
	tree := New(testMax)
	feed := tree.Feed(lag, 25_000)
	mirror := map[string]bool{}
	for z := range tree.View().Walk("/") {
		mirror[z.Path] = true
	}
	var all Subscription
	feed.Subscribe(&all, nil, "/", WatchTree)
	var log []Event
	var subs []*subscriber
	paths := []string{"/", "/a", "/a/b", "/b", "/a/b/c", "/zookeeper", "/a-", "/c"}
	counts := map[string]int{}
	for range 12_000 {
		switch k := r.IntN(12); {
		case k == 0 && len(subs) < 12:
			s := &subscriber{path: paths[r.IntN(len(paths))], mode: WatchMode(r.IntN(3))}
			if r.IntN(2) == 0 {
				feed.Subscribe(&s.Subscription, nil, s.path, s.mode)
			} else {
				back := zab.Zxid(r.IntN(600))
				z := max(tree.Zxid(), back) - back
				if err := feed.SubscribeAfter(&s.Subscription, nil, s.path, s.mode, z); err != nil {
					if err != ErrWatchGap || z >= feed.since() {
						t.Fatal(err)
					}
					counts["gap"]++
					continue
				}
				counts["after"]++
				for _, e := range log {
					if e.Zxid > z && naiveWants(s.path, s.mode, &e) {
						s.want = append(s.want, e)
					}
				}
				s.left = len(s.want)
			}
			subs = append(subs, s)
		case k == 1 && len(subs) > 0 && r.IntN(20) == 0:
			i := r.IntN(len(subs))
			feed.Unsubscribe(&subs[i].Subscription)
			if _, _, err := nextOf(&subs[i].Subscription); err != ErrFeedClosed {
				t.Fatal(err)
			}
			subs = slices.Delete(subs, i, i+1)
		case k == 2 && len(subs) > 0 && r.IntN(3) == 0:
			i := r.IntN(len(subs))
			if s := subs[i]; !s.take(t, r, lag) {
				counts["overflow"]++
				if _, _, err := nextOf(&s.Subscription); err != ErrWatchOverflow {
					t.Fatal(err)
				}
				feed.Unsubscribe(&s.Subscription)
				subs = slices.Delete(subs, i, i+1)
			}
		case k == 3:
			feed.Tidy()
		default:
			ops := []Op{randomOp(r)}
			for r.IntN(2) == 0 {
				ops = append(ops, randomOp(r))
			}
			who := &Caller{Session: 1 + uint64(r.IntN(3)), Identities: []Identity{{Super, ""}}}
			if r.IntN(3) == 0 {
				who = nil
			}
			z, at := tree.Zxid()+1, int64(tree.Zxid())*7
			before := tree.View()
			txn, err := tree.PrepareFor(who, z, at, ops, true, nil)
			if err != nil {
				counts["refused"]++
				if tree.Advance(z) != nil {
					t.Fatal("Advance")
				}
				before.Release()
				continue
			}
			if len(txn) > 1 {
				if _, err := tree.Apply(z, at, txn[:len(txn)-1]); err == nil {
					t.Fatal("a torn transaction is applied")
				}
			}
			if _, err := tree.Apply(z, at, txn); err != nil {
				t.Fatal(err)
			}
			after := tree.View()
			news := naiveEvents(before, after)
			before.Release()
			after.Release()
			log = append(log, news...)
			for _, s := range subs {
				for _, e := range news {
					if naiveWants(s.path, s.mode, &e) {
						s.want = append(s.want, e)
					}
				}
			}
			if len(news) > 1 {
				counts["several"]++
			}
			have, err := all.Batch()
			if len(news) > lag && err == ErrWatchOverflow {
				feed.Unsubscribe(&all)
				feed.Subscribe(&all, nil, "/", WatchTree)
				clear(mirror)
				now := tree.View()
				for z := range now.Walk("/") {
					mirror[z.Path] = true
				}
				now.Release()
				continue
			}
			if len(have) != len(news) || err != nil {
				t.Fatalf("%v\nhave %v, %v\nwant %v", ops, have, err, news)
			}
			for _, e := range have {
				up := e.Path[:parentLen(e.Path)]
				switch e.Type {
				case Created:
					if mirror[e.Path] || !mirror[up] {
						t.Fatalf("%v: no place for %s", ops, e.Path)
					}
					mirror[e.Path] = true
					if e.Prev.Path == "" && e.Znode.Stat.Czxid != z {
						t.Fatal(e)
					}
				case Deleted:
					for p := range mirror {
						if strings.HasPrefix(p, e.Path+"/") {
							t.Fatalf("%v: %s goes before %s", ops, e.Path, p)
						}
					}
					delete(mirror, e.Path)
				}
			}
			for len(log) > 0 && log[0].Zxid+700 < z {
				log = log[1:]
			}
		}
	}
	for _, name := range []string{"gap", "after", "overflow", "refused", "several"} {
		if counts[name] < 5 {
			t.Errorf("%s: only %d", name, counts[name])
		}
	}
	for _, s := range subs {
		feed.Unsubscribe(&s.Subscription)
	}
	feed.Unsubscribe(&all)
	for range 10 {
		feed.Tidy()
	}
	if n := len(feed.topics[0]) + len(feed.topics[1]) + len(feed.topics[2]) + len(feed.behind); n != 0 {
		t.Errorf("%d topics are left", n)
	}
	if feed.bytes > 40_000 {
		t.Errorf("%d bytes of history", feed.bytes)
	}
}

// One who never reads does not keep what others have read, nor more than his buffer.
func TestFeedMemory(t *testing.T) {
	tree := New(testMax)
	feed := tree.Feed(10, 1)
	var idle, busy Subscription
	must(t, tree, CreateOp{Path: "/a"})
	feed.Subscribe(&idle, nil, "/a", WatchNode)
	feed.Subscribe(&busy, nil, "/a", WatchNode)
	p := idle.topic
	length := func() (n int) {
		for x := p.head; x != p.tail; x = x.next.Load() {
			n++
		}
		return n
	}
	for i := range 50 {
		must(t, tree, SetOp{Path: "/a"})
		if e, ok, err := nextOf(&busy); !ok || err != nil || e.Znode.Stat.Version.Int() != int32(i+1) {
			t.Fatal(e, ok, err)
		}
		if n := length(); n > 10 {
			t.Fatalf("%d notices", n)
		}
	}
	if _, _, err := nextOf(&idle); err != ErrWatchOverflow {
		t.Error(err)
	}
	feed.Unsubscribe(&idle)
	for range 5 {
		must(t, tree, SetOp{Path: "/a"})
	}
	if n := length(); n != 5 {
		t.Errorf("%d notices, want 5", n)
	}
	if all, err := busy.Batch(); len(all) != 5 || err != nil {
		t.Errorf("%d, %v", len(all), err)
	}
	if feed.Tidy(); length() != 0 || len(feed.behind) != 0 {
		t.Error("what was read is kept")
	}
	if feed.n != 0 || feed.since() != tree.Zxid() {
		t.Error("a history of one byte")
	}
}

// Readers on several goroutines, some of one subscription, beside the writer: each sees every event once and in order, or an overflow.
func TestFeedReaders(t *testing.T) {
	const sets = 2_000
	tree := New(testMax)
	feed := tree.Feed(sets, 1)
	must(t, tree, CreateOp{Path: "/a"})
	var group sync.WaitGroup
	subs := make([]Subscription, 4)
	for i := range subs {
		feed.Subscribe(&subs[i], nil, "/", WatchTree)
		var mu sync.Mutex
		seen := make([]bool, sets+1)
		done := make(chan struct{})
		for range 1 + i%2 {
			group.Go(func() {
				last := int32(0)
				for last < sets {
					var got []Event
					var err error
					if i < 2 {
						got, err = subs[i].Batch()
					} else if e, ok, why := nextOf(&subs[i]); ok {
						got = append(got, e)
					} else {
						err = why
					}
					if err != nil {
						t.Error(err)
						return
					}
					if len(got) == 0 {
						w := subs[i].Wait()
						sleep := !subs[i].Ready()
						if sleep {
							select {
							case <-w.C():
							case <-done: // the other one has the last
								return
							}
						}
						w.Done(sleep)
					}
					mu.Lock()
					for _, e := range got {
						v := e.Znode.Stat.Version.Int()
						if v <= last || seen[v] {
							t.Errorf("%d after %d", v, last)
						}
						last, seen[v] = v, true
					}
					if seen[sets] && last == sets {
						close(done)
					}
					mu.Unlock()
				}
			})
		}
	}
	for range sets {
		must(t, tree, SetOp{Path: "/a"})
		for _, b := range feed.Rung() {
			b.Ring()
		}
	}
	group.Wait()
}

// nextOf takes the next event.
func nextOf(s *Subscription) (e Event, ok bool, err error) {
	ok, err = s.Next(&e)
	return e, ok, err
}

// A tree from a snapshot takes the place of another: it keeps the schemes, and whoever watches is told that there is a gap.
func TestSucceed(t *testing.T) {
	tree := New(testMax)
	tree.AddScheme("all", anybody{})
	feed := tree.Feed(10, 1000)
	var told []WatchEvent
	w := tree.Watch().New(nil, func(e WatchEvent) { told = append(told, e) })
	w.Add("/a", WatchData|WatchRecursive)
	w.Add("/b", WatchChild)
	var s Subscription
	feed.Subscribe(&s, nil, "/", WatchTree)
	must(t, tree, CreateOp{Path: "/a", ACL: []ACL{{PermAll, "all", "x"}}})
	told = nil

	next := transfer(t, rand.New(rand.NewPCG(1, 1)), tree.View())
	must(t, tree, SetOp{Path: "/a"})
	told = nil
	z := tree.Zxid() + 10
	if err := next.Advance(z); err != nil {
		t.Fatal(err)
	}
	next.Succeed(tree)
	if fmt.Sprint(told) != fmt.Sprint([]WatchEvent{{WatchesLost, "", z}}) || w.Has("/b") != 0 || w.Has("/a") != 0 {
		t.Errorf("told %v", told)
	}
	if got, err := s.Batch(); len(got) != 2 || err != nil {
		t.Error(got, err)
	}
	if _, err := s.Batch(); err != ErrWatchGap {
		t.Error(err)
	}
	feed.Unsubscribe(&s)
	if next.Feed(1, 1) != feed || feed.SubscribeAfter(&s, nil, "/", WatchTree, z-1) != ErrWatchGap {
		t.Error("the history does not begin anew")
	}
	if err := feed.SubscribeAfter(&s, nil, "/a", WatchNode, z); err != nil {
		t.Error(err)
	}
	if z, err := w.Get("/a"); err != nil || z.Stat.Version.Int() != 0 { // of the new tree, and leaves a watch there
		t.Error(z, err)
	}
	if _, err := as(t, next, &Caller{Identities: []Identity{{"all", "y"}}}, 1, SetOp{Path: "/a"}); err != nil {
		t.Error(err)
	}
	if len(told) != 2 || told[1].Type != NodeDataChanged {
		t.Errorf("told %v", told)
	}
	if e, ok, err := nextOf(&s); !ok || err != nil || e.Type != Changed {
		t.Error(e, ok, err)
	}
}

type anybody struct{ IP }

func (anybody) Valid(string) bool           { return true }
func (anybody) Matches(string, string) bool { return true }
