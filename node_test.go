package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/ensembletest"
)

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestElectWriteRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		if l := c.WaitLeader(); l == 0 || len(c.Followers()) != 2 {
			t.Fatalf("leader %d, followers %v", l, c.Followers())
		}
		for id := ensemble.ID(1); id <= 3; id++ {
			n := c.Node(id)
			path := must[string](t)(n.Create(ctx, fmt.Sprintf("/m%d", id), []byte{byte(id)}, ensemble.Persistent))
			z := must[ensemble.Znode](t)(n.Get(ctx, path)) // one sees one's own writes
			if len(z.Data) != 1 || z.Data[0] != byte(id) || z.Stat.Version.Int() != 0 || z.Stat.Czxid == 0 || z.Zxid < z.Stat.Czxid {
				t.Fatalf("%+v", z)
			}
			for other := ensemble.ID(1); other <= 3; other++ {
				if err := c.Node(other).Await(ctx, z.Stat.Czxid); err != nil {
					t.Fatal(err)
				}
				if _, ok, err := c.Node(other).Exists(ctx, path); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
		n := c.Node(2)
		if names := must[[]string](t)(n.Children(ctx, "/")); !slices.Equal(names, []string{"m1", "m2", "m3", "zookeeper"}) {
			t.Fatal(names)
		}
		stat := must[ensemble.Stat](t)(n.Set(ctx, "/m1", []byte("x"), ensemble.VersionOf(0)))
		if stat.Version.Int() != 1 {
			t.Fatalf("%+v", stat)
		}
		if err := n.Delete(ctx, "/m1", ensemble.VersionOf(7)); !errors.Is(err, ensemble.ErrBadVersion) || errors.Is(err, ensemble.ErrUncertain) {
			t.Fatal(err)
		}
		if err := n.Delete(ctx, "/m1", ensemble.VersionOf(1)); err != nil {
			t.Fatal(err)
		}
		r := must[[]ensemble.Result](t)(n.Multi(ctx, ensemble.CreateOp{Path: "/q"}, ensemble.CreateOp{Path: "/q/a-", Mode: ensemble.Sequential}, ensemble.CheckOp{Path: "/q"}))
		if len(r) != 3 || r[1].Path != "/q/a-0000000000" || r[0].Zxid != r[1].Zxid {
			t.Fatalf("%+v", r)
		}
		_, err := n.Multi(ctx, ensemble.CreateOp{Path: "/fresh"}, ensemble.CreateOp{Path: "/q"})
		var oe *ensemble.OpError
		if !errors.As(err, &oe) || oe.Index != 1 || oe.Op != "create" || oe.Path != "/q" || !errors.Is(err, ensemble.ErrNodeExists) {
			t.Fatalf("%v", err)
		}
		if _, ok, _ := n.Exists(ctx, "/fresh"); ok {
			t.Fatal("half of a multi")
		}
		if v := n.View(); v.Digest() == 0 || v.Len() != 8 {
			t.Fatalf("%d znodes", v.Len())
		}
	})
}

func TestACLsAndRecursiveDeletes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		n := ensembletest.New(t, 3).Node(2)
		list := []ensemble.ACL{{Perm: ensemble.PermRead | ensemble.PermAdmin, Scheme: "digest", ID: "ann:smGaoVKd/cQkjm7b88GyorAUz20="}}
		must[[]ensemble.Result](t)(n.Multi(ctx, ensemble.CreateOp{Path: "/a", ACL: list}, ensemble.CreateOp{Path: "/a/b"}, ensemble.CreateOp{Path: "/a/b/c"}))
		have, stat, err := n.ACL(ctx, "/a")
		if err != nil || !slices.Equal(have, list) || stat.Aversion.Int() != 0 || stat.NumChildren != 1 {
			t.Fatal(have, stat, err)
		}
		if _, err := n.Do(ctx, ensemble.SetACLOp{Path: "/a", ACL: []ensemble.ACL{{Scheme: "nobody's"}}}); !errors.Is(err, ensemble.ErrInvalidACL) {
			t.Error(err)
		}
		r := must[ensemble.Result](t)(n.Do(ctx, ensemble.SetACLOp{Path: "/a", ACL: []ensemble.ACL{{Perm: ensemble.PermAll, Scheme: "world", ID: "anyone"}}}))
		if r.Path != "/a" || r.Stat.Aversion.Int() != 1 || r.Stat.Version.Int() != 0 {
			t.Errorf("%+v", r)
		}
		if _, err := n.Do(ctx, ensemble.SetACLOp{Path: "/a", ACL: list, Version: ensemble.VersionOf(0)}); !errors.Is(err, ensemble.ErrBadVersion) {
			t.Error(err)
		}
		for path, want := range map[string]error{"/none": ensemble.ErrNoNode, "none": ensemble.ErrBadPath, "": ensemble.ErrBadPath} {
			if _, _, err := n.ACL(ctx, path); !errors.Is(err, want) {
				t.Errorf("%q: %v", path, err)
			}
		}
		if err := n.Delete(ctx, "/a", ensemble.AnyVersion); !errors.Is(err, ensemble.ErrNotEmpty) {
			t.Error(err)
		}
		must[ensemble.Result](t)(n.Do(ctx, ensemble.DeleteOp{Path: "/a", Recursive: true}))
		if v := n.View(); v.Len() != 4 {
			t.Errorf("%d znodes are left", v.Len())
		}
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) { cfg.MaxData = 10 })
		n := c.Node(1)
		create := func(path string, data []byte, mode ensemble.Mode) error {
			_, err := n.Create(ctx, path, data, mode)
			return err
		}
		for _, x := range []struct {
			err, want error
			op, path  string
		}{
			{create("a", nil, 0), ensemble.ErrBadPath, "create", "a"},
			{create("/a", make([]byte, 11), 0), ensemble.ErrTooLarge, "create", "/a"},
			{create("/a", nil, ensemble.Ephemeral|ensemble.Container), ensemble.ErrBadArguments, "create", "/a"},
			{create("/a/b", nil, 0), ensemble.ErrNoNode, "create", "/a/b"},
			{create("/zookeeper", nil, 0), ensemble.ErrNodeExists, "create", "/zookeeper"},
			{n.Delete(ctx, "/zookeeper/x", ensemble.AnyVersion), ensemble.ErrNoNode, "delete", "/zookeeper/x"},
			{second(n.Get(ctx, "/none")), ensemble.ErrNoNode, "get", "/none"},
			{second(n.Get(ctx, "none")), ensemble.ErrBadPath, "get", "none"},
			{second(n.Children(ctx, "/none")), ensemble.ErrNoNode, "children", "/none"},
			{second(n.Do(ctx, ensemble.CreateOp{Path: "/a", TTL: -1})), ensemble.ErrBadArguments, "create", "/a"},
			{second(n.Do(ctx, ensemble.DeleteOp{Path: "/a", Recursive: true})), ensemble.ErrNoNode, "delete", "/a"},
			{second(n.Submit(ensemble.SetOp{Path: "/none"}).Wait(ctx)), ensemble.ErrNoNode, "set", "/none"},
			{second(n.Submit(ensemble.SetOp{Path: "none"}).Wait(ctx)), ensemble.ErrBadPath, "set", "none"},
		} {
			var oe *ensemble.OpError
			if !errors.Is(x.err, x.want) || !errors.As(x.err, &oe) || oe.Op != x.op || oe.Path != x.path || oe.Index != -1 || errors.Is(x.err, ensemble.ErrUncertain) {
				t.Errorf("%v, not %v of %s %s", x.err, x.want, x.op, x.path)
			}
		}
		if _, _, err := n.Exists(ctx, "//"); !errors.Is(err, ensemble.ErrBadPath) {
			t.Error(err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// The virtual wait for the loss to be noticed costs nothing in real time.
func TestFailoverIsFast(t *testing.T) {
	const limit = 50 * time.Millisecond
	best := time.Hour
	for range 10 { // of several, because other tests may have the machine
		begin := time.Now()
		bubble(t, failover)
		if best = min(best, time.Since(begin)); best < limit {
			t.Log(best)
			return
		}
	}
	t.Errorf("a failover takes %v", best)
}

func failover(t *testing.T) {
	c := ensembletest.New(t, 3)
	old := c.WaitLeader()
	must[string](t)(c.Node(old).Create(t.Context(), "/a", nil, 0))
	c.Crash(old)
	n := c.Node(c.WaitLeader())
	must[string](t)(n.Create(t.Context(), "/b", nil, 0))
	if names := must[[]string](t)(n.Children(t.Context(), "/")); !slices.Equal(names, []string{"a", "b", "zookeeper"}) {
		t.Fatal(names)
	}
	if s := n.Status(); s.Role != ensemble.Leading || s.Epoch < 2 {
		t.Fatalf("%+v", s)
	}
}

// Sequential creates by followers go on while the leader is lost: each takes effect exactly once, in the order of its submitter.
func TestWritesSurviveTheLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 5)
		must[string](t)(c.Node(1).Create(ctx, "/q", nil, 0))
		leader := c.WaitLeader()
		const each = 200
		pending := map[ensemble.ID][]*ensemble.Pending{}
		followers := c.Followers()
		for i := range each {
			if i == each/2 {
				c.Crash(leader)
			}
			for _, id := range followers {
				op := ensemble.CreateOp{Path: "/q/n-", Data: fmt.Appendf(nil, "%d-%d", id, i), Mode: ensemble.Sequential}
				pending[id] = append(pending[id], c.Node(id).Submit(op))
			}
			if i%10 == 0 {
				<-time.After(time.Millisecond)
			}
		}
		acked := map[string]string{}
		for _, id := range followers {
			last := ""
			for i, p := range pending[id] {
				r, err := p.Wait(ctx)
				if err != nil {
					t.Fatalf("member %d, write %d: %v", id, i, err)
				}
				if r.Path <= last {
					t.Fatalf("member %d: %s after %s", id, r.Path, last)
				}
				last = r.Path
				acked[r.Path] = fmt.Sprintf("%d-%d", id, i)
			}
		}
		n := c.Node(c.WaitLeader())
		must[ensemble.Zxid](t)(n.Sync(ctx))
		count := 0
		for z := range n.View().Children("/q") {
			count++
			if acked[z.Path] != string(z.Data) {
				t.Errorf("%s holds %q, was acknowledged as %q", z.Path, z.Data, acked[z.Path])
			}
		}
		if count != each*len(followers) || len(acked) != count {
			t.Fatalf("%d znodes of %d writes", count, len(acked))
		}
	})
}

func TestBlankRestartIsReadmitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		for round := range 4 {
			leader := c.WaitLeader()
			victim := leader
			if round%2 == 0 {
				victim = c.Followers()[0]
			}
			c.Wipe(victim)
			must[string](t)(c.Node(c.WaitLeader()).Create(ctx, fmt.Sprintf("/r%d", round), nil, 0))
			n := c.Restart(victim)
			if err := n.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Get(ctx, fmt.Sprintf("/r%d", round)); err != nil {
				t.Fatal(err)
			}
			must[string](t)(n.Create(ctx, fmt.Sprintf("/s%d", round), nil, 0))
		}
		var last ensemble.Zxid
		for id := ensemble.ID(1); id <= 3; id++ {
			last = max(last, must[ensemble.Zxid](t)(c.Node(id).Sync(ctx)))
		}
		digests := map[uint64]bool{}
		for id := ensemble.ID(1); id <= 3; id++ {
			if err := c.Node(id).Await(ctx, last); err != nil {
				t.Fatal(err)
			}
			digests[c.Node(id).View().Digest()] = true
		}
		if len(digests) != 1 {
			t.Fatalf("%d different digests", len(digests))
		}
	})
}

func TestSyncSeesWhatWasAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		for i := range 20 {
			writer, reader := c.Node(ensemble.ID(i%3+1)), c.Node(ensemble.ID((i+1)%3+1))
			path := must[string](t)(writer.Create(ctx, "/s-", nil, ensemble.Sequential))
			z := must[ensemble.Zxid](t)(reader.Sync(ctx))
			if s, ok, err := reader.Exists(ctx, path); !ok || err != nil || s.Czxid > z {
				t.Fatalf("%s: %v %v %v, synced to %v", path, s.Czxid, ok, err, z)
			}
		}
		// One that is cut off reads what it has, and cannot sync.
		id := c.Followers()[0]
		c.Isolate(id)
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if _, err := c.Node(id).Sync(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := c.Node(id).Get(ctx, "/s-0000000000"); err != nil {
			t.Fatal(err)
		}
		c.Heal()
		must[ensemble.Zxid](t)(c.Node(id).Sync(ctx))
	})
}

func TestAwait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		n := c.Node(c.Followers()[0])
		next := n.View().Zxid() + 3
		got := make(chan error, 3)
		for range 2 {
			go func() { got <- n.Await(ctx, next) }()
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := n.Await(short, next); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		for range 3 {
			must[string](t)(n.Create(ctx, "/a-", nil, ensemble.Sequential))
		}
		for range 2 {
			if err := <-got; err != nil || n.View().Zxid() < next {
				t.Fatal(err)
			}
		}
		go func() { got <- n.Await(ctx, next+1000) }()
		synctest.Wait()
		n.Close()
		if err := <-got; !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestStatusChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		leader := c.WaitLeader()
		n := c.Node(c.Followers()[0])
		if s := n.Status(); s.Leader != leader || s.Role != ensemble.Following || !s.Ready || s.Reason != 0 || s.Znodes != 4 || len(s.Peers) != 2 || !s.Peers[0].Reachable || !s.Peers[1].Reachable {
			t.Fatalf("%+v", s)
		}
		leaders := make(chan ensemble.ID, 100)
		over := make(chan ensemble.Status, 1)
		go func() {
			var s ensemble.Status
			for s = range n.StatusChanges(t.Context()) {
				if s.Ready {
					leaders <- s.Leader
				}
			}
			over <- s
		}()
		if l := <-leaders; l != leader {
			t.Fatalf("the first is not the present one: %d", l)
		}
		c.Crash(leader)
		for l := range leaders {
			if l != leader && l != 0 {
				break
			}
		}
		n.Close()
		if s := <-over; s.Role != ensemble.Stopped || s.Reason != ensemble.Ended || s.Ready {
			t.Fatalf("%+v", s)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range c.Node(c.WaitLeader()).StatusChanges(short) {
		}
	})
}

// A member whose MaxData is less than that of others takes over what they hold, and refuses such data from its own callers.
func TestSmallerMaxData(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const large, small = 400_000, 1000
		sizes := map[ensemble.ID]int{1: large, 2: large, 3: large}
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) { cfg.MaxData = sizes[cfg.ID] })
		leader := c.WaitLeader()
		must[string](t)(c.Node(leader).Create(t.Context(), "/a", make([]byte, large), 0))
		id := c.Followers()[0]
		sizes[id] = small
		c.Wipe(id)
		must[string](t)(c.Node(leader).Create(t.Context(), "/b", make([]byte, large), 0))
		for i := range 100 { // until it needs a snapshot
			p := c.Node(leader).Submit(ensemble.SetOp{Path: "/b", Data: make([]byte, large)})
			if i%10 == 9 {
				must[ensemble.Result](t)(p.Wait(t.Context()))
			}
		}
		n := c.Restart(id)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := n.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if z, err := n.Get(ctx, "/a"); err != nil || len(z.Data) != large {
			t.Fatal(err)
		}
		if _, err := n.Set(ctx, "/a", make([]byte, small+1), ensemble.AnyVersion); !errors.Is(err, ensemble.ErrTooLarge) {
			t.Fatal(err)
		}
	})
}

// What a Status says of the peers keeps up while nothing else changes.
func TestStatusOfPeersKeepsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		leader := c.WaitLeader()
		n := c.Node(leader)
		for i := range 100 {
			must[string](t)(n.Create(t.Context(), fmt.Sprintf("/a%d", i), nil, 0))
		}
		<-time.After(10 * time.Second)
		s := n.Status()
		for _, p := range s.Peers {
			if ago := time.Since(p.Heard); ago > time.Second || p.Lag != 0 {
				t.Errorf("heard %d %v ago, lag %d", p.ID, ago, p.Lag)
			}
		}
		if s.Logged != s.Applied || len(s.Peers) != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTransfer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 3)
		for range 4 {
			leader := c.WaitLeader()
			to := c.Followers()[0]
			if err := c.Node(leader).Transfer(ctx, to); err != nil {
				t.Fatal(err)
			}
			must[string](t)(c.Node(to).Create(ctx, "/t-", nil, ensemble.Sequential))
			if l := c.WaitLeader(); l != to {
				t.Fatalf("%d leads, not %d", l, to)
			}
		}
		for _, id := range c.Followers() {
			if err := c.Node(id).Transfer(ctx, 0); !errors.Is(err, ensemble.ErrNotLeading) {
				t.Fatal(err)
			}
		}
	})
}

func TestOneMember(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: 7, Members: []ensemble.Member{{ID: 7}}}))
		defer n.Close()
		must[string](t)(n.Create(t.Context(), "/a", nil, 0))
		must[ensemble.Zxid](t)(n.Sync(t.Context()))
		if n.Session().ID() == 0 || n.Session().Session() != n.Session() {
			t.Fatal("no session")
		}
	})
}

func TestSeveralSizes(t *testing.T) {
	for _, size := range []int{2, 4, 5, 7} {
		bubble(t, func(t *testing.T) {
			c := ensembletest.New(t, size)
			must[string](t)(c.Node(ensemble.ID(size)).Create(t.Context(), "/a", nil, 0))
		})
	}
}

func TestObserver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.New(t, 4, func(cfg *ensemble.Config) { cfg.Members[3].Observer = true })
		n := c.Node(4)
		if s := n.Status(); s.Role != ensemble.Observing {
			t.Fatalf("%+v", s)
		}
		path := must[string](t)(n.Create(ctx, "/a", nil, 0))
		if _, err := n.Get(ctx, path); err != nil {
			t.Fatal(err)
		}
	})
}

// The largest requests arrive, and what is larger is refused before anybody is sent it.
func TestLargestRequests(t *testing.T) {
	const most = 4 << 20
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) { cfg.MaxData = most })
		leader := c.WaitLeader()
		data := make([]byte, most)
		for i, id := range []ensemble.ID{leader, c.Followers()[0]} {
			n := c.Node(id)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			path := must[string](t)(n.Create(ctx, fmt.Sprintf("/whole%d", i), data, ensemble.Persistent))
			var parts []ensemble.Op
			for range 64 {
				parts = append(parts, ensemble.SetOp{Path: path, Data: data[:most/64]})
			}
			must[[]ensemble.Result](t)(n.Multi(ctx, parts...))
			if _, err := n.Multi(ctx, ensemble.SetOp{Path: path, Data: data}, ensemble.SetOp{Path: path, Data: data}); !errors.Is(err, ensemble.ErrTooLarge) {
				t.Fatal(err)
			}
			must[string](t)(n.Create(ctx, fmt.Sprintf("/after%d", i), nil, ensemble.Persistent))
		}
		if s := c.Node(leader).Stats(); s.FramesDropped != 0 || c.Leader() != leader {
			t.Fatalf("leader %d, %+v", c.Leader(), s)
		}
		_, err := ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, MaxData: most + 1})
		if _, ok := errors.AsType[*ensemble.ConfigError](err); !ok {
			t.Fatal(err)
		}
	})
}

// Whoever is told the members may do with them as they like.
func TestMembership(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		for id := ensemble.ID(1); id <= 3; id++ {
			k := c.Node(id).Membership()
			var ids []ensemble.ID
			for i := range k.Members {
				ids = append(ids, k.Members[i].ID)
				k.Members[i] = ensemble.Member{}
			}
			slices.Sort(ids)
			if !slices.Equal(ids, []ensemble.ID{1, 2, 3}) || k.Version != 0 {
				t.Errorf("member %d: %v, version %v", id, ids, k.Version)
			}
			if again := c.Node(id).Membership(); slices.ContainsFunc(again.Members, func(m ensemble.Member) bool { return m.ID == 0 }) {
				t.Errorf("member %d lost its members: %+v", id, again)
			}
		}
	})
}

func TestParseZxid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 1)
		must[string](t)(c.Node(1).Create(t.Context(), "/a", nil, 0))
		z := must[ensemble.Zxid](t)(c.Node(1).Sync(t.Context()))
		if got, err := ensemble.ParseZxid(z.String()); err != nil || got != z || z == 0 {
			t.Errorf("%v, %v; it was %v", got, err, z)
		}
	})
	for _, s := range []string{"", "1", "1.", ".1", "1.2.3", "-1.1", "1.-1", "0x1.1", "2147483648.1", "1.4294967296", " 1.1"} {
		if z, err := ensemble.ParseZxid(s); err == nil {
			t.Errorf("%q is %v", s, z)
		}
	}
}

// What the compiler takes for an Op and is none is refused by a word of what to do, and one that is too large by name, however large.
func TestRefusedBeforeTheyAreSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		n := ensembletest.New(t, 1).Node(1)
		huge := make([]byte, 5<<20) // beyond a request; MaxData is 1 MiB
		var none *ensemble.SetOp
		for name, x := range map[string]struct {
			ops  []ensemble.Op
			want ensemble.OpError // outside a Multi; in one, at the end of it
			is   error
			text string
		}{
			"pointer":         {[]ensemble.Op{&ensemble.CreateOp{Path: "/a"}}, ensemble.OpError{Op: "create", Path: "/a"}, ensemble.ErrBadArguments, "op of type *datatree.CreateOp: pass the value"},
			"pointer to none": {[]ensemble.Op{none}, ensemble.OpError{Op: "set"}, ensemble.ErrBadArguments, "op of type *datatree.SetOp: pass the value"},
			"none":            {[]ensemble.Op{nil}, ensemble.OpError{Op: "op"}, ensemble.ErrBadArguments, "op is nil"},
			"embedded":        {[]ensemble.Op{struct{ ensemble.CheckOp }{}}, ensemble.OpError{Op: "op"}, ensemble.ErrBadArguments, "op of unknown type struct { datatree.CheckOp }"},
			"the reaper's":    {[]ensemble.Op{datatree.ReapOp{Path: "/a"}}, ensemble.OpError{Op: "reap", Path: "/a"}, ensemble.ErrBadArguments, "bad arguments"},
			"a session's end": {[]ensemble.Op{datatree.CloseSessionOp{Session: uint64(n.Session().ID())}}, ensemble.OpError{Op: "closeSession"}, ensemble.ErrBadArguments, "bad arguments"},
			"large":           {[]ensemble.Op{ensemble.SetOp{Path: "/a", Data: huge[:2<<20]}}, ensemble.OpError{Op: "set", Path: "/a"}, ensemble.ErrTooLarge, "too large"},
			"huge":            {[]ensemble.Op{ensemble.SetOp{Path: "/a", Data: huge}}, ensemble.OpError{Op: "set", Path: "/a"}, ensemble.ErrTooLarge, "too large"},
			"long path":       {[]ensemble.Op{ensemble.DeleteOp{Path: string(huge)}}, ensemble.OpError{Op: "delete", Path: string(huge)}, ensemble.ErrTooLarge, "too large"},
		} {
			is := func(how string, err error, want ensemble.OpError) {
				t.Helper()
				e, ok := errors.AsType[*ensemble.OpError](err)
				if !ok || !errors.Is(err, x.is) || !strings.HasSuffix(err.Error(), x.text) {
					t.Errorf("%s: %s: %.200v", name, how, err)
				} else if e.Op != want.Op || e.Path != want.Path || e.Index != want.Index {
					t.Errorf("%s: %s: %q %.20q %d", name, how, e.Op, e.Path, e.Index)
				}
			}
			outside := x.want
			outside.Index = -1
			is("Do", second(n.Do(ctx, x.ops[0])), outside)
			is("Submit", second(n.Submit(x.ops[0]).Wait(ctx)), outside)
			multi := x.want
			multi.Index = 1
			if name == "huge" || name == "long path" { // the request as a whole
				multi = ensemble.OpError{Op: "multi", Index: -1}
			}
			is("Multi", second(n.Multi(ctx, ensemble.CheckOp{Path: "/"}, x.ops[0])), multi)
		}
	})
}
