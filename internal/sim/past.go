package sim

import (
	"fmt"
	"sort"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// past is every state that the naive tree was ever in, so that what a member shows can be judged at its own zxid.
type past struct {
	now    map[string]*znode
	at     map[string][]moment
	counts []counted
	openAt func(session uint64, z zab.Zxid) bool // nil: there are no sessions
}

// moment is the state of a path from a transaction on.
type moment struct {
	from zab.Zxid
	node *znode // nil: there is none
}

// counted is how many znodes there are from a transaction on.
type counted struct {
	from zab.Zxid
	n    int
}

func newPast() past {
	p := past{now: builtin(), at: map[string][]moment{}}
	for path, n := range p.now {
		p.at[path] = []moment{{0, n}}
	}
	p.counts = []counted{{0, len(p.now)}}
	return p
}

// take makes what a transaction changed the newest state.
func (p *past) take(z zab.Zxid, changes []change) {
	for _, c := range changes {
		if c.node != nil {
			p.now[c.path] = c.node
		} else {
			delete(p.now, c.path)
		}
		p.at[c.path] = append(p.at[c.path], moment{z, c.node})
	}
	if n := len(p.now); n != p.counts[len(p.counts)-1].n {
		p.counts = append(p.counts, counted{z, n})
	}
}

// asOf returns the znode at path as it was at z, or nil.
func (p *past) asOf(path string, z zab.Zxid) *znode {
	h := p.at[path]
	if n := len(h); n > 0 && h[n-1].from <= z {
		return h[n-1].node
	}
	i := sort.Search(len(h), func(i int) bool { return h[i].from > z })
	if i == 0 {
		return nil
	}
	return h[i-1].node
}

func (p *past) countAt(z zab.Zxid) int {
	i := sort.Search(len(p.counts), func(i int) bool { return p.counts[i].from > z })
	return p.counts[i-1].n
}

// check compares all of a view with the past.
func (p *past) check(v *datatree.View) error {
	n, last := 0, ""
	for got := range v.Walk("/") {
		if n > 0 && !precedes(last, got.Path) {
			return fmt.Errorf("inv/C13: at %v a walk shows %q after %q", v.Zxid(), got.Path, last)
		}
		n, last = n+1, got.Path
		if err := p.compare(got.Path, v.Zxid(), &got); err != nil {
			return err
		}
	}
	if want := p.countAt(v.Zxid()); n != want || v.Len() != want {
		return fmt.Errorf("inv/C5: at %v a walk shows %d znodes of %d, there were %d", v.Zxid(), n, v.Len(), want)
	}
	return checkPair(v)
}

// point compares one path of a view with the past.
func (p *past) point(v *datatree.View, path string) error {
	got, ok := v.Get(path)
	if !ok {
		return p.compare(path, v.Zxid(), nil)
	}
	return p.compare(path, v.Zxid(), &got)
}

func (p *past) compare(path string, z zab.Zxid, got *datatree.Znode) error {
	want := p.asOf(path, z)
	if (want == nil) != (got == nil) || want != nil && (!want.same(got) || got.Path != path || got.Zxid != z) {
		id := "inv/C5"
		if want != nil && want.stat.EphemeralOwner != 0 && got == nil || got != nil && got.Stat.EphemeralOwner != 0 && p.openAt != nil && !p.openAt(got.Stat.EphemeralOwner, z) {
			id = "inv/C9" // it lives for a shorter time than its session, or for a longer one
		}
		return fmt.Errorf("%s: %q at %v is %+v, the reference says %+v", id, path, z, got, want)
	}
	return nil
}

// checkPair compares the two znodes that every transaction changes together.
func checkPair(v *datatree.View) error {
	a, there := v.Get(pairA)
	b, too := v.Get(pairB)
	if there != too || string(a.Data) != string(b.Data) || a.Stat != b.Stat {
		return fmt.Errorf("inv/C12: the pair is torn at %v: %+v, %+v", v.Zxid(), a, b)
	}
	return nil
}

// precedes reports whether a comes before b in the order of a walk: a parent before its children, these by name.
func precedes(a, b string) bool {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		return a[i] == '/' || b[i] != '/' && a[i] < b[i]
	}
	return len(a) < len(b)
}

// checkShape compares the counters of what a walk showed with what it showed.
func checkShape(shown []datatree.Znode) error {
	children := map[string]int{}
	for i := range shown {
		if p := shown[i].Path; p != "/" {
			children[parentOf(p)]++
		}
	}
	for i := range shown {
		if z := &shown[i]; z.Stat.NumChildren != children[z.Path] || z.Stat.DataLength != len(z.Data) {
			return fmt.Errorf("inv/C13: %q says %+v, and has %d children and %d bytes", z.Path, z.Stat, children[z.Path], len(z.Data))
		}
	}
	return nil
}
