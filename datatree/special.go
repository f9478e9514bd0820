package datatree

import (
	"maps"
	"slices"
	"strings"
)

// special finds the znodes that something happens to by itself. Writer only.
type special struct {
	owned   map[uint64]map[string]struct{} // ephemerals, by session
	mortal  map[string]int                 // containers, and znodes with a TTL, and where they are in mortals
	mortals []mortal
	quotas  map[string]struct{} // paths that have limits
	reaping
}

// note adds what v says to special, or takes it away. A version that is dead says nothing.
func (s *special) note(v *version, add bool) {
	if v.dead {
		return
	}
	var r rare
	if v.rare != nil {
		r = *v.rare
	}
	if owner := r.owner; owner != 0 {
		if add {
			if s.owned == nil {
				s.owned = make(map[uint64]map[string]struct{})
			}
			s.owned[owner] = keepIf(s.owned[owner], v.path(), true)
		} else if delete(s.owned[owner], v.path()); len(s.owned[owner]) == 0 {
			delete(s.owned, owner)
		}
	}
	if v.mode&Container != 0 || r.ttl != 0 {
		s.noteMortal(v.path(), add)
	}
	if path, ok := limited(v.path()); ok {
		s.quotas = keepIf(s.quotas, path, add)
	}
}

// keepIf puts path into set, or takes it out.
func keepIf(set map[string]struct{}, path string, add bool) map[string]struct{} {
	switch {
	case !add:
		delete(set, path)
	case set == nil:
		return map[string]struct{}{strings.Clone(path): {}}
	default:
		set[strings.Clone(path)] = struct{}{} // the path is a version's
	}
	return set
}

// Ephemerals returns the paths of a session's ephemeral znodes, sorted. It is called by the writer.
func (t *Tree) Ephemerals(session uint64) []string { return slices.Sorted(maps.Keys(t.owned[session])) }

// ephemeralsToBe is Ephemerals as the outstanding transactions will leave them.
func (t *Tree) ephemeralsToBe(session uint64) []string {
	paths := t.Ephemerals(session)
	for i := t.changes.first(); i < t.changes.end(); i++ {
		if c := t.changes.at(i); c.exists && c.owner() == session {
			paths = append(paths, c.path)
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	return slices.DeleteFunc(paths, func(path string) bool {
		p, _ := t.look(path, hashPath(path))
		return !p.exists || p.owner() != session
	})
}

// leaveNothing notes that path and all below it will go, if that is not too much and who may.
func (t *Tree) leaveNothing(who *Caller, path string) error {
	fresh := make(map[string][]string) // children that outstanding transactions create, by parent
	for i := t.changes.first(); i < t.changes.end(); i++ {
		c := t.changes.at(i)
		if !strings.HasPrefix(c.path, path) || len(c.path) <= len(path) || !c.exists {
			continue
		}
		if v := t.index.find(c.path, c.hash); v == nil || v.dead {
			up := c.path[:parentLen(c.path)]
			if !slices.Contains(fresh[up], c.path) {
				fresh[up] = append(fresh[up], c.path)
			}
		}
	}
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
		for _, path := range fresh[all[i]] {
			if p, _ := t.look(path, hashPath(path)); p.exists {
				all = append(all, path)
			}
		}
	}
	for _, path := range all {
		t.leave(path, hashPath(path), pending{})
	}
	return nil
}
