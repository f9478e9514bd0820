package sim

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/golden"
	"github.com/ensemble-go/ensemble/zab"
)

// Scenarios of watches (W) and of kinds of znodes (T) that take several members.
func TestKindScenarios(t *testing.T) {
	for _, sc := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"W1", eventBeforeData},
		{"W2", missedWhileAway},
		{"W4", closedBeforeItHappens},
		{"W6", recursiveOnce},
		{"T1", rolledBackEverywhere},
		{"T6", reapedOrGivenAChild},
	} {
		t.Run("scn/"+sc.name, sc.run)
	}
}

// stageOf returns three members with a leader, on which nothing happens by itself.
func stageOf(t *testing.T) *trio {
	x := newTrio(&golden.Header{Sessions: 1}, 7)
	x.clock = 1
	t.Cleanup(func() {
		if x.err != nil {
			t.Error(x.err)
		}
	})
	return x
}

// write has a member write for the host, and wants it to succeed.
func (x *trio) write(t *testing.T, at int, ops ...datatree.Op) (zab.Zxid, []datatree.Result) {
	t.Helper()
	x.clock++
	z, results, err := x.ask(x.w.nodes[at], nil, ops, len(ops) != 1)
	if err != nil {
		t.Fatal(err)
	}
	return z, results
}

// watching is a connection to a member, and what it was told.
type watching struct {
	*datatree.Watcher
	told []told
}

func (x *trio) watch(at int) *watching {
	n, c := x.w.nodes[at], &watching{}
	c.Watcher = n.sm.Tree().Watch().New(nil, func(e datatree.WatchEvent) { c.told = append(c.told, told{e, max(n.sm.Tree().Zxid(), n.view.Zxid())}) })
	return c
}

// events returns what was told since the last call.
func (c *watching) events() (all []string) {
	for _, e := range c.told {
		all = append(all, fmt.Sprint(e.event.Type, " ", e.event.Path))
	}
	c.told = nil
	return all
}

// Who watches at a member is told before anybody can read there what happened, wherever it was written, and while the leader changes.
func eventBeforeData(t *testing.T) {
	x := stageOf(t)
	x.write(t, 0, datatree.CreateOp{Path: "/a"})
	var all []*watching
	for at := range 3 {
		c := x.watch(at)
		c.Add("/a", datatree.WatchPersistent)
		all = append(all, c)
	}
	for i := range 30 {
		x.shaken = i%3 == 0
		z, _ := x.write(t, i%3, datatree.SetOp{Path: "/a", Data: []byte{byte(i)}})
		for at, c := range all {
			if len(c.told) != 1 || c.told[0].event.Zxid != z || c.told[0].readable >= z {
				t.Fatalf("write %d at %v: member %d told %v", i, z, at+1, c.told)
			}
			c.told = nil
		}
	}
	if x.changes < 5 {
		t.Fatalf("the leader changed %d times", x.changes)
	}
}

// What happens while a client goes from one member to another is told once, when its watch is left anew, and the watch is then used up.
func missedWhileAway(t *testing.T) {
	set, del := datatree.SetOp{Path: "/a/b"}, datatree.DeleteOp{Path: "/a/b"}
	create, child := datatree.CreateOp{Path: "/a/b"}, datatree.CreateOp{Path: "/a/b/c"}
	for _, c := range []struct {
		what  string
		kept  datatree.Kept
		there bool
		do    []datatree.Op
		want  []string
	}{
		{"nothing", datatree.Kept{Data: []string{"/a/b"}, Child: []string{"/a/b"}}, true, nil, nil},
		{"data", datatree.Kept{Data: []string{"/a/b"}}, true, []datatree.Op{set, set}, []string{"3 /a/b"}},
		{"data, which children are not", datatree.Kept{Child: []string{"/a/b"}}, true, []datatree.Op{set}, nil},
		{"deleted", datatree.Kept{Data: []string{"/a/b"}}, true, []datatree.Op{del}, []string{"2 /a/b"}},
		{"deleted and created", datatree.Kept{Data: []string{"/a/b"}}, true, []datatree.Op{del, create}, []string{"3 /a/b"}},
		{"created", datatree.Kept{Exist: []string{"/a/b"}}, false, []datatree.Op{create}, []string{"1 /a/b"}},
		{"created and deleted", datatree.Kept{Exist: []string{"/a/b"}}, false, []datatree.Op{create, del}, nil},
		{"a child", datatree.Kept{Child: []string{"/a/b"}}, true, []datatree.Op{child}, []string{"4 /a/b"}},
		{"a child, which data is not", datatree.Kept{Data: []string{"/a/b"}}, true, []datatree.Op{child}, nil},
		{"the parent of children is deleted", datatree.Kept{Child: []string{"/a/b"}}, true, []datatree.Op{del}, []string{"2 /a/b"}},
		{"what stays is not told", datatree.Kept{Persistent: []string{"/a/b"}, Recursive: []string{"/a"}}, true, []datatree.Op{set}, nil},
	} {
		x := stageOf(t)
		x.write(t, 0, datatree.CreateOp{Path: "/a"})
		if c.there {
			x.write(t, 1, create)
		}
		before := x.watch(0)
		for _, path := range slices.Concat(c.kept.Data, c.kept.Exist) {
			_, _ = before.Exists(path) // the watch is left if there is nothing, too
		}
		for _, path := range c.kept.Child {
			if _, _, err := before.Children(path); err != nil {
				t.Fatal(err)
			}
		}
		seen := x.w.nodes[0].sm.Tree().Zxid()
		before.Close()
		for _, op := range c.do {
			x.shaken = true
			x.write(t, 2, op)
		}
		after := x.watch(1)
		after.Restore(seen, c.kept)
		if got := after.events(); !slices.Equal(got, c.want) {
			t.Errorf("%s: told %q, want %q", c.what, got, c.want)
		}
		if len(before.told) > 0 {
			t.Errorf("%s: told %v where it had left", c.what, before.told)
		}
		if len(c.want) > 0 && after.Has("/a/b") != 0 || len(c.want) == 0 && after.Has("/a/b") == 0 {
			t.Errorf("%s: the watch left anew is %b", c.what, after.Has("/a/b"))
		}
	}
}

// A connection may end while what it watches is on its way: nothing is told any more, and nothing is left of it.
func closedBeforeItHappens(t *testing.T) {
	x := stageOf(t)
	x.write(t, 0, datatree.CreateOp{Path: "/a"})
	for at := range 3 {
		c := x.watch(at)
		for _, types := range []datatree.WatchType{datatree.WatchData, datatree.WatchChild, datatree.WatchPersistent, datatree.WatchRecursive} {
			c.Add("/a", types)
		}
		n, done := x.w.nodes[at], false
		payload, err := datatree.AppendOps(envelope(nil, nil), []datatree.Op{datatree.SetOp{Path: "/a"}}, false, maxData)
		if err != nil {
			t.Fatal(err)
		}
		x.do(func() {
			k := x.w.newCall(n, callWrite)
			k.answer = func(r reply) { done = r.Err == nil }
			n.put(x.w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.Request{Ticket: k.ticket, Payload: payload, Wall: x.clock}})
			before := n.sm.Tree().Zxid()
			x.until("a proposal", func() bool { return n.m.Zab().Last() > before })
			if n.sm.Tree().Zxid() > before {
				t.Fatal("it has happened")
			}
			c.Close()
			x.until("an answer", func() bool { return done })
			x.level()
		})
		if len(c.told) > 0 || c.Has("/a") != 0 {
			t.Errorf("member %d: told %v, left %b", at+1, c.told, c.Has("/a"))
		}
	}
}

// A recursive watch is told each change once, in their order, and of no children; what it was not connected for it is not told.
func recursiveOnce(t *testing.T) {
	x := stageOf(t)
	x.write(t, 0, datatree.CreateOp{Path: "/a"})
	c := x.watch(1)
	c.Add("/a", datatree.WatchRecursive)
	c.Add("/a/b", datatree.WatchRecursive)
	x.write(t, 2, datatree.CreateOp{Path: "/a/b/c/d", Parents: true})
	x.shaken = true
	x.write(t, 0, datatree.SetOp{Path: "/a/b/c"}, datatree.SetOp{Path: "/a"}, datatree.CreateOp{Path: "/a/x"}, datatree.CreateOp{Path: "/out"})
	x.write(t, 1, datatree.DeleteOp{Path: "/a/b", Recursive: true})
	if !slices.IsSortedFunc(c.told, func(a, b told) int { return int(a.event.Zxid) - int(b.event.Zxid) }) {
		t.Errorf("out of order: %v", c.told)
	}
	want := []string{"1 /a/b", "1 /a/b/c", "1 /a/b/c/d", "3 /a/b/c", "3 /a", "1 /a/x", "2 /a/b/c/d", "2 /a/b/c", "2 /a/b"}
	if got := c.events(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	c.Close()
	x.write(t, 0, datatree.SetOp{Path: "/a"})
	again := x.watch(2)
	again.Restore(x.w.lastCommitted()-1, datatree.Kept{Recursive: []string{"/a"}})
	x.write(t, 0, datatree.SetOp{Path: "/a/x"})
	if got := again.events(); !slices.Equal(got, []string{"3 /a/x"}) {
		t.Errorf("told %q after the gap", got)
	}
}

// A multi that fails at any of its operations leaves nothing behind: the numbers that it had drawn are drawn again, by whoever leads next.
func rolledBackEverywhere(t *testing.T) {
	x := stageOf(t)
	x.write(t, 0, datatree.CreateOp{Path: "/q"})
	sequential := datatree.CreateOp{Path: "/q/s-", Mode: datatree.Sequential}
	good := []datatree.Op{sequential, datatree.SetOp{Path: "/q"}, sequential, datatree.CreateOp{Path: "/q/x"}, datatree.DeleteOp{Path: "/q/x"}}
	bad := datatree.CheckOp{Path: "/q", Version: datatree.VersionOf(77)}
	for at := 0; at <= len(good); at++ {
		ops := slices.Insert(slices.Clone(good), at, datatree.Op(bad))
		x.clock++
		x.shaken = at%2 == 1
		_, _, err := x.ask(x.w.nodes[at%3], nil, ops, true)
		e, ok := errors.AsType[*datatree.OpError](err)
		if !ok || e.Index != at || e.Err != datatree.ErrBadVersion {
			t.Fatalf("the multi that fails at %d: %v", at, err)
		}
		x.shaken = at%2 == 0
		if _, r := x.write(t, (at+1)%3, sequential); r[0].Path != fmt.Sprintf("/q/s-%010d", at) {
			t.Fatalf("after the multi that failed at %d: %q", at, r[0].Path)
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
	}
	_, r := x.write(t, 0, good...)
	if r[0].Path != "/q/s-0000000006" || r[2].Path != "/q/s-0000000007" {
		t.Errorf("a multi that succeeds made %q and %q", r[0].Path, r[2].Path)
	}
}

// A container may be reaped at one member while it is given a child at another: one of both comes first, and the other is refused.
func reapedOrGivenAChild(t *testing.T) {
	x := stageOf(t)
	outcomes := map[string]int{}
	for i := range 60 {
		path := fmt.Sprint("/c", i)
		x.write(t, 0, datatree.CreateOp{Path: path, Mode: datatree.Container}, datatree.CreateOp{Path: path + "/x"}, datatree.DeleteOp{Path: path + "/x"})
		ops := []datatree.Op{datatree.ReapOp{Path: path}, datatree.CreateOp{Path: path + "/y"}}
		got := make([]error, 2)
		answered := 0
		x.do(func() {
			for j, op := range ops {
				n := x.w.nodes[(i+j)%3]
				payload, err := datatree.AppendOps(envelope(nil, nil), []datatree.Op{op}, false, maxData)
				if err != nil {
					t.Fatal(err)
				}
				k := x.w.newCall(n, callWrite)
				k.answer = func(r reply) { got[j], answered = r.Err, answered+1 }
				n.put(x.w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.Request{Ticket: k.ticket, Payload: payload, Wall: x.clock}})
				for range x.r.IntN(6) {
					x.w.next()
				}
			}
			x.until("the answers", func() bool { return answered == 2 })
			x.level()
		})
		switch {
		case got[0] == nil && errors.Is(got[1], datatree.ErrNoNode):
			outcomes["reaped"]++
		case got[1] == nil && errors.Is(got[0], datatree.ErrNotEmpty):
			outcomes["kept"]++
		default:
			t.Fatalf("%d: %v and %v", i, got[0], got[1])
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if outcomes["reaped"] < 5 || outcomes["kept"] < 5 {
		t.Errorf("hardly a race: %v", outcomes)
	}
}
