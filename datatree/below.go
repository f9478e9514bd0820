package datatree

import "slices"

// fresh finds what outstanding transactions create, by parent: what is below a znode stands there and in the index. It is brought up to date when it is asked, so that each change
// is looked at once and not by every deletion.
type fresh struct {
	below    map[string][]int // numbers of changes that leave a znode which is outstanding, ascending; nil: nobody has asked
	from, to int              // the changes that were looked at
}

// refresh looks at the changes that are new.
func (t *Tree) refresh() {
	f := &t.fresh
	if f.below == nil {
		*f = fresh{make(map[string][]int), t.changes.first(), t.changes.first()}
	}
	for ; f.to < t.changes.end(); f.to++ {
		if c := t.changes.at(f.to); c.exists && c.czxid > t.now.zxid {
			up := c.path[:parentLen(c.path)]
			f.below[up] = append(f.below[up], f.to)
		}
	}
}

// forget takes back change n, the last.
func (f *fresh) forget(n int, c *change) {
	if n >= f.to {
		return
	}
	f.to = n
	up := c.path[:parentLen(c.path)]
	switch l := f.below[up]; {
	case len(l) == 0 || l[len(l)-1] != n:
	case len(l) == 1:
		delete(f.below, up)
	default:
		f.below[up] = l[:len(l)-1]
	}
}

// age lets go of all when half of the changes before first have gone.
func (f *fresh) age(first int) {
	if f.below != nil && first-f.from >= (f.to-f.from+1)/2 {
		*f = fresh{}
	}
}

// leaveNothing notes that path and all below it will go, if that is not too much and who may.
func (t *Tree) leaveNothing(who *Caller, path string) error {
	t.refresh()
	all := []string{path}
	for i := 0; i < len(all); i++ {
		p, _ := t.look(all[i], hashPath(all[i]))
		if p.children == 0 {
			continue
		}
		if err := t.may(who, all[i], p.rare, PermDelete); err != nil {
			return err
		}
		if len(all)+int(p.children) > MaxRecursive {
			return ErrTooLarge
		}
		if v := t.index.find(all[i], hashPath(all[i])); v != nil {
			for c := v.entry.kids.Load().after(""); ; {
				e := c.next()
				if e == nil {
					break
				}
				kid := t.index.newest(e)
				if kid == nil || kid.dead {
					continue // if it will be there again, it is among the fresh
				}
				if p, _ := t.look(kid.path(), e.hash); p.exists {
					all = append(all, kid.path())
				}
			}
		}
		all = t.appendFresh(all, all[i])
	}
	for _, path := range all {
		t.leave(path, hashPath(path), pending{})
	}
	return nil
}

// appendFresh appends the children of up that outstanding transactions create and that are not in the index.
func (t *Tree) appendFresh(all []string, up string) []string {
	had := len(all)
	for _, n := range t.fresh.below[up] {
		if n < t.changes.first() {
			continue
		}
		c := t.changes.at(n)
		if v := t.index.find(c.path, c.hash); v != nil && !v.dead {
			continue
		}
		if p, _ := t.look(c.path, c.hash); p.exists {
			all = append(all, c.path)
		}
	}
	slices.Sort(all[had:])
	return all[:had+len(slices.Compact(all[had:]))]
}
