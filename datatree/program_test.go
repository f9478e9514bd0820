package datatree

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

type held struct {
	view *View
	twin *twin
}

func (h held) check(t *testing.T) {
	t.Helper()
	want := h.twin.walk("/")
	have := slices.Collect(h.view.Walk("/"))
	if !reflect.DeepEqual(have, want) {
		t.Fatalf("view at %v\nhave %v\nwant %v", h.twin.zxid, have, want)
	}
	if h.view.Zxid() != h.twin.zxid || h.view.Len() != len(h.twin.nodes) || h.view.Digest() != h.twin.digest() {
		t.Fatalf("view at %v: zxid %v, %d znodes (want %d), digest %x (want %x)", h.twin.zxid, h.view.Zxid(), h.view.Len(), len(want), h.view.Digest(), h.twin.digest())
	}
	allNames := h.twin.names()
	for _, z := range want {
		if z2, ok := h.view.Get(z.Path); !ok || !reflect.DeepEqual(z, z2) {
			t.Fatalf("Get(%q) = %v, %v", z.Path, z2, ok)
		}
		if list, s, err := h.view.For(nil).ACL(z.Path); err != nil || s != z.Stat || !slices.Equal(list, h.twin.nodes[z.Path].acl) {
			t.Fatalf("ACL(%q) = %v, %v, want %v", z.Path, list, err, h.twin.nodes[z.Path].acl)
		}
		names, _ := h.view.ChildNames(z.Path)
		if wantNames := allNames[z.Path]; !slices.Equal(names, wantNames) {
			t.Fatalf("ChildNames(%q) = %q, want %q", z.Path, names, wantNames)
		}
		for i, name := range names {
			if i > 3 && i < len(names)-1 {
				continue // each page costs as much as what is left
			}
			var rest []string
			for c := range h.view.ChildrenAfter(z.Path, name) {
				rest = append(rest, c.Path[strings.LastIndexByte(c.Path, '/')+1:])
			}
			if !slices.Equal(rest, names[i+1:]) {
				t.Fatalf("ChildrenAfter(%q, %q) = %q", z.Path, name, rest)
			}
		}
	}
}

// transfer sends a view through chunks of random size.
func transfer(t *testing.T, r *rand.Rand, v *View) *Tree {
	t.Helper()
	l := NewLoader(testMax)
	c := v.Chunks(1 + r.IntN(300))
	for {
		chunk, last := c.Next()
		if err := l.Add(chunk); err != nil {
			t.Fatal(err)
		}
		if last {
			break
		}
	}
	tree, err := l.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

var twinOps = flag.Int("operations", 40000, "how many `operations` TestTwin compares")

func TestTwin(t *testing.T) {
	const each = 5000 // the tree grows, and the twin gets slow
	for seed := range uint64((*twinOps + each - 1) / each) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			twinProgram(t, seed, each)
		})
	}
}

// twinProgram prepares up to a few transactions ahead, as a leader does, applies them there and on a follower, and now and then holds
// a view, changes the leader, or replaces the follower by what its chunks give.
func twinProgram(t *testing.T, seed uint64, operations int) {
	r := rand.New(rand.NewPCG(seed, 1))
	leader, follower := New(testMax), New(testMax)
	type entry struct {
		z       zab.Zxid
		txn     []byte
		who     *Caller
		ops     []Op
		results []Result
	}
	var (
		applied  = newTwin()
		newest   = newTwin() // with all that is outstanding
		queue    []entry
		views    []held
		z        zab.Zxid
		failures int
		count    int
	)
	apply := func() {
		e := queue[0]
		queue = queue[1:]
		results, _, err := applied.do(e.z, int64(e.z)*7, e.who, nil, e.ops)
		if err != nil || !reflect.DeepEqual(results, e.results) {
			t.Fatalf("the twin changed its mind: %v, %v", results, err)
		}
		digest := uint64(0)
		if r.IntN(8) == 0 {
			digest = applied.digest()
		}
		for _, tree := range []*Tree{leader, follower} {
			results, err := tree.Apply(e.z, int64(e.z)*7, e.txn)
			if err != nil {
				t.Fatal(err)
			}
			if len(e.results)+len(results) > 0 && !reflect.DeepEqual(results, e.results) {
				t.Fatalf("results %+v\nwant %+v", results, e.results)
			}
			if digest == 0 {
				continue
			}
			if tree.Digest() != digest {
				held{tree.View(), applied.clone()}.check(t)
				t.Fatalf("digest %x, want %x", tree.Digest(), digest)
			}
			for session := range uint64(5) {
				if have, want := tree.Ephemerals(session), applied.ephemerals(session); !slices.Equal(have, want) {
					t.Fatalf("session %d has %q, want %q", session, have, want)
				}
			}
		}
		clear(e.txn) // nothing may alias it
	}
	for count < operations {
		switch k := r.IntN(100); {
		case k < 60:
			z += 1 + zab.Zxid(r.IntN(2))
			multi := r.IntN(3) == 0
			ops := []Op{randomOp(r)}
			for multi && r.IntN(4) > 0 {
				ops = append(ops, randomOp(r))
			}
			count += len(ops)
			who := randomCaller(r)
			request, err := AppendOps(nil, ops, multi, testMax)
			if err != nil {
				t.Fatal(err)
			}
			decoded, multi2, err := DecodeOps(request)
			if err != nil || multi2 != multi || !reflect.DeepEqual(decoded, ops) {
				t.Fatalf("%v became %v, %v", ops, decoded, err)
			}
			var txn []byte
			if r.IntN(2) == 0 {
				txn, err = leader.PrepareFor(who, z, int64(z)*7, decoded, multi, nil)
			} else {
				txn, err = leader.PrepareRequestFor(who, z, int64(z)*7, request, nil)
			}
			clear(request)
			results, index, wantErr := newest.do(z, int64(z)*7, who, applied, ops)
			if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
				t.Fatalf("Prepare(%+v, %v): %v, want %v", who, ops, err, wantErr)
			}
			if err != nil {
				failures++
				var oe *OpError
				if !multi {
					index = -1
				}
				if !errors.As(err, &oe) || oe.Index != index {
					t.Fatalf("%+v, want index %d", err, index)
				}
				continue
			}
			queue = append(queue, entry{z, txn, who, ops, results})
		case k < 90:
			if len(queue) > 0 {
				apply()
			}
		case k < 93:
			views = append(views, held{leader.View(), applied.clone()}, held{follower.View(), applied.clone()})
		case k < 96:
			for i := len(views) - 1; i >= 0; i-- {
				views[i].check(t)
				if r.IntN(2) == 0 {
					views[i].view.Release()
					views = slices.Delete(views, i, i+1)
				}
			}
		case k < 97:
			// The leader changes: what is outstanding is lost from some place on, and what is left comes back through the log.
			leader.Abandon()
			queue = queue[:r.IntN(len(queue)+1)]
			for len(queue) > 0 {
				apply()
			}
			newest = applied.clone()
		case k < 98:
			v := follower.View()
			follower = transfer(t, r, v)
			if follower.Digest() != applied.digest() {
				t.Fatal("digest of the copy")
			}
			held{follower.View(), applied}.check(t)
		case k < 99:
			if len(queue) == 0 {
				z++
				if leader.Advance(z) != nil || follower.Advance(z) != nil {
					t.Fatal("Advance")
				}
				applied.zxid, newest.zxid = z, z
				if at := int64(z) * 7; !slices.Equal(leader.Due(at), applied.dueAt(at)) {
					t.Fatalf("due: %v, want %v", leader.Due(at), applied.dueAt(at))
				}
			}
		default:
			// A torn or foreign transaction leaves everything as it was.
			if len(queue) > 0 && len(queue[0].txn) > 0 {
				before := follower.Digest()
				bad := bytes.Clone(queue[0].txn)
				bad = bad[:r.IntN(len(bad))]
				if _, err := follower.Apply(queue[0].z, 1, bad); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%v for a torn transaction", err)
				}
				if follower.Digest() != before {
					t.Fatal("a torn transaction has changed the tree")
				}
				held{follower.View(), applied}.check(t)
			}
		}
	}
	for len(queue) > 0 {
		apply()
	}
	for _, h := range append(views, held{leader.View(), applied}, held{follower.View(), applied}) {
		h.check(t)
		h.view.Release()
	}
	if len(leader.overlay)+len(leader.txns.all)+len(leader.changes.all) != 0 {
		t.Error("outstanding changes are left")
	}
	noLeftovers(t, leader)
	noLeftovers(t, follower)
	if failures == 0 || failures == operations {
		t.Error("the program is one-sided")
	}
}

// noLeftovers checks that without views nothing but the znodes is kept.
func noLeftovers(t *testing.T, tree *Tree) {
	t.Helper()
	for i := 0; tree.kept > 0; i++ {
		if i > 1000 {
			t.Fatalf("%d versions are never let go", tree.kept)
		}
		runtime.GC() // lets go of the views that were not released
		if err := tree.Advance(tree.Zxid() + 1); err != nil {
			t.Fatal(err)
		}
	}
	found := special{}
	v := tree.View()
	for z := range v.Walk("/") {
		found.note(v.find(z.Path), true)
	}
	v.Release()
	if a, b := fmt.Sprint(found), fmt.Sprint(tree.special); len(tree.quotas)+len(tree.mortal)+len(tree.owned) != len(found.quotas)+len(found.mortal)+len(found.owned) || a != b {
		t.Errorf("ephemerals, containers and quotas are %s, want %s", b, a)
	}
	d := tree.index.dir.Load()
	seen := map[*segment]bool{}
	n := 0
	for i := range d.segs {
		s := d.segs[i].Load()
		if seen[s] {
			continue
		}
		seen[s] = true
		for j := range s.slots {
			if v := s.slots[j].Load(); v != nil {
				n++
				if v.dead || v.newer != nil || v.prev.Load() != nil {
					t.Errorf("%q keeps old versions", v.path())
				}
				if k := v.entry.kids.Load(); k != nil {
					k.check(t, v)
				}
			}
		}
		if s.live > n {
			t.Error("a segment counts wrongly")
		}
	}
	if n != tree.Len() {
		t.Errorf("%d entries for %d znodes", n, tree.Len())
	}
}

// check checks that the children of v are in order, and as many as it says.
func (c *children) check(t *testing.T, v *version) {
	t.Helper()
	n, last := 0, ""
	var l *leaf
	for at := c.after(""); ; n++ {
		e := at.next()
		if e == nil {
			break
		}
		if e.name() <= last || e.parent != v.entry || e.gone {
			t.Errorf("%q after %q", e.name(), last)
		}
		last, l = e.name(), at.leaf
		if c.root.Load().leaf(last) != l {
			t.Errorf("%q is not found", e.name())
		}
		for i := range l.used {
			if e := l.slots[i].Load(); e != nil && e.gone {
				t.Errorf("%q is kept", e.name())
			}
		}
	}
	if c.last != l || n != c.n || n != int(v.children) {
		t.Errorf("%q has %d entries, counts %d, and has %d children", v.path(), n, c.n, v.children)
	}
}
