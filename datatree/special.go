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
	for i := t.changes.first(); i < t.changes.end() && t.begun[session]+t.effort.begun > 0; i++ {
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
