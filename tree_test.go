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

// The scenarios of the tree that go through nodes, by the names of the catalogue in internal/sim.
var treeScenarios = []struct {
	name string
	run  func(t *testing.T)
}{
	{"T1", multiIsRolledBack},
	{"T5", hugeChildren},
	{"T6", reaperAgainstCreates},
	{"reaper", reaperOfTheLeader},
	{"kinds", kindsAreVisible},
}

func TestTreeScenarios(t *testing.T) {
	for _, s := range treeScenarios {
		t.Run("scn/"+s.name, func(t *testing.T) { synctest.Test(t, s.run) })
	}
}

// equal waits until all members have applied the same, and compares their trees.
func equal(t *testing.T, c *ensembletest.Cluster, ids ...ensemble.ID) {
	t.Helper()
	var first *ensemble.View
	for _, id := range ids {
		n := c.Node(id)
		if _, err := n.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := n.View()
		if first == nil {
			first = v
		}
		if v.Zxid() != first.Zxid() || v.Digest() != first.Digest() {
			t.Errorf("member %d has %v, %x; member %d %v, %x", id, v.Zxid(), v.Digest(), ids[0], first.Zxid(), first.Digest())
		}
	}
}

// A Multi that fails at any of its places leaves nothing behind on any member, not even a number that it had drawn.
func multiIsRolledBack(t *testing.T) {
	c := ensembletest.New(t, 3)
	n := c.Node(2)
	mustDo(t, n, ensemble.CreateOp{Path: "/p"}, ensemble.CreateOp{Path: "/p/a", Data: []byte("1")})
	before := n.View()
	ops := []ensemble.Op{
		ensemble.CreateOp{Path: "/p/s-", Mode: ensemble.Sequential},
		ensemble.SetOp{Path: "/p/a", Data: []byte("2")},
		ensemble.CreateOp{Path: "/p/c/d", Parents: true},
		ensemble.CheckOp{Path: "/p/a", Version: ensemble.VersionOf(1)},
		ensemble.CreateOp{Path: "/p/ttl", TTL: time.Hour},
		ensemble.CreateOp{Path: "/p/s-", Mode: ensemble.Sequential},
		ensemble.DeleteOp{Path: "/p/a"},
	}
	for at := range len(ops) + 1 {
		bad := append(append(append([]ensemble.Op(nil), ops[:at]...), ensemble.CheckOp{Path: "/nowhere"}), ops[at:]...)
		results, err := n.Multi(t.Context(), bad...)
		var e *ensemble.OpError
		if results != nil || !errors.As(err, &e) || e.Index != at || !errors.Is(err, ensemble.ErrNoNode) || e.Op != "check" || e.Path != "/nowhere" {
			t.Fatalf("at %d: %v, %v", at, results, err)
		}
		if v := n.View(); v.Digest() != before.Digest() {
			t.Fatalf("a Multi that failed at %d has changed something", at)
		}
	}
	r := mustDo(t, n, ops...)
	if r[0].Path != "/p/s-0000000001" || r[5].Path != "/p/s-0000000004" {
		t.Errorf("numbers %s and %s", r[0].Path, r[5].Path)
	}
	equal(t, c, 1, 2, 3)
}

// A hundred thousand children are listed, counted and read a page at a time.
func hugeChildren(t *testing.T) {
	const many = 100_000
	c := ensembletest.New(t, 1)
	n := c.Node(1)
	mustDo(t, n, ensemble.CreateOp{Path: "/p"})
	for i := 0; i < many; i += 1000 {
		var ops []ensemble.Op
		for k := range 1000 {
			ops = append(ops, ensemble.CreateOp{Path: fmt.Sprintf("/p/%06d", i+k)})
		}
		mustDo(t, n, ops...)
	}
	names, err := n.Children(t.Context(), "/p")
	if err != nil || len(names) != many || names[0] != "000000" || names[many-1] != fmt.Sprintf("%06d", many-1) {
		t.Fatalf("%d children, %v", len(names), err)
	}
	v := n.View()
	defer v.Release()
	seen, last := 0, ""
	for {
		page := 0
		for z := range v.ChildrenAfter("/p", last) {
			if last = z.Path[len("/p/"):]; last != names[seen] {
				t.Fatalf("%s, want %s", last, names[seen])
			}
			seen++
			if page++; page == 999 {
				break
			}
		}
		if page == 0 {
			break
		}
	}
	if seen != many {
		t.Errorf("%d children by pages", seen)
	}
	if err := n.Delete(t.Context(), "/p", ensemble.AnyVersion); !errors.Is(err, ensemble.ErrNotEmpty) {
		t.Error(err)
	}
	if _, err := n.Do(t.Context(), ensemble.DeleteOp{Path: "/p", Recursive: true}); !errors.Is(err, ensemble.ErrTooLarge) {
		t.Error(err)
	}
}

// Children come and go below containers and znodes with a short TTL, while the reaper takes those: a create either finds its parent, and keeps it, or is told that it is gone; no
// child is ever lost with it.
func reaperAgainstCreates(t *testing.T) {
	c := ensembletest.New(t, 3)
	n := c.Node(1)
	w := mustWatch(t, n, "/", ensemble.WatchTree)
	var group sync.WaitGroup
	gone := 0
	var mu sync.Mutex
	for k := range 4 {
		group.Go(func() {
			n := c.Node(ensemble.ID(k%3 + 1))
			for i := range 60 {
				parent := fmt.Sprint("/p", k%2)
				op := ensemble.CreateOp{Path: parent, Mode: ensemble.Container}
				if k%2 == 0 {
					op = ensemble.CreateOp{Path: parent, TTL: 20 * time.Millisecond}
				}
				if _, err := n.Do(t.Context(), op); err != nil && !errors.Is(err, ensemble.ErrNodeExists) {
					t.Error(err)
				}
				child := fmt.Sprintf("%s/%d-%d", parent, k, i)
				switch _, err := n.Create(t.Context(), child, nil, ensemble.Persistent); {
				case errors.Is(err, ensemble.ErrNoNode):
					mu.Lock()
					gone++
					mu.Unlock()
				case err != nil:
					t.Error(err)
				default:
					<-time.After(time.Duration(i*7%90) * time.Millisecond)
					if err := n.Delete(t.Context(), child, ensemble.AnyVersion); err != nil {
						t.Errorf("%s, which nobody else deletes: %v", child, err)
					}
				}
				<-time.After(time.Duration(i*13%70) * time.Millisecond)
			}
		})
	}
	group.Wait()
	<-time.After(10 * time.Second)
	parents, children := 0, 0
	for _, e := range batch(t, w) {
		if e.Type != ensemble.Deleted {
			continue
		}
		if len(e.Path) == 3 {
			if parents++; e.Prev.Stat.NumChildren != 0 {
				t.Errorf("%s went with %d children", e.Path, e.Prev.Stat.NumChildren)
			}
		} else {
			children++
		}
	}
	var reaped uint64
	for id := ensemble.ID(1); id <= 3; id++ {
		reaped += c.Node(id).Stats().Reaped
	}
	if parents < 10 || children+gone != 240 || reaped != uint64(parents) {
		t.Errorf("%d parents reaped, %d by the count of the members, %d children deleted, %d found their parent gone", parents, reaped, children, gone)
	}
	if s := n.Status(); s.Znodes != 4 {
		t.Errorf("%d znodes are left", s.Znodes)
	}
	equal(t, c, 1, 2, 3)
}

// Containers go when the last child has, not before the first; a znode with a TTL goes after that time without a set, and has all of it again under another leader.
func reaperOfTheLeader(t *testing.T) {
	c := ensembletest.New(t, 3)
	ctx := t.Context()
	n := c.Node(1)
	exists := func(path string) bool {
		_, ok, err := n.Exists(ctx, path)
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	if _, err := n.Do(ctx, ensemble.CreateOp{Path: "/a/b/c", Parents: true, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	mustDo(t, n, ensemble.CreateOp{Path: "/unused", Mode: ensemble.Container}, ensemble.CreateOp{Path: "/ttl", TTL: 10 * time.Second})
	<-time.After(8 * time.Second)
	if !exists("/ttl") || !exists("/unused") || !exists("/a/b/c") {
		t.Error("gone too early")
	}
	mustDo(t, n, ensemble.SetOp{Path: "/ttl"})
	if err := n.Delete(ctx, "/a/b/c", ensemble.AnyVersion); err != nil {
		t.Fatal(err)
	}
	<-time.After(8 * time.Second)
	if !exists("/ttl") {
		t.Error("gone in spite of a set")
	}
	if exists("/a") || !exists("/unused") {
		t.Error("containers")
	}
	leader := c.WaitLeader()
	if err := c.Node(leader).Transfer(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if c.WaitLeader() == leader {
		t.Fatal("it leads still")
	}
	<-time.After(8 * time.Second)
	if !exists("/ttl") {
		t.Error("the new leader has not given it all of its time")
	}
	<-time.After(4 * time.Second)
	if exists("/ttl") {
		t.Error("it is there still")
	}
	// Many at once go at a bounded pace, and all go.
	var ops []ensemble.Op
	for i := range 2000 {
		ops = append(ops, ensemble.CreateOp{Path: fmt.Sprint("/many-", i), TTL: time.Millisecond})
	}
	mustDo(t, n, ops...)
	<-time.After(100 * time.Millisecond)
	if s := n.Status(); s.Znodes < 1000 {
		t.Errorf("%d left after two ticks", s.Znodes)
	}
	<-time.After(2 * time.Second)
	if s := n.Status(); s.Znodes != 5 {
		t.Errorf("%d znodes are left", s.Znodes)
	}
}

// Stat tells what kind a znode is, on every member, and what is malformed or not there yet is refused.
func kindsAreVisible(t *testing.T) {
	c := ensembletest.New(t, 3)
	n := c.Node(3)
	r := mustDo(t, n,
		ensemble.CreateOp{Path: "/c", Mode: ensemble.Container}, ensemble.CreateOp{Path: "/t", TTL: time.Minute}, ensemble.CreateOp{Path: "/p"},
		ensemble.CreateOp{Path: "/x/y/z-", Parents: true, Mode: ensemble.Sequential, TTL: time.Hour})
	for i, want := range []struct {
		path string
		mode ensemble.Mode
		ttl  time.Duration
	}{{"/c", ensemble.Container, 0}, {"/t", ensemble.Persistent, time.Minute}, {"/p", ensemble.Persistent, 0}, {"/x/y/z-0000000000", ensemble.Persistent, time.Hour}} {
		if s := r[i].Stat; r[i].Path != want.path || s.Mode != want.mode || s.TTL != want.ttl {
			t.Errorf("%s: %v, %v", r[i].Path, s.Mode, s.TTL)
		}
		for id := ensemble.ID(1); id <= 3; id++ {
			if err := c.Node(id).Await(t.Context(), r[i].Zxid); err != nil {
				t.Fatal(err)
			}
			if s, ok, err := c.Node(id).Exists(t.Context(), want.path); err != nil || !ok || s != r[i].Stat {
				t.Errorf("member %d: %+v, %v", id, s, err)
			}
		}
	}
	if s, _, _ := n.Exists(t.Context(), "/x/y"); s.Mode != ensemble.Container {
		t.Errorf("a parent that was made is %v", s.Mode)
	}
	for _, op := range []ensemble.CreateOp{
		{Path: "/a", TTL: time.Second, Mode: ensemble.Ephemeral}, {Path: "/a", TTL: -1}, {Path: "/a", TTL: time.Microsecond}, {Path: "/a", TTL: time.Second, Mode: ensemble.Container},
		{Path: "/a", Mode: ensemble.Ephemeral | ensemble.Container},
	} {
		if _, err := n.Do(context.Background(), op); !errors.Is(err, ensemble.ErrBadArguments) {
			t.Errorf("%+v: %v", op, err)
		}
	}
}
