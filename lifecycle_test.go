package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

func TestConfigErrors(t *testing.T) {
	net := transport.NewMemory()
	three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	for name, x := range map[string]struct {
		cfg    ensemble.Config
		fields []string
		is     error
	}{
		"empty":        {ensemble.Config{}, []string{"ID", "Members"}, quorum.ErrNoVoter},
		"not a member": {ensemble.Config{ID: 9, Members: three, Transport: net.Peer(9)}, []string{"ID"}, nil},
		"duplicate":    {ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}, {ID: 1}}, Transport: net.Peer(1)}, []string{"Members"}, quorum.ErrDuplicateID},
		"zero id":      {ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}, {}}, Transport: net.Peer(1)}, []string{"Members"}, quorum.ErrZeroID},
		"no voter":     {ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1, Observer: true}}}, []string{"Members"}, quorum.ErrNoVoter},
		"no transport": {ensemble.Config{ID: 1, Members: three}, []string{"Transport"}, nil},
		"groups": {ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1, Group: 1, Weight: 1}, {ID: 2}, {ID: 3, Group: -1}}, Transport: net.Peer(1)},
			[]string{"Members", "Members"}, quorum.ErrMissingGroup},
		"weight":    {ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1, Weight: 1}}}, []string{"Members"}, quorum.ErrWeightWithoutGroup},
		"snapshots": {ensemble.Config{ID: 1, Members: three[:1], SnapshotBytes: 1, SnapshotsKept: -1}, []string{"SnapshotBytes", "SnapshotsKept"}, nil},
		"limits": {ensemble.Config{ID: 1, Members: three[:1], Tick: -1, InitLimit: -1, SyncLimit: -1, MaxData: -1, MaxInFlight: -1, SessionTimeout: -1, MinSessionTimeout: -1, MaxSessionTimeout: -1},
			[]string{"Tick", "InitLimit", "SyncLimit", "SessionTimeout", "MinSessionTimeout", "MaxSessionTimeout", "MaxData", "MaxInFlight"}, nil},
		"too much":    {ensemble.Config{ID: 1, Members: three[:1], MaxData: 1 << 30, Name: strings.Repeat("x", 300), SyncLimit: 1}, []string{"Name", "SyncLimit", "MaxData"}, nil},
		"crossed":     {ensemble.Config{ID: 1, Members: three[:1], MinSessionTimeout: time.Hour}, []string{"MinSessionTimeout"}, nil},
		"all at once": {ensemble.Config{Members: append(three, ensemble.Member{ID: 2}), SnapshotsKept: 1000, MaxData: -1}, []string{"ID", "Members", "Transport", "SnapshotsKept", "MaxData"}, quorum.ErrDuplicateID},
	} {
		n, err := ensemble.Open(t.Context(), x.cfg)
		if n != nil || err == nil {
			t.Errorf("%s: opened", name)
			continue
		}
		var fields []string
		for _, line := range strings.Split(strings.TrimPrefix(err.Error(), "ensemble: "), "\n") {
			field, _, _ := strings.Cut(strings.TrimPrefix(line, "config: "), ":")
			fields = append(fields, field)
		}
		var ce *ensemble.ConfigError
		if !slices.Equal(fields, x.fields) || !errors.As(err, &ce) || x.is != nil && !errors.Is(err, x.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The largest MaxData there is can be had, and one byte more is refused with the limit and the reason.
func TestMostMaxData(t *testing.T) {
	cfg := ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, MaxData: 4 << 20}
	n, err := ensemble.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Create(t.Context(), "/a", make([]byte, cfg.MaxData), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Set(t.Context(), "/a", make([]byte, cfg.MaxData+1), ensemble.AnyVersion); !errors.Is(err, ensemble.ErrTooLarge) {
		t.Fatal(err)
	}
	cfg.MaxData++
	var ce *ensemble.ConfigError
	_, err = ensemble.Open(t.Context(), cfg)
	if !errors.As(err, &ce) || ce.Field != "MaxData" {
		t.Fatal(err)
	}
	for _, part := range []string{"4194305", "between 1 and 4194304", "request", fmt.Sprint(transport.QueueBytes), "transport"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %s", err, part)
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	net := transport.NewMemory()
	three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	if _, err := ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: three, Transport: net.Peer(2)}); !errors.Is(err, transport.ErrID) {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ensemble.Open(gone, ensemble.Config{ID: 1, Members: three, Transport: net.Peer(1)}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Who opens a node with the transport of another is refused, and the other goes on: it hears its peers, and can be led by them.
func TestOpenOfAUsedTransport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := transport.NewMemory()
		three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
		used := net.Peer(1)
		var nodes []*ensemble.Node
		for _, m := range three {
			tr := net.Peer(m.ID)
			if m.ID == 1 {
				tr = used
			}
			n := must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: m.ID, Members: three, Transport: tr}))
			defer n.Close()
			nodes = append(nodes, n)
		}
		if err := nodes[0].Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range []ensemble.ID{1, 2} {
			if _, err := ensemble.Open(t.Context(), ensemble.Config{ID: id, Members: three, Transport: used}); !errors.Is(err, transport.ErrStarted) {
				t.Errorf("as member %d: %v", id, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := nodes[0].Sync(ctx); err != nil {
			t.Error(err)
		}
		// Any other failed Start leaves a transport that nobody else has: it is closed.
		spare := net.Peer(1)
		if _, err := ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: three, Transport: spare}); !errors.Is(err, transport.ErrInUse) {
			t.Error(err)
		}
		if err := spare.Start(1, nil); !errors.Is(err, transport.ErrClosed) {
			t.Error(err)
		}
	})
}

// Close returns from any state, within virtual time of zero, answers what waits and leaves nothing: synctest.Test fails when a goroutine is left.
func TestCloseAtEachPhase(t *testing.T) {
	closed := func(t *testing.T, n *ensemble.Node) {
		t.Helper()
		begin := time.Now()
		for range 2 {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d > time.Second {
			t.Fatalf("took %v", d)
		}
		<-n.Done()
		if n.Err() != nil {
			t.Fatal(n.Err())
		}
		if err := n.Ready(t.Context()); !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
		if _, err := n.Create(t.Context(), "/x", nil, 0); !errors.Is(err, ensemble.ErrClosed) || errors.Is(err, ensemble.ErrUncertain) {
			t.Fatal(err)
		}
		if _, err := n.Get(t.Context(), "/"); !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
	}
	three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	alone := func(t *testing.T) *ensemble.Node {
		net := transport.NewMemory()
		return must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: three, Transport: net.Peer(1)}))
	}
	for name, phase := range map[string]func(t *testing.T){
		"at once": func(t *testing.T) { closed(t, alone(t)) },
		"alone": func(t *testing.T) {
			n := alone(t)
			<-time.After(time.Minute)
			if s := n.Status(); s.Reason != ensemble.NoQuorum || s.Ready {
				t.Fatalf("%+v", s)
			}
			got := make(chan error, 4)
			go func() { got <- second(n.Create(t.Context(), "/a", nil, 0)) }()
			go func() { got <- second(n.Sync(t.Context())) }()
			go func() { got <- second(n.Get(t.Context(), "/")) }()
			go func() { got <- n.Ready(t.Context()) }()
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := n.Create(short, "/b", nil, 0); !errors.Is(err, ensemble.ErrNoQuorum) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ensemble.ErrUncertain) {
				t.Fatal(err)
			}
			closed(t, n)
			for range 4 {
				if err := <-got; !errors.Is(err, ensemble.ErrClosed) || errors.Is(err, ensemble.ErrUncertain) {
					t.Fatal(err)
				}
			}
		},
		"while born": func(t *testing.T) {
			net := transport.NewMemory()
			var nodes []*ensemble.Node
			for _, m := range three {
				nodes = append(nodes, must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: m.ID, Members: three, Transport: net.Peer(m.ID)})))
			}
			for _, n := range nodes {
				closed(t, n)
			}
		},
		"leading, following": func(t *testing.T) {
			c := ensembletest.New(t, 3)
			leader, followers := c.WaitLeader(), c.Followers()
			closed(t, c.Node(followers[0]))
			closed(t, c.Node(leader))
			closed(t, c.Node(followers[1]))
		},
		"writing": func(t *testing.T) {
			c := ensembletest.New(t, 3)
			leader := c.WaitLeader()
			c.Isolate(leader)
			p := c.Node(leader).Submit(ensemble.CreateOp{Path: "/a"})
			got := make(chan error, 1)
			go func() { got <- second(c.Node(leader).Create(t.Context(), "/b", nil, 0)) }()
			synctest.Wait()
			closed(t, c.Node(leader))
			for _, err := range []error{second(p.Wait(t.Context())), <-got} {
				if !errors.Is(err, ensemble.ErrClosed) {
					t.Fatal(err)
				}
			}
		},
		"blank": func(t *testing.T) {
			c := ensembletest.New(t, 3)
			c.Stop(1)
			c.Isolate(1)
			n := c.Restart(1)
			<-time.After(time.Minute)
			closed(t, n)
		},
		"shutdown": func(t *testing.T) {
			c := ensembletest.New(t, 3)
			old := c.WaitLeader()
			p := c.Node(old).Submit(ensemble.CreateOp{Path: "/a"})
			if err := c.Node(old).Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			closed(t, c.Node(old))
			if c.WaitLeader() == old {
				t.Fatal("still leads")
			}
		},
	} {
		t.Run(name, func(t *testing.T) { bubble(t, phase) })
	}
}

func TestUncertain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		leader := c.WaitLeader()
		c.Isolate(leader)
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		p := c.Node(leader).Submit(ensemble.CreateOp{Path: "/p"})
		if _, err := c.Node(leader).Create(short, "/a", nil, 0); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ensemble.ErrUncertain) {
			t.Fatal(err)
		}
		if _, err := p.Wait(short); !errors.Is(err, ensemble.ErrUncertain) {
			t.Fatal(err)
		}
		c.Heal()
		if r, err := p.Wait(t.Context()); err != nil || r.Path != "/p" {
			t.Fatal(r, err)
		}
	})
}

// Whoever calls Shutdown, and however often: it waits for the calls under way.
func TestShutdownTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		n := c.Node(c.Followers()[0])
		c.Isolate(c.Followers()[0])
		p := n.Submit(ensemble.CreateOp{Path: "/a"})
		ended := make(chan error)
		for range 2 {
			go func() { ended <- n.Shutdown(t.Context()) }()
		}
		synctest.Wait()
		c.Heal()
		if r, err := p.Wait(t.Context()); err != nil || r.Path != "/a" {
			t.Fatal(r, err)
		}
		for range 2 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What was withdrawn stays withdrawn, also when the node ends before it has dropped the call.
func TestWithdrawn(t *testing.T) {
	three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	bubble(t, func(t *testing.T) {
		n := must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: three, Transport: transport.NewMemory().Peer(1)}))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		p, other := n.Submit(ensemble.CreateOp{Path: "/a"}), n.Submit(ensemble.CreateOp{Path: "/b"})
		definite := func() {
			t.Helper()
			for range 2 {
				if _, err := p.Wait(gone); !errors.Is(err, ensemble.ErrNoQuorum) || errors.Is(err, ensemble.ErrUncertain) || errors.Is(err, ensemble.ErrClosed) {
					t.Fatal(err)
				}
			}
		}
		definite()
		n.Close()
		definite()
		if _, err := other.Wait(t.Context()); !errors.Is(err, ensemble.ErrClosed) || errors.Is(err, ensemble.ErrUncertain) {
			t.Fatal(err)
		}
		if f := n.Status().InFlight; f != 0 {
			t.Fatalf("%d calls are in flight", f)
		}
	})
}

// What a node has told itself, such as that its session is given up, waits in the queue with the calls, and is none.
func TestGivenUpIsNotInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		n := c.Node(c.WaitLeader())
		s := n.Session()
		c.Isolate(c.Leader())
		<-s.Context().Done()
		synctest.Wait()
		if n.Status().Ready || n.Status().InFlight != 0 {
			t.Fatalf("%+v", n.Status())
		}
		n.Close()
		if f := n.Status().InFlight; f != 0 {
			t.Errorf("%d calls are in flight", f)
		}
	})
}

func TestOverloaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := ensembletest.New(t, 3, func(cfg *ensemble.Config) { cfg.MaxInFlight = 10 })
		n := c.Node(c.WaitLeader())
		c.Isolate(c.Leader())
		var ps []*ensemble.Pending
		for range 12 {
			ps = append(ps, n.Submit(ensemble.CreateOp{Path: "/a-", Mode: ensemble.Sequential}))
		}
		for i, p := range ps[10:] {
			if _, err := p.Wait(t.Context()); !errors.Is(err, ensemble.ErrOverloaded) || errors.Is(err, ensemble.ErrUncertain) {
				t.Fatal(i, err)
			}
		}
		c.Heal()
		for i, p := range ps[:10] {
			if r, err := p.Wait(t.Context()); err != nil || r.Path != fmt.Sprintf("/a-%010d", i) {
				t.Fatal(r, err)
			}
		}
		if s := n.Stats(); s.Overloaded != 2 || s.Replies < 10 || n.Status().InFlight != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestManyCyclesLeaveNoGoroutine(t *testing.T) {
	three := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	for i := range 1000 {
		net := transport.NewMemory()
		var nodes []*ensemble.Node
		for _, m := range three {
			nodes = append(nodes, must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: m.ID, Members: three, Transport: net.Peer(m.ID), Tick: time.Millisecond})))
		}
		if i%100 == 0 {
			must[string](t)(nodes[i/100%3].Create(t.Context(), "/a", nil, 0))
		}
		for _, n := range nodes {
			n.Close()
		}
	}
	// A goroutine that has said that it is done may still have to go, and the runtime has some of its own.
	var left []string
	for range 200 {
		stacks := make([]byte, 1<<20)
		left = nil
		for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(g, "ensemble.(*host)") || strings.Contains(g, "transport.(*endpoint)") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("%d goroutines left:\n%s", len(left), strings.Join(left, "\n\n"))
}

// The program that the README shows is example_test.go, but for its name and what is around it.
func TestHelloIsTheReadmes(t *testing.T) {
	readme := must[[]byte](t)(os.ReadFile("README.md"))
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	block, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("no program in the README")
	}
	if n := strings.Count(strings.TrimSpace(block), "\n") + 1; n > 25 {
		t.Errorf("%d lines", n)
	}
	body := func(src, from string) string {
		_, src, ok := strings.Cut(src, from)
		if !ok {
			t.Fatalf("no %q", from)
		}
		src, _, _ = strings.Cut(src, "\n}\n")
		src, _, _ = strings.Cut(src, "\n\t// Output:")
		return src
	}
	example := string(must[[]byte](t)(os.ReadFile("example_test.go")))
	if a, b := body(block, "func main() {"), body(example, "func Example() {"); a != b {
		t.Errorf("README:\n%s\nExample:\n%s", a, b)
	}
}

// A program like it links little besides the standard library.
func TestHelloLinksLittle(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".", "./transport").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		switch {
		case strings.HasPrefix(p, "github.com/ensemble-go/ensemble"):
		case strings.HasPrefix(p, "github.com/hashicorp/go-msgpack/"), strings.HasPrefix(p, "golang.org/x/sync"):
			t.Log(p)
		default:
			t.Errorf("links %s", p)
		}
	}
}
