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
	"sync/atomic"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

const testMax = 64

// randomCaller is the host itself, or one of four sessions, each with other identities.
func randomCaller(r *rand.Rand) *Caller {
	return []*Caller{
		nil, nil,
		{Session: 1, Identities: []Identity{{"ip", "10.0.0.1"}}},
		{Session: 2, Identities: []Identity{{"ip", "127.0.0.1"}, {"digest", "ann:x"}}},
		{Session: 3, Identities: []Identity{{"ip", "127.0.0.1"}, {"digest", "bob:y"}, {"digest", "ann:x"}}},
		{Session: 4, Identities: []Identity{{"ip", "::1"}, {"super", ""}}},
	}[r.IntN(6)]
}

func randomACL(r *rand.Rand) []ACL {
	if r.IntN(20) == 0 {
		return []ACL{}
	}
	var list []ACL
	for range 1 + r.IntN(2) {
		a := []ACL{
			{PermAll, World, Anyone}, {PermAll, World, Anyone}, {PermAll, Auth, ""}, {0, "digest", "ann:x"}, {0, "digest", "bob:y"},
			{0, World, Anyone}, {0, "ip", "10.0.0.0/8"}, {0, "ip", "127.0.0.1"}, {PermAll, World, "x"}, {PermAll, "nosuch", "x"}, {PermAll, "digest", "x"},
		}[r.IntN(11)]
		if a.Perm == 0 {
			a.Perm = Perm(r.IntN(32))
		}
		list = append(list, a)
	}
	return list
}

// randomOp draws from a small space of paths, so that operations meet.
func randomOp(r *rand.Rand) Op {
	names := []string{"a", "b", "c", "a-", "zookeeper", "config", "é"}
	path := ""
	for range 1 + r.IntN(3) {
		path += "/" + names[r.IntN(len(names))]
	}
	if r.IntN(20) == 0 {
		path = "/"
	}
	var data []byte
	if n := r.IntN(20); n > 0 {
		data = make([]byte, n-1)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
	}
	if r.IntN(20) == 0 {
		path = "/zookeeper/quota/" + names[r.IntN(3)] + []string{"", "/zookeeper_limits", "/zookeeper_stats"}[r.IntN(3)]
		data = []byte([]string{"count=3,bytes=9", "count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=8", "count=1,bytes=1", "none", ""}[r.IntN(5)])
	}
	version := AnyVersion
	if r.IntN(3) == 0 {
		version = VersionOf(int32(r.IntN(3)))
	}
	switch r.IntN(18) {
	case 0, 1, 2, 3:
		return CreateOp{Path: path, Data: data}
	case 4:
		return CreateOp{Path: path, Data: data, Mode: Sequential}
	case 5, 6, 7:
		return SetOp{Path: path, Data: data, Version: version}
	case 8, 9:
		return DeleteOp{Path: path, Version: version}
	case 10:
		// What was numbered is deleted too.
		return DeleteOp{Path: fmt.Sprintf("%s%010d", path, r.IntN(4))}
	case 11, 12:
		o := CreateOp{Path: path, Data: data, Parents: r.IntN(3) == 0}
		o.Mode = []Mode{Ephemeral, Ephemeral, Ephemeral | Sequential, Container, Persistent, Sequential}[r.IntN(6)]
		if o.Mode&Ephemeral == 0 && o.Mode != Container {
			o.TTL = time.Duration(1+r.IntN(200)) * time.Millisecond
		}
		if r.IntN(2) == 0 {
			o.ACL = randomACL(r)
		}
		return o
	case 13:
		return SetACLOp{Path: path, ACL: randomACL(r), Version: version}
	case 14:
		return ReapOp{Path: path, Czxid: zab.Zxid(r.IntN(4) / 3 * r.IntN(100)), Version: version}
	case 15:
		if r.IntN(8) == 0 {
			return CloseSessionOp{1 + uint64(r.IntN(5))}
		}
		return SetACLOp{Path: path, ACL: OpenACL}
	case 16:
		return DeleteOp{Path: path, Version: version, Recursive: true}
	}
	return CheckOp{Path: path, Version: version, Czxid: zab.Zxid(r.IntN(4) / 3 * r.IntN(100))}
}

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
					t.Errorf("%q keeps old versions", v.path)
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
			t.Errorf("%q after %q", e.path, last)
		}
		last, l = e.name(), at.leaf
		if c.root.Load().leaf(last) != l {
			t.Errorf("%q is not found", e.path)
		}
		for i := range l.used {
			if e := l.slots[i].Load(); e != nil && e.gone {
				t.Errorf("%q is kept", e.path)
			}
		}
	}
	if c.last != l || n != c.n || n != int(v.children) {
		t.Errorf("%q has %d entries, counts %d, and has %d children", v.path, n, c.n, v.children)
	}
}

// do prepares and applies one request.
func do(t testing.TB, tree *Tree, ops ...Op) ([]Result, error) {
	t.Helper()
	z := tree.Zxid() + 1
	txn, err := tree.Prepare(z, 1, ops, len(ops) != 1, nil)
	if err != nil {
		return nil, err
	}
	r, err := tree.Apply(z, 1, txn)
	if err != nil {
		t.Fatal(err)
	}
	return r, nil
}

func must(t testing.TB, tree *Tree, ops ...Op) []Result {
	t.Helper()
	r, err := do(t, tree, ops...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRefusals(t *testing.T) {
	tree := New(4)
	for _, c := range []struct {
		op    Op
		want  error
		early bool // AppendOps refuses it too
	}{
		{CreateOp{Path: "/e", Mode: Ephemeral}, ErrUnsupported, false},
		{CreateOp{Path: "/e", TTL: 1}, ErrBadArguments, true},
		{CreateOp{Path: "/e", TTL: MaxTTL + time.Millisecond}, ErrBadArguments, true},
		{CreateOp{Path: "/e", TTL: time.Second, Mode: Container}, ErrBadArguments, true},
		{CreateOp{Path: "/e", ACL: []ACL{}}, ErrInvalidACL, false},
		{SetACLOp{Path: "/"}, ErrInvalidACL, false},
		{SetACLOp{Path: configPath, ACL: OpenACL}, ErrNoAuth, false},
		{CreateOp{Path: "/e", ACL: []ACL{{PermAll, World, strings.Repeat("x", MaxACL)}}}, ErrTooLarge, true},
		{CreateOp{Path: "/" + strings.Repeat("x/", MaxParents+1) + "y", Parents: true}, ErrTooLarge, false},
		{CloseSessionOp{}, ErrBadArguments, true},
		{CreateOp{Path: "/e", Mode: 8}, ErrBadArguments, true},
		{CreateOp{Path: "/e", TTL: -1}, ErrBadArguments, true},
		{CreateOp{Path: "/e", Data: []byte("12345")}, ErrTooLarge, true},
		{SetOp{Path: "/", Data: []byte("12345")}, ErrTooLarge, true},
		{CreateOp{Path: "/" + strings.Repeat("x", MaxPath)}, ErrBadArguments, true},
		{SetOp{Path: configPath}, ErrNoAuth, false},
		{CreateOp{Path: configPath + "/x"}, ErrNoAuth, false},
		{nil, ErrBadArguments, true},
	} {
		_, err := tree.Prepare(1, 1, []Op{c.op}, false, nil)
		if !errors.Is(err, c.want) {
			t.Errorf("Prepare(%v) = %v, want %v", c.op, err, c.want)
		}
		if CodeOf(err).Err() != c.want {
			t.Errorf("code %d of %v gives %v", CodeOf(err), err, CodeOf(err).Err())
		}
		_, err = AppendOps(nil, []Op{c.op}, false, 4)
		if err == nil && c.early {
			t.Errorf("AppendOps(%v) = %v, want %v", c.op, err, c.want)
		}
	}
	if !errors.Is(ErrUnsupported, ErrBadArguments) {
		t.Error("ErrUnsupported is no ErrBadArguments")
	}
	if _, err := tree.Prepare(1, 1, nil, false, nil); !errors.Is(err, ErrBadArguments) {
		t.Error(err)
	}
}

func TestCodes(t *testing.T) {
	for c := range codes {
		if err := Code(c).Err(); CodeOf(err) != Code(c) {
			t.Errorf("code %d is %v is code %d", c, err, CodeOf(err))
		}
	}
	if CodeOf(errors.New("x")) != CodeUnknown || CodeOf(CodeUnknown.Err()) != CodeUnknown {
		t.Error("unknown")
	}
}

func TestSequenceExhausted(t *testing.T) {
	tree := New(4)
	v := tree.index.find("/", hashPath("/"))
	v.creates = 1<<31 - 1
	if r := must(t, tree, CreateOp{Path: "/s", Mode: Sequential}); r[0].Path != "/s2147483647" {
		t.Error(r)
	}
	if _, err := do(t, tree, CreateOp{Path: "/s", Mode: Sequential}); !errors.Is(err, ErrSequenceExhausted) {
		t.Error(err)
	}
	must(t, tree, CreateOp{Path: "/s"})
}

func TestVersionSkipsAny(t *testing.T) {
	tree := New(4)
	tree.index.find("/", hashPath("/")).version = -2
	if r := must(t, tree, SetOp{Path: "/", Version: VersionOf(-2)}); r[0].Stat.Version != VersionOf(0) {
		t.Error(r)
	}
	if AnyVersion != VersionOf(-1) || VersionOf(7).Int() != 7 || VersionOf(7).String() != "7" || AnyVersion.String() != "any" {
		t.Error("Version")
	}
}

func TestXXH64(t *testing.T) {
	// From the reference implementation.
	for s, want := range map[string]uint64{"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b, "abc": 0x44bc2cf5ad770999} {
		if h := hashPath(s); h != want {
			t.Errorf("%q: %x", s, h)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if seed := r.Uint64(); xxh64(b, seed) != plainXXH64(b, seed) {
			t.Fatalf("%d bytes", n)
		}
	}
}

func TestForgottenView(t *testing.T) {
	tree := New(4)
	must(t, tree, CreateOp{Path: "/a"})
	tree.View() // forgotten at once
	must(t, tree, SetOp{Path: "/a"})
	must(t, tree, DeleteOp{Path: "/a"})
	noLeftovers(t, tree)
}

func TestManyZnodes(t *testing.T) {
	n := 30000
	tree := New(4)
	r := rand.New(rand.NewPCG(3, 4))
	var paths []string
	for i := range 30 {
		must(t, tree, CreateOp{Path: fmt.Sprintf("/p%d", i)})
	}
	for i := range n {
		p := fmt.Sprintf("/p%d/%x-%d", i%30, r.Uint32(), i)
		must(t, tree, CreateOp{Path: p})
		paths = append(paths, p)
	}
	v := tree.View()
	r.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for _, p := range paths[:n/2] {
		must(t, tree, DeleteOp{Path: p})
	}
	for _, p := range paths {
		if _, ok := v.Get(p); !ok {
			t.Fatal(p)
		}
	}
	for i, p := range paths {
		if _, ok := tree.Get(p); ok != (i >= n/2) {
			t.Fatal(p, ok)
		}
	}
	if d := recompute(v); d != v.Digest() {
		t.Error("digest of the view")
	}
	v.Release()
	if _, ok := v.Get("/"); ok {
		t.Error("a released view shows something")
	}
	noLeftovers(t, tree)
	if d := recompute(tree.View()); d != tree.Digest() {
		t.Error("digest")
	}
	for range tree.View().Walk("/p1") {
		break
	}
}

// TestReaders lets readers of every kind run beside the writer. Each transaction keeps what they check: /x and /y hold the same number, and the
// children of /c are as many as it says.
func TestReaders(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/x", Data: []byte("0")}, CreateOp{Path: "/y", Data: []byte("0")}, CreateOp{Path: "/c"}, CreateOp{Path: "/flip"})
	var stop atomic.Bool
	errs := make(chan error, 8)
	reader := func(f func() error) {
		for !stop.Load() {
			if err := f(); err != nil {
				errs <- err
				return
			}
			runtime.Gosched()
		}
		errs <- nil
	}
	var sum [2]zab.Zxid
	for i := range 2 {
		go reader(func() error { // a reader never goes back in time, and meets /x always
			z, ok := tree.Get("/x")
			if !ok || z.Stat.Mzxid > z.Zxid || z.Zxid < sum[i] {
				return fmt.Errorf("%+v, %v after %v", z, ok, sum[i])
			}
			sum[i] = z.Zxid
			if v := tree.View(); v.Zxid() < z.Zxid {
				return fmt.Errorf("view at %v after a read at %v", v.Zxid(), z.Zxid)
			}
			tree.Get("/flip/a")
			return nil
		})
		go reader(func() error {
			v := tree.View()
			x, _ := v.Get("/x")
			runtime.Gosched()
			y, _ := v.Get("/y")
			if !bytes.Equal(x.Data, y.Data) {
				return fmt.Errorf("%q and %q in one view", x.Data, y.Data)
			}
			c, _ := v.Get("/c")
			names, _ := v.ChildNames("/c")
			if len(names) != c.Stat.NumChildren || !slices.IsSorted(names) {
				return fmt.Errorf("%d names for %d children", len(names), c.Stat.NumChildren)
			}
			if d := recompute(v); d != v.Digest() {
				return fmt.Errorf("digest %x, want %x", d, v.Digest())
			}
			if i == 0 {
				v.Release()
			}
			return nil
		})
	}
	r := rand.New(rand.NewPCG(5, 6))
	exists := map[string]bool{}
	steps := 20000
	if testing.Short() {
		steps = 2000
	}
	for i := range steps {
		n := []byte(fmt.Sprint(i))
		ops := []Op{SetOp{Path: "/x", Data: n}, SetOp{Path: "/y", Data: n}}
		p := fmt.Sprintf("/c/%d", r.IntN(50))
		if exists[p] {
			ops = append(ops, DeleteOp{Path: p})
		} else {
			ops = append(ops, CreateOp{Path: p, Data: n})
		}
		exists[p] = !exists[p]
		if i%2 == 0 {
			ops = append(ops, CreateOp{Path: "/flip/a"}, CreateOp{Path: "/flip/a/b"})
		} else {
			ops = append(ops, DeleteOp{Path: "/flip/a/b"}, DeleteOp{Path: "/flip/a"})
		}
		must(t, tree, ops...)
		if i%16 == 0 {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	noLeftovers(t, tree)
}

func TestNoAllocations(t *testing.T) {
	tree := New(64)
	must(t, tree, CreateOp{Path: "/a", Data: []byte("data")})
	if n := testing.AllocsPerRun(100, func() { tree.Get("/a"); tree.Get("/b") }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}
