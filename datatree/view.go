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

// Share returns another handle on the same state, to be released for itself. If v was released it shows an empty tree, too.
func (v *View) Share() *View {
	p := v.pin.share()
	s := &View{tree: v.tree, at: v.at, pin: p}
	runtime.AddCleanup(s, (*pin).release, p)
	return s
}

// Spent returns a view of state z that shows an empty tree: all that is left to say of it is its zxid.
func (t *Tree) Spent(z zab.Zxid) *View {
	p := &pin{zxid: z}
	p.released.Store(true)
	return &View{tree: t, at: &state{zxid: z}, pin: p}
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

// find returns the version of path, or nil.
func (v *View) find(path string) *version {
	if v.pin.released.Load() {
		return nil
	}
	hash, zxid := hashPath(path), v.at.zxid
	for {
		x := v.tree.index.find(path, hash)
		if x != nil && x.zxid <= zxid && x != cut && !x.dead { // most are
			return x
		}
		if x, known := x.at(zxid); known {
			return x
		}
	}
}

// of returns the version of an entry, or nil.
func (v *View) of(e *entry) *version {
	for {
		if x, known := v.tree.index.newest(e).at(v.at.zxid); known {
			return x
		}
	}
}

// Get returns the znode at path and whether it exists.
func (v *View) Get(path string) (z Znode, ok bool) {
	if x := v.find(path); x != nil {
		x.fill(&z, v.at.zxid)
		ok = true
	}
	runtime.KeepAlive(v) // the pin must outlast the search
	return z, ok
}

// ChildNames returns the names of the children of path in bytewise order, and whether path exists.
func (v *View) ChildNames(path string) ([]string, bool) {
	x := v.find(path)
	if x == nil {
		return nil, false
	}
	names := make([]string, 0, x.children)
	v.below(x, "", func(x *version) bool {
		names = append(names, x.entry.name())
		return true
	})
	return names, true
}

// Children returns the children of path in the bytewise order of their names. There are none when path does not exist.
func (v *View) Children(path string) iter.Seq[Znode] { return v.ChildrenAfter(path, "") }

// ChildrenAfter returns those children whose names are greater than name: for reading many children a page at a time.
func (v *View) ChildrenAfter(path, name string) iter.Seq[Znode] {
	return func(yield func(Znode) bool) {
		x := v.find(path)
		if x == nil {
			return
		}
		v.below(x, name, func(x *version) bool {
			var z Znode
			x.fill(&z, v.at.zxid)
			return yield(z)
		})
	}
}

// below calls f for the children of x after name that exist.
func (v *View) below(x *version, name string, f func(*version) bool) {
	c := x.entry.kids.Load().after(name)
	for e := c.next(); e != nil; e = c.next() {
		if x := v.of(e); x != nil && !f(x) {
			break
		}
	}
	runtime.KeepAlive(v)
}

// Walk returns the znode at path and all below it, each before its children, children in the bytewise order of their names.
func (v *View) Walk(path string) iter.Seq[Znode] {
	return func(yield func(Znode) bool) {
		w := v.walk(path)
		for x := w.next(); x != nil; x = w.next() {
			var z Znode
			x.fill(&z, v.at.zxid)
			if !yield(z) {
				break
			}
		}
		runtime.KeepAlive(v)
	}
}

// walker goes through a view in the order of Walk. Paths may have very many components, so it keeps its own stack.
type walker struct {
	view  *View
	first *version // if it was not visited yet
	stack []cursor // of each level, after what was visited
}

func (v *View) walk(path string) *walker { return &walker{view: v, first: v.find(path)} }

// next returns the next znode, or nil.
func (w *walker) next() *version {
	x := w.first
	w.first = nil
	for x == nil && len(w.stack) > 0 {
		top := len(w.stack) - 1
		if e := w.stack[top].next(); e == nil {
			w.stack = w.stack[:top]
		} else {
			x = w.view.of(e)
		}
	}
	if x != nil && x.children > 0 {
		w.stack = append(w.stack, x.entry.kids.Load().after(""))
	}
	runtime.KeepAlive(w.view)
	return x
}
