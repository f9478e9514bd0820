package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// Clients that watch. Each has a connection to one member at a time, with watches in the tree of that member's newest state. When the member goes, or gets
// another state than by applying, the connection ends; the client goes to any member that knows as much as it has seen, and leaves anew the watches that
// were not told anything yet. What it must be told is found here from the history, with no code of the engine's.

// watcher is such a client.
type watcher struct {
	who  *datatree.Caller
	at   *node // nil: not connected
	tree *datatree.Tree
	conn *datatree.Watcher
	seen zab.Zxid // the newest state that a reply was of
	told []told   // and not judged yet
	lost bool     // it was told that its watches are lost

	// The watches, by path, with the state that each was left in.
	data, child, persistent, recursive map[string]zab.Zxid
}

// told is an event, and what could be read when it came.
type told struct {
	event    datatree.WatchEvent
	readable zab.Zxid
}

func newWatchers(c *Config, r *rand.Rand) (all []*watcher) {
	for range c.Watchers {
		x := &watcher{data: map[string]zab.Zxid{}, child: map[string]zab.Zxid{}, persistent: map[string]zab.Zxid{}, recursive: map[string]zab.Zxid{}}
		if c.ACLs {
			x.who = callers[r.IntN(len(callers))]
		}
		all = append(all, x)
	}
	return all
}

// watcherTurn lets a client connect, leave or take away a watch, or go elsewhere.
func (w *World) watcherTurn(i int) {
	w.push(event{at: w.now + between(w.watching, w.cfg.Think/4, w.cfg.Think), kind: evWatcher, a: uint64(i)})
	x := w.watchers[i]
	if x.at == nil {
		w.attach(x)
		return
	}
	path := w.work.watched(w.watching)
	z := x.tree.Zxid()
	want := w.ref.asOf(path, z)
	err := error(nil)
	switch {
	case want == nil:
		err = datatree.ErrNoNode
	case !may(x.who, want.acl, datatree.PermRead):
		err = datatree.ErrNoAuth
	}
	verdict := func(got error) {
		if got != err {
			w.fail("inv/C5", "reading %q at %v as %+v gives %v, the reference says %v", path, z, x.who, got, err)
		}
	}
	switch w.watching.IntN(16) {
	case 0, 1, 2, 3:
		got, e := x.conn.Get(path)
		if verdict(e); e == nil {
			if err := w.ref.compare(path, z, &got); err != nil {
				w.failWith(err)
			}
			x.data[path] = z
		}
	case 4, 5, 6:
		got, e := x.conn.Exists(path)
		if verdict(e); e == nil && got != want.stat {
			w.fail("inv/C5", "%q at %v is %+v, the reference says %+v", path, z, got, want.stat)
		}
		if e != datatree.ErrNoAuth {
			x.data[path] = z
		}
	case 7, 8, 9:
		names, got, e := x.conn.Children(path)
		if verdict(e); e == nil {
			if got != want.stat || len(names) != want.stat.NumChildren || !slices.IsSorted(names) {
				w.fail("inv/C13", "%q at %v is %+v with the children %q, the reference says %+v", path, z, got, names, want.stat)
			}
			x.child[path] = z
		}
	case 10:
		x.conn.Add(path, datatree.WatchPersistent)
		x.persistent[path] = z
	case 11:
		x.conn.Add(path, datatree.WatchRecursive)
		x.recursive[path] = z
	case 12, 13, 14:
		w.takeAway(x, path)
		return
	case 15:
		if w.watching.IntN(4) == 0 {
			w.hangUp(x)
		}
		return
	}
	x.seen = z
}

// takeAway removes watches of one type, or of all, from a path that has some, or from another one.
func (w *World) takeAway(x *watcher, path string) {
	tables := []struct {
		types datatree.WatchType
		at    map[string]zab.Zxid
	}{{datatree.WatchData, x.data}, {datatree.WatchChild, x.child}, {datatree.WatchPersistent, x.persistent}, {datatree.WatchRecursive, x.recursive}}
	one := w.watching.IntN(len(tables) + 1)
	if one < len(tables) {
		tables = tables[one : one+1]
	}
	if have := slices.Sorted(maps.Keys(tables[0].at)); len(have) > 0 && w.watching.IntN(4) > 0 {
		path = have[w.watching.IntN(len(have))]
	}
	var types datatree.WatchType
	there := false
	for _, t := range tables {
		types |= t.types
		if _, ok := t.at[path]; ok {
			there = true
			delete(t.at, path)
		}
	}
	if got := x.conn.Remove(path, types); got != there || x.conn.Has(path)&types != 0 {
		w.fail("inv/C8", "taking away watches of the types %b on %q: there were some: %v, and not %v", types, path, got, there)
	}
}

// hangUp ends the connection.
func (w *World) hangUp(x *watcher) {
	if w.watching.IntN(2) == 0 && x.at.up {
		x.seen = max(x.seen, x.tree.Zxid()) // the last thing it heard
	}
	x.conn.Close()
	x.at, x.tree, x.conn = nil, nil, nil
}

// lostAll ends all connections to a member that was given another state, which it must have told those that watched something.
func (w *World) lostAll(n *node) {
	for _, x := range w.watchers {
		if x.at != n {
			continue
		}
		if watches := len(x.data)+len(x.child)+len(x.persistent)+len(x.recursive) > 0; x.lost != watches {
			w.fail("inv/C8", "member %d was given the state %v: of watches %v, of their loss told %v", n.id, n.sm.Tree().Zxid(), watches, x.lost)
		}
		w.hangUp(x)
	}
}

// hangUpAll ends all connections to a member.
func (w *World) hangUpAll(n *node) {
	for _, x := range w.watchers {
		if x.at == n {
			w.hangUp(x)
		}
	}
}

// attach goes to a member that is not behind what the client has seen, and leaves its watches there.
func (w *World) attach(x *watcher) {
	n := w.nodes[w.watching.IntN(len(w.nodes))]
	if !n.up || n.view == nil || n.sm.Tree().Zxid() < x.seen {
		return
	}
	x.at, x.tree = n, n.sm.Tree()
	z := x.tree.Zxid()
	x.lost = false
	x.conn = x.tree.Watch().New(x.who, func(e datatree.WatchEvent) {
		if e.Type == datatree.WatchesLost {
			x.lost = true
			return
		}
		x.told = append(x.told, told{e, n.sm.Tree().Zxid()})
	})
	var kept datatree.Kept
	var want []datatree.WatchEvent
	missed := func(what datatree.WatchEventType, path string, from map[string]zab.Zxid) {
		want = append(want, datatree.WatchEvent{Type: what, Path: path})
		delete(from, path)
		w.cover("watch told of what it missed")
	}
	var absent []string
	for _, path := range slices.Sorted(maps.Keys(x.data)) {
		was, is := w.ref.asOf(path, x.data[path]), w.ref.asOf(path, z)
		if was == nil {
			absent = append(absent, path)
			continue
		}
		kept.Data = append(kept.Data, path)
		switch {
		case is == nil:
			missed(datatree.NodeDeleted, path, x.data)
		case is.stat.Mzxid != was.stat.Mzxid:
			missed(datatree.NodeDataChanged, path, x.data)
		}
	}
	for _, path := range absent {
		kept.Exist = append(kept.Exist, path)
		if w.ref.asOf(path, z) != nil {
			missed(datatree.NodeCreated, path, x.data)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(x.child)) {
		kept.Child = append(kept.Child, path)
		switch was, is := w.ref.asOf(path, x.child[path]), w.ref.asOf(path, z); {
		case is == nil:
			missed(datatree.NodeDeleted, path, x.child)
		case is.stat.Pzxid != was.stat.Pzxid:
			missed(datatree.NodeChildrenChanged, path, x.child)
		}
	}
	kept.Persistent, kept.Recursive = slices.Sorted(maps.Keys(x.persistent)), slices.Sorted(maps.Keys(x.recursive))
	if z > x.seen && len(kept.Persistent)+len(kept.Recursive) > 0 {
		w.cover("gap of a lasting watch")
	}
	x.conn.Restore(x.seen, kept)
	w.judgeTold(x, z, x.told, want)
	x.told, x.seen = x.told[:0], z
	for _, path := range append(append(slices.Sorted(maps.Keys(x.data)), kept.Persistent...), kept.Recursive...) {
		if x.conn.Has(path) == 0 {
			w.fail("inv/C8", "a watch on %q was not left anew at %v", path, z)
		}
	}
}

// appliedTo compares what the watchers of a member were told while it applied z with what they should have been.
func (w *World) appliedTo(n *node, z zab.Zxid) {
	happened := w.ref.happened[z]
	for _, x := range w.watchers {
		if x.at != n || len(happened) == 0 && len(x.told) == 0 {
			continue
		}
		k := slices.IndexFunc(x.told, func(t told) bool { return t.event.Zxid > z })
		if k < 0 {
			k = len(x.told)
		}
		for _, t := range x.told[:k] {
			if t.readable >= z {
				w.fail("inv/C8", "member %d tells of %v %q at %v when that can be read", n.id, t.event.Type, t.event.Path, z)
			}
		}
		w.judgeTold(x, z, x.told[:k], x.due(happened, z))
		x.told = append(x.told[:0], x.told[k:]...)
		w.coverWatch(x, len(happened))
	}
}

func (w *World) coverWatch(x *watcher, happened int) {
	if len(x.data)+len(x.child)+len(x.persistent)+len(x.recursive) > 0 && happened > 0 {
		w.cover("watched while something happened")
	}
}

func (w *World) judgeTold(x *watcher, z zab.Zxid, have []told, want []datatree.WatchEvent) {
	same := len(have) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = have[i].event == want[i]
	}
	if !same {
		w.fail("inv/C8", "at %v member %d tells %v, the reference says %v", z, x.at.id, have, want)
	}
	for range want {
		w.cover("watch event")
	}
}

// due returns what the client must be told of a transaction, and takes away the watches that are told once.
func (x *watcher) due(happened []happening, z zab.Zxid) (events []datatree.WatchEvent) {
	for _, h := range happened {
		_, out := x.data[h.path]
		delete(x.data, h.path)
		if _, ok := x.persistent[h.path]; ok {
			out = true
		}
		for path := range x.recursive { // any of them
			if path == h.path || strings.HasPrefix(h.path, strings.TrimSuffix(path, "/")+"/") {
				out = true
			}
		}
		if h.what == datatree.NodeDeleted {
			if _, ok := x.child[h.path]; ok {
				out = true
				delete(x.child, h.path)
			}
		}
		if out && may(x.who, h.acl, datatree.PermRead) {
			events = append(events, datatree.WatchEvent{Type: h.what, Path: h.path, Zxid: z})
		}
		if h.what == datatree.NodeDataChanged {
			continue
		}
		up := parentOf(h.path)
		_, out = x.child[up]
		delete(x.child, up)
		if _, ok := x.persistent[up]; ok {
			out = true
		}
		if out && may(x.who, h.up, datatree.PermRead) {
			events = append(events, datatree.WatchEvent{Type: datatree.NodeChildrenChanged, Path: up, Zxid: z})
		}
	}
	return events
}

// nothingMore checks that the watchers of a member were told nothing but what it has applied.
func (w *World) nothingMore(n *node) {
	for _, x := range w.watchers {
		if x.at == n && len(x.told) > 0 {
			w.fail("inv/C8", "member %d tells %v, and did not apply it", n.id, x.told)
		}
	}
}

// String is for messages.
func (t told) String() string {
	return fmt.Sprintf("%d %q at %v (%v can be read)", t.event.Type, t.event.Path, t.event.Zxid, t.readable)
}
