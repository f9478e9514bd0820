package datatree

import (
	"iter"
	"strings"
)

// Access is a view as a caller may see it: the reads of ZooKeeper, with what they check and in its order. "" names "/".
type Access struct {
	view *View // not embedded: it would show everything
	who  *Caller
}

// For returns the view as who may see it. It is good for as long as the view, and while who does not change.
func (v *View) For(who *Caller) Access { return Access{v, who} }

// see returns the version of path, if the caller has any of perm.
func (a Access) see(path string, perm Perm) (*version, error) {
	if path == "" {
		path = rootPath
	}
	x := a.view.find(path)
	if x == nil {
		return nil, ErrNoNode
	}
	return x, a.view.tree.may(a.who, x.path(), x.rare, perm)
}

// Get returns the znode at path.
func (a Access) Get(path string) (z Znode, err error) {
	x, err := a.see(path, PermRead)
	if err == nil {
		x.fill(&z, a.view.at.zxid)
	}
	return z, err
}

// Exists returns the Stat of the znode at path.
func (a Access) Exists(path string) (s Stat, err error) {
	if strings.IndexByte(path, 0) >= 0 {
		return s, ErrBadArguments
	}
	x, err := a.see(path, PermRead)
	if err == nil {
		x.stat(&s)
	}
	return s, err
}

// Children returns the names of the children of path in bytewise order, and its Stat.
func (a Access) Children(path string) (names []string, s Stat, err error) {
	x, err := a.see(path, PermRead)
	if err != nil {
		return nil, s, err
	}
	x.stat(&s)
	names, _ = a.view.ChildNames(x.path())
	return names, s, nil
}

// ChildrenAfter returns those names of children that are greater than name, in bytewise order: for reading many a page at a time.
func (a Access) ChildrenAfter(path, name string) (iter.Seq[string], error) {
	x, err := a.see(path, PermRead)
	if err != nil {
		return nil, err
	}
	return func(yield func(string) bool) {
		a.view.below(x, name, func(x *version) bool { return yield(x.entry.name()) })
	}, nil
}

// Count returns how many znodes there are below path. It takes time for each of them.
func (a Access) Count(path string) (n int, err error) {
	x, err := a.see(path, PermRead)
	if err != nil {
		return 0, err
	}
	if path == "" {
		n = 1 // called so, ZooKeeper counts the root itself
	}
	w := a.view.walk(x.path())
	w.next() // itself
	for w.next() != nil {
		n++
	}
	return n, nil
}

// ACL returns the ACL and the Stat of the znode at path. It takes PermRead or PermAdmin; who has no PermAdmin sees no password of a digest.
func (a Access) ACL(path string) (list []ACL, s Stat, err error) {
	x, err := a.see(path, PermRead|PermAdmin)
	if err != nil {
		return nil, s, err
	}
	x.stat(&s)
	list = append(list, aclOf(x.path(), x.rare).list...)
	if a.view.tree.may(a.who, x.path(), x.rare, PermAdmin) != nil {
		for i := range list {
			if user, _, ok := strings.Cut(list[i].ID, ":"); ok && list[i].Scheme == "digest" {
				list[i].ID = user + ":x"
			}
		}
	}
	return list, s, nil
}
