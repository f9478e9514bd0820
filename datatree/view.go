package datatree

import (
	"iter"
	"runtime"

	"github.com/ensemble-go/ensemble/zab"
)

// View is the whole tree at one zxid. It never changes. Any goroutine may use it, and several at once.
type View struct {
	tree *Tree
	at   *state
	pin  *pin
}

// View returns the tree as it is now, in constant time. Any goroutine.
func (t *Tree) View() *View {
	for {
		s := t.current.Load()
		p := t.pins.push(s.zxid)
		// Either the writer saw our pin when it had published the next state, or we see that state now.
		if t.current.Load() != s {
			p.release()
			continue
		}
		v := &View{tree: t, at: s, pin: p}
		runtime.AddCleanup(v, (*pin).release, p)
		return v
	}
}

// Release lets the writer drop what only this view needs. It is optional: the garbage collector does it too, later. Afterwards the view shows
// an empty tree; what it handed out stays valid.
func (v *View) Release() { v.pin.release() }

// Zxid returns the zxid of the state.
func (v *View) Zxid() zab.Zxid { return v.at.zxid }

// Digest returns the digest of the state; see Tree.Digest.
func (v *View) Digest() uint64 { return v.at.digest }

// Len returns the number of znodes, "/" and the built-in ones included.
func (v *View) Len() int { return v.at.count }

// find returns the entry and the version of path, or nils.
func (v *View) find(path string) (*entry, *version) {
	if v.pin.released.Load() {
		return nil, nil
	}
	e := v.tree.index.find(path, hashPath(path))
	if e == nil {
		return nil, nil
	}
	return e, e.at(v.at.zxid)
}

// Get returns the znode at path and whether it exists.
func (v *View) Get(path string) (Znode, bool) {
	e, x := v.find(path)
	var z Znode
	if x != nil {
		z = e.znode(x, v.at.zxid)
	}
	runtime.KeepAlive(v) // the pin must outlast the search
	return z, x != nil
}

// ChildNames returns the names of the children of path in bytewise order, and whether path exists.
func (v *View) ChildNames(path string) ([]string, bool) {
	e, x := v.find(path)
	if x == nil {
		return nil, false
	}
	names := make([]string, 0, x.children)
	v.below(e, "", func(e *entry, _ *version) bool {
		names = append(names, e.name())
		return true
	})
	return names, true
}

// Children returns the children of path in the bytewise order of their names. There are none when path does not exist.
func (v *View) Children(path string) iter.Seq[Znode] { return v.ChildrenAfter(path, "") }

// ChildrenAfter returns those children whose names are greater than name: for reading many children a page at a time.
func (v *View) ChildrenAfter(path, name string) iter.Seq[Znode] {
	return func(yield func(Znode) bool) {
		e, x := v.find(path)
		if x == nil {
			return
		}
		v.below(e, name, func(e *entry, x *version) bool { return yield(e.znode(x, v.at.zxid)) })
	}
}

// below calls f for the children of e after name that exist.
func (v *View) below(e *entry, name string, f func(*entry, *version) bool) {
	kids := e.kids.Load()
	if kids == nil {
		return
	}
	for e := kids.seek(name); e != nil; e = e.after.Load() {
		if x := e.at(v.at.zxid); x != nil && !f(e, x) {
			break
		}
	}
	runtime.KeepAlive(v)
}

// Walk returns the znode at path and all below it, each before its children, children in the bytewise order of their names.
func (v *View) Walk(path string) iter.Seq[Znode] {
	return func(yield func(Znode) bool) {
		w := v.walk(path)
		for e, x := w.next(); e != nil; e, x = w.next() {
			if !yield(e.znode(x, v.at.zxid)) {
				break
			}
		}
		runtime.KeepAlive(v)
	}
}

// walker goes through a view in the order of Walk. Paths may have very many components, so it keeps its own stack.
type walker struct {
	view  *View
	stack []*entry // of each level the entry to look at next
}

func (v *View) walk(path string) *walker {
	w := &walker{view: v}
	e, x := v.find(path)
	if x != nil {
		w.stack = append(w.stack, nil, e) // nil: the siblings of the first are not visited
	}
	return w
}

func (w *walker) next() (*entry, *version) {
	for len(w.stack) > 0 {
		top := len(w.stack) - 1
		e := w.stack[top]
		if e == nil {
			w.stack = w.stack[:top]
			continue
		}
		if top == 1 {
			w.stack[top] = nil
		} else {
			w.stack[top] = e.after.Load()
		}
		x := e.at(w.view.at.zxid)
		if x == nil {
			continue
		}
		if x.children > 0 {
			if kids := e.kids.Load(); kids != nil {
				w.stack = append(w.stack, kids.head[0].Load())
			}
		}
		return e, x
	}
	runtime.KeepAlive(w.view)
	return nil, nil
}
