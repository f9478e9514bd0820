package datatree

import (
	"maps"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// WatchType says what a watch is told about.
type WatchType uint8

// The types of watches. One of the first two is told one thing, then it is gone; the others stay. Those of one watcher on one path do not disturb
// each other, but a watcher is told only once.
const (
	WatchData       WatchType = 1 << iota // the znode is created, set or deleted
	WatchChild                            // a child is created or deleted, or the znode is deleted
	WatchPersistent                       // both
	WatchRecursive                        // the znode, or any below it, is created, set or deleted
)

// WatchEventType says what has happened, in ZooKeeper's numbers.
type WatchEventType uint8

// The types of events.
const (
	NodeCreated         WatchEventType = 1
	NodeDeleted         WatchEventType = 2
	NodeDataChanged     WatchEventType = 3
	NodeChildrenChanged WatchEventType = 4

	// WatchesLost is not ZooKeeper's: the tree has been replaced as a whole (see Tree.Succeed), nobody knows what happened between, and the watcher has no
	// watches any more. It is what the end of its connection is to a client of ZooKeeper.
	WatchesLost WatchEventType = 0
)

// WatchEvent is what a watcher is told.
type WatchEvent struct {
	Type WatchEventType
	Path string
	Zxid zab.Zxid // of the transaction that did it; 0 for what Restore tells
}

// Watches are the watches on a Tree, as ZooKeeper has them: they belong to connections, not to sessions, and are no part of the state. All is for the
// tree's writer, so a read that leaves a watch and what a transaction tells are never at once. An event is told while its transaction is applied, before
// anybody can read what it did.
type Watches struct {
	tree  *Tree
	paths map[string]*watched
	below int // recursive watches
}

// watched is who watches a path.
type watched []watch

type watch struct {
	by    *Watcher
	types WatchType
}

// Watcher is a connection that watches.
type Watcher struct {
	all   *Watches
	who   *Caller
	tell  func(WatchEvent)
	paths map[string]struct{}
}

// Watch returns the watches of the tree, which has none before. The second call returns the same.
func (t *Tree) Watch() *Watches {
	if t.watches == nil {
		t.watches = &Watches{tree: t, paths: make(map[string]*watched)}
	}
	return t.watches
}

// New returns a watcher for who, who may gain identities later. Apply calls tell, which must not block nor call the tree.
func (ws *Watches) New(who *Caller, tell func(WatchEvent)) *Watcher {
	return &Watcher{ws, who, tell, make(map[string]struct{})}
}

// Add leaves watches on a path, whether it is a znode or not.
func (w *Watcher) Add(path string, types WatchType) {
	list := w.all.paths[path]
	if list == nil {
		list = new(watched)
		w.all.paths[path] = list
	}
	at := list.of(w)
	if at == nil {
		*list = append(*list, watch{by: w})
		at = &(*list)[len(*list)-1]
		w.paths[path] = struct{}{}
	}
	if types&^at.types&WatchRecursive != 0 {
		w.all.below++
	}
	at.types |= types
}

// Has tells which watches it has on a path.
func (w *Watcher) Has(path string) WatchType {
	if list := w.all.paths[path]; list != nil {
		if at := list.of(w); at != nil {
			return at.types
		}
	}
	return 0
}

// Remove takes watches on a path away, and reports whether there were any.
func (w *Watcher) Remove(path string, types WatchType) bool {
	types &= w.Has(path)
	if types == 0 {
		return false
	}
	if types&WatchRecursive != 0 {
		w.all.below--
	}
	list := w.all.paths[path]
	at := list.of(w)
	if at.types &^= types; at.types != 0 {
		return true
	}
	delete(w.paths, path)
	*list = slices.DeleteFunc(*list, func(x watch) bool { return x.by == w })
	if len(*list) == 0 {
		delete(w.all.paths, path)
	}
	return true
}

// Close takes all its watches away.
func (w *Watcher) Close() {
	for _, path := range slices.Sorted(maps.Keys(w.paths)) {
		w.Remove(path, ^WatchType(0))
	}
}

// succeed makes the watches those of another tree, and takes all away.
func (ws *Watches) succeed(t *Tree) {
	ws.tree = t
	var lost []*Watcher
	for _, path := range slices.Sorted(maps.Keys(ws.paths)) {
		for _, x := range *ws.paths[path] {
			if len(x.by.paths) > 0 {
				clear(x.by.paths)
				lost = append(lost, x.by)
			}
		}
	}
	clear(ws.paths)
	ws.below = 0
	for _, w := range lost {
		w.tell(WatchEvent{Type: WatchesLost, Zxid: t.now.zxid})
	}
}

// Get reads the newest state of a znode, and leaves a WatchData if that succeeds.
func (w *Watcher) Get(path string) (Znode, error) {
	v := w.all.tree.View()
	defer v.Release()
	z, err := v.For(w.who).Get(path)
	if err == nil {
		w.Add(path, WatchData)
	}
	return z, err
}

// Exists is Get for the Stat; it leaves the watch also if there is no such znode.
func (w *Watcher) Exists(path string) (Stat, error) {
	v := w.all.tree.View()
	defer v.Release()
	s, err := v.For(w.who).Exists(path)
	if err == nil || err == ErrNoNode {
		w.Add(path, WatchData)
	}
	return s, err
}

// Children reads the names of a znode's children and its Stat, and leaves a WatchChild if that succeeds.
func (w *Watcher) Children(path string) ([]string, Stat, error) {
	v := w.all.tree.View()
	defer v.Release()
	names, s, err := v.For(w.who).Children(path)
	if err == nil {
		w.Add(path, WatchChild)
	}
	return names, s, err
}

// Kept are the watches that a connection had before it was lost.
type Kept struct{ Data, Exist, Child, Persistent, Recursive []string }

// Restore leaves watches anew. Those that would have been told something after a zxid are told it now, whoever may read what; the persistent and recursive
// ones are not.
func (w *Watcher) Restore(after zab.Zxid, kept Kept) {
	t := w.all.tree
	each := func(paths []string, types WatchType, missed func(z *Znode) WatchEventType) {
		for _, path := range paths {
			var e WatchEventType
			if z, ok := t.Get(path); ok {
				e = missed(&z)
			} else {
				e = missed(nil)
			}
			if e == 0 || mutant.On("rearm-unchecked") {
				w.Add(path, types)
			} else {
				w.tell(WatchEvent{Type: e, Path: path})
			}
		}
	}
	each(kept.Data, WatchData, func(z *Znode) WatchEventType {
		switch {
		case z == nil:
			return NodeDeleted
		case z.Stat.Mzxid > after:
			return NodeDataChanged
		}
		return 0
	})
	each(kept.Exist, WatchData, func(z *Znode) WatchEventType {
		if z == nil {
			return 0
		}
		return NodeCreated
	})
	each(kept.Child, WatchChild, func(z *Znode) WatchEventType {
		switch {
		case z == nil:
			return NodeDeleted
		case z.Stat.Pzxid > after:
			return NodeChildrenChanged
		}
		return 0
	})
	for _, path := range kept.Persistent {
		w.Add(path, WatchPersistent)
	}
	for _, path := range kept.Recursive {
		w.Add(path, WatchRecursive)
	}
}

func (l *watched) of(w *Watcher) *watch {
	for i := range *l {
		if (*l)[i].by == w {
			return &(*l)[i]
		}
	}
	return nil
}

// zooKeepers are its names of what an op has done.
var zooKeepers = [...]WatchEventType{Created: NodeCreated, Changed: NodeDataChanged, Deleted: NodeDeleted}

// happened is what a transaction did to a znode, with the ACLs at that moment of it and of its parent.
type happened struct {
	what    WatchEventType
	path    string
	acl, up *acl
}

// noteEvent notes what the transaction did to the znode of v.
func (t *Tree) noteEvent(what WatchEventType, v *version) {
	if len(t.watches.paths) == 0 {
		return
	}
	h := happened{what, v.path(), aclOf(v.path(), v.rare), nil}
	if what != NodeDataChanged {
		if up, _ := t.above(v.path()); up != nil {
			h.up = aclOf(up.path(), up.rare)
		}
	}
	t.happened = append(t.happened, h)
}

// tellAll tells everybody what the transaction did.
func (t *Tree) tellAll() {
	for i := range t.happened {
		t.watches.tell(&t.happened[i], t.now.zxid)
	}
	clear(t.happened)
	t.happened = t.happened[:0]
}

func (ws *Watches) tell(h *happened, z zab.Zxid) {
	told := ws.at(h.path, WatchData|WatchPersistent|WatchRecursive)
	if ws.below > 0 {
		for path := h.path; path != rootPath; {
			path = path[:parentLen(path)]
			for _, w := range ws.at(path, WatchRecursive) {
				if !slices.Contains(told, w) {
					told = append(told, w)
				}
			}
		}
	}
	e := WatchEvent{h.what, h.path, z}
	ws.send(told, e, h.acl)
	if h.what == NodeDataChanged {
		return
	}
	if h.what == NodeDeleted {
		more := ws.at(h.path, WatchChild|WatchPersistent)
		if mutant.On("deletion-told-twice") {
			told = nil
		}
		ws.send(slices.DeleteFunc(more, func(w *Watcher) bool { return slices.Contains(told, w) }), e, h.acl)
	}
	up := h.path[:parentLen(h.path)]
	ws.send(ws.at(up, WatchChild|WatchPersistent), WatchEvent{NodeChildrenChanged, up, z}, h.up)
}

// at returns who has one of the types of watches on a path, and takes away those that are told once.
func (ws *Watches) at(path string, types WatchType) (by []*Watcher) {
	list := ws.paths[path]
	if list == nil {
		return nil
	}
	for _, x := range *list {
		if x.types&types != 0 {
			by = append(by, x.by)
		}
	}
	for _, w := range by {
		w.Remove(path, types&(WatchData|WatchChild))
	}
	return by
}

// send tells those that may read under an ACL.
func (ws *Watches) send(to []*Watcher, e WatchEvent, a *acl) {
	for _, w := range to {
		if w.who.super() || ws.tree.schemes.allow(w.who, a.list, PermRead) {
			w.tell(e)
		}
	}
}
