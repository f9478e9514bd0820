package datatree

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

// The scenarios of the tree and of watches that need nothing but the tree, by the names of the catalogue in internal/sim.
var scenarios = []struct {
	name string
	run  func(t *testing.T)
}{
	{"T2", versionsWrap},
	{"T3", whatCannotBe},
	{"T4", dependentProposals},
	{"T6", reapedOrNot},
	{"W5", failedMultiTellsNothing},
	{"W7", removedOrTold},
	{"W8", noEventWithoutPermission},
}

func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run("scn/"+s.name, s.run)
	}
}

// A version goes on after 2^31-1 with the least number, and on the way up again it leaves out -1, which would match everything.
func versionsWrap(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a"})
	next := func(v int32, expect Version) (Version, error) {
		old, slot := tree.index.locate("/a", hashPath("/a"))
		tree.now.zxid++
		n := tree.change(old, slot)
		n.version, n.aversion = v, v
		tree.finish()
		r, err := do(t, tree, SetOp{Path: "/a", Version: expect}, SetACLOp{Path: "/a", ACL: OpenACL, Version: expect}, CheckOp{Path: "/a"})
		if err != nil {
			return Version{}, err
		}
		if r[1].Stat.Version != r[1].Stat.Aversion {
			t.Errorf("%v and %v", r[1].Stat.Version, r[1].Stat.Aversion)
		}
		return r[0].Stat.Version, nil
	}
	for from, to := range map[int32]int32{math.MaxInt32: math.MinInt32, math.MaxInt32 - 1: math.MaxInt32, math.MinInt32: math.MinInt32 + 1, -4: -3, -3: 0, 0: 1} {
		for _, expect := range []Version{AnyVersion, VersionOf(from)} {
			if v, err := next(from, expect); err != nil || v.Int() != to {
				t.Errorf("after %d: %v, %v", from, v, err)
			}
		}
		if _, err := next(from, VersionOf(to)); !errors.Is(err, ErrBadVersion) {
			t.Errorf("at %d: %v", from, err)
		}
	}
}

// What has children stays, an ephemeral has none, and what is there from the beginning is not deleted.
func whatCannotBe(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a"}, CreateOp{Path: "/a/b"})
	who := &Caller{Session: 7}
	if _, err := as(t, tree, who, 1, CreateOp{Path: "/e", Mode: Ephemeral}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		op   Op
		want error
	}{
		{DeleteOp{Path: "/a"}, ErrNotEmpty},
		{CreateOp{Path: "/e/x"}, ErrNoChildrenForEphemerals},
		{CreateOp{Path: "/e/x/y", Parents: true}, ErrNoChildrenForEphemerals},
		{CreateOp{Path: "/"}, ErrNodeExists},
		{DeleteOp{Path: "/"}, ErrBadArguments},
		{DeleteOp{Path: "/", Recursive: true}, ErrBadArguments},
		{DeleteOp{Path: "/zookeeper"}, ErrBadArguments},
		{DeleteOp{Path: "/zookeeper/quota", Recursive: true}, ErrBadArguments},
		{DeleteOp{Path: "/zookeeper/config"}, ErrBadArguments},
		{SetOp{Path: "/zookeeper/config"}, ErrNoAuth},
		{CreateOp{Path: "/a/../b"}, ErrNoNode}, // whose parent is looked up first
		{CreateOp{Path: "/a/.."}, ErrBadArguments},
		{CreateOp{Path: "/a/./b"}, ErrNoNode},
		{SetOp{Path: "/a/.."}, ErrBadArguments},
		{DeleteOp{Path: "/a/../a/b"}, ErrNoNode},
		{CreateOp{Path: "a"}, ErrBadArguments},
	} {
		if _, err := do(t, tree, x.op); !errors.Is(err, x.want) {
			t.Errorf("%+v: %v, want %v", x.op, err, x.want)
		}
	}
	must(t, tree, SetOp{Path: "/", Data: []byte("x")})
	must(t, tree, CreateOp{Path: "/zookeeper/quota/a"}, DeleteOp{Path: "/zookeeper/quota/a"})
}

// Three proposals are under way, each of which needs the one before; the second is refused, and the third is judged as if it had never been.
func dependentProposals(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a"})
	z := tree.Zxid()
	var txns [][]byte
	ask := func(want error, ops ...Op) {
		t.Helper()
		txn, err := tree.Prepare(z+1, 1, ops, true, nil)
		if !errors.Is(err, want) {
			t.Fatalf("%v: %v, want %v", ops, err, want)
		}
		if z++; err == nil {
			txns = append(txns, txn)
		} else {
			txns = append(txns, nil)
		}
	}
	ask(nil, CreateOp{Path: "/a/b"}, SetOp{Path: "/a", Version: VersionOf(0)}, CreateOp{Path: "/a/s-", Mode: Sequential})
	ask(ErrNoNode, DeleteOp{Path: "/a/b"}, CreateOp{Path: "/a/b/c"}, CreateOp{Path: "/x"})
	ask(ErrBadVersion, CreateOp{Path: "/a/s-", Mode: Sequential}, SetOp{Path: "/a", Version: VersionOf(0)})
	ask(nil, CheckOp{Path: "/a", Version: VersionOf(1)}, DeleteOp{Path: "/a/b"}, CreateOp{Path: "/a/s-", Mode: Sequential}, SetOp{Path: "/a", Version: VersionOf(1)})
	ask(ErrNotEmpty, DeleteOp{Path: "/a"})
	z = tree.Zxid()
	for _, txn := range txns {
		var err error
		if z++; txn == nil {
			err = tree.Advance(z)
		} else {
			_, err = tree.Apply(z, 1, txn)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := tree.View().ChildNames("/a"); fmt.Sprint(names) != "[s-0000000001 s-0000000002]" {
		t.Errorf("children %v", names)
	}
	if z, _ := tree.Get("/a"); z.Stat.Version.Int() != 2 || z.Stat.Cversion != 4 {
		t.Errorf("%+v", z.Stat)
	}
}

// What is chosen by a clock of its own goes only if it is still what was chosen: not set, without children. The time of day counts for nothing.
func reapedOrNot(t *testing.T) {
	tree := New(64)
	const ttl = 10 * time.Millisecond
	must(t, tree, CreateOp{Path: "/ttl", TTL: ttl}, CreateOp{Path: "/c", Mode: Container}, CreateOp{Path: "/new", Mode: Container}, CreateOp{Path: "/p"})
	at := func(now time.Duration) []ReapOp { return tree.Reapable(now, 100) }
	want := func(ops []ReapOp, what string) {
		t.Helper()
		if fmt.Sprint(ops) != what {
			t.Fatalf("reapable: %v, want %s", ops, what)
		}
	}
	want(at(time.Hour), "[]") // it is seen for the first time
	want(at(time.Hour+ttl-1), "[]")
	chosen := at(time.Hour + ttl)
	want(chosen, "[{/ttl 0.1 0}]")

	// A child comes before the request is judged, or is only outstanding.
	must(t, tree, CreateOp{Path: "/ttl/x"})
	if _, err := do(t, tree, chosen[0]); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
	want(at(time.Hour+2*ttl), "[]")
	must(t, tree, DeleteOp{Path: "/ttl/x"})
	z := tree.Zxid() + 1
	if _, err := tree.Prepare(z, 1, []Op{CreateOp{Path: "/ttl/y"}}, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Prepare(z+1, 1, []Op{chosen[0]}, false, nil); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
	want(at(time.Hour+2*ttl), "[]")
	tree.Abandon()

	// It is set, and has its TTL before it again.
	must(t, tree, SetOp{Path: "/ttl"})
	if _, err := do(t, tree, chosen[0]); !errors.Is(err, ErrBadVersion) {
		t.Error(err)
	}
	want(at(2*time.Hour), "[]")
	want(at(2*time.Hour+ttl), "[{/ttl 0.1 1}]")
	tree.Grant() // another judges
	want(at(3*time.Hour), "[]")
	chosen = at(3*time.Hour + ttl)
	want(chosen, "[{/ttl 0.1 1}]")

	// It is deleted and made anew.
	must(t, tree, DeleteOp{Path: "/ttl"}, CreateOp{Path: "/ttl", TTL: ttl}, SetOp{Path: "/ttl"})
	if _, err := do(t, tree, chosen[0]); !errors.Is(err, ErrBadVersion) {
		t.Error(err)
	}
	at(4 * time.Hour)
	must(t, tree, CreateOp{Path: "/c/x"})
	want(at(5*time.Hour), fmt.Sprintf("[{/ttl %v 1}]", tree.Zxid()-2+1))
	must(t, tree, DeleteOp{Path: "/c/x"})
	chosen = at(5 * time.Hour)
	if len(chosen) != 2 {
		t.Fatal(chosen)
	}
	must(t, tree, CreateOp{Path: "/c/y"})
	for _, op := range chosen {
		_, err := do(t, tree, op)
		if op.Path == "/c" && !errors.Is(err, ErrNotEmpty) || op.Path == "/ttl" && err != nil {
			t.Error(op, err)
		}
	}
	must(t, tree, DeleteOp{Path: "/c/y"})
	must(t, tree, at(6 * time.Hour)[0])
	if len(tree.mortals) != 1 || tree.mortals[0].path != "/new" {
		t.Errorf("%v", tree.mortals)
	}
	// A few at a time, in turn.
	for i := range 10 {
		must(t, tree, CreateOp{Path: fmt.Sprintf("/many-%d/x", i), Parents: true}, DeleteOp{Path: fmt.Sprintf("/many-%d/x", i)})
	}
	seen := map[string]bool{}
	for range 4 {
		for _, op := range tree.Reapable(0, 3) {
			seen[op.Path] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d of 10", len(seen))
	}
}

// A multi that fails tells nobody anything; one that succeeds tells ZooKeeper's watchers each thing once.
func failedMultiTellsNothing(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a"})
	var told []WatchEvent
	w := tree.Watch().New(nil, func(e WatchEvent) { told = append(told, e) })
	w.Add("/a", WatchData|WatchChild)
	var s Subscription
	tree.Feed(10, 1).Subscribe(&s, nil, "/", WatchTree)
	if _, err := do(t, tree, SetOp{Path: "/a"}, CreateOp{Path: "/a/b"}, DeleteOp{Path: "/c"}); !errors.Is(err, ErrNoNode) {
		t.Fatal(err)
	}
	if len(told) != 0 || s.Ready() {
		t.Error("a failed multi has told something")
	}
	must(t, tree, SetOp{Path: "/a"}, SetOp{Path: "/a"}, CreateOp{Path: "/a/b"}, CreateOp{Path: "/a/c"})
	z := tree.Zxid()
	if fmt.Sprint(told) != fmt.Sprint([]WatchEvent{{NodeDataChanged, "/a", z}, {NodeChildrenChanged, "/a", z}}) {
		t.Errorf("told %v", told)
	}
	if all, err := s.Batch(); len(all) != 3 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// A watch that is removed when its event is due was either told or not: never both lost, never told after it was removed.
func removedOrTold(t *testing.T) {
	for order := range 2 {
		tree := New(64)
		must(t, tree, CreateOp{Path: "/a"})
		told := 0
		w := tree.Watch().New(nil, func(WatchEvent) { told++ })
		w.Add("/a", WatchData)
		removed := false
		if order == 0 {
			removed = w.Remove("/a", WatchData)
		}
		must(t, tree, SetOp{Path: "/a"})
		if order == 1 {
			removed = w.Remove("/a", WatchData)
		}
		if removed != (order == 0) || told != order {
			t.Errorf("order %d: removed %v, told %d times", order, removed, told)
		}
	}
}

// Who may not read a znode is told nothing of it, whatever the watch and the event; what he may read he is told.
func noEventWithoutPermission(t *testing.T) {
	for _, scheme := range []struct {
		id    Identity
		entry ACL
	}{{Identity{"digest", "ann:x"}, ACL{PermRead, "digest", "ann:x"}}, {Identity{"ip", "10.1.2.3"}, ACL{PermRead, "ip", "10.0.0.0/8"}}} {
		for _, c := range []struct {
			who  *Caller
			sees bool
		}{{&Caller{}, false}, {&Caller{Identities: []Identity{{"digest", "bob:y"}, {"ip", "11.0.0.1"}}}, false}, {&Caller{Identities: []Identity{scheme.id}}, true}, {&Caller{Identities: []Identity{{Super, ""}}}, true}, {nil, true}} {
			tree := New(64)
			must(t, tree, CreateOp{Path: "/open"})
			feed := tree.Feed(100, 1<<20)
			var subs [4]Subscription
			feed.Subscribe(&subs[0], c.who, "/", WatchTree)
			feed.Subscribe(&subs[1], c.who, "/open/x", WatchNode)
			feed.Subscribe(&subs[2], c.who, "/open", WatchChildren)
			z := tree.Zxid()
			must(t, tree, CreateOp{Path: "/open/x", Data: []byte("secret"), ACL: []ACL{scheme.entry}})
			must(t, tree, SetOp{Path: "/open/x", Data: []byte("secret")})
			must(t, tree, SetOp{Path: "/open/x", Data: []byte("public")}, SetACLOp{Path: "/open/x", ACL: OpenACL}) // what it was is secret still
			must(t, tree, SetACLOp{Path: "/open/x", ACL: []ACL{scheme.entry}}, SetOp{Path: "/open/x"})
			must(t, tree, DeleteOp{Path: "/open/x"})
			if err := feed.SubscribeAfter(&subs[3], c.who, "/", WatchTree, z); err != nil {
				t.Fatal(err)
			}
			for i, n := range []int{5, 5, 2, 5} {
				all, err := subs[i].Batch()
				if !c.sees {
					n = 0
				}
				if err != nil || len(all) != n {
					t.Errorf("%v, subscription %d of %v: %d events, want %d", scheme.id, i, c.who, len(all), n)
				}
			}
			must(t, tree, SetOp{Path: "/open"})
			if e, ok, err := nextOf(&subs[0]); !ok || err != nil || e.Path != "/open" {
				t.Error(e, ok, err)
			}
		}
	}
}
