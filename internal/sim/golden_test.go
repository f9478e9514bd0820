package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/golden"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The traces of ZooKeeper go through three members, whose leader changes at random steps: what is answered is the same, and so is what the watches, which stay with
// their member, are told.
func TestGolden(t *testing.T) {
	const dir = "../../datatree/testdata/golden"
	files, _ := filepath.Glob(dir + "/*.jsonl.gz")
	known, err := golden.Differences(dir + "/differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	compared, differing, changes := 0, 0, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl.gz")
		t.Run(name, func(t *testing.T) {
			var on *trio
			g, err := golden.File(file, known[name], func(h *golden.Header) golden.Subject {
				seed := fnv.New64a()
				_, _ = seed.Write([]byte(name))
				on = newTrio(h, seed.Sum64())
				return on
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range g.Faults {
				t.Error(fault)
			}
			compared, differing, changes = compared+g.Compared, differing+g.Differing, changes+on.changes
			t.Logf("%d steps: %d compared, %d of them differ; %d changes of leader", g.Steps, g.Compared, g.Differing, on.changes)
		})
	}
	t.Logf("%d traces: %d steps compared, %d of them differ; %d changes of leader", len(files), compared, differing, changes)
	if compared < 36000 || changes < 300 {
		t.Error("too little was compared, or led")
	}
}

// trio is three members on which a trace is replayed. A session is connected to one of them.
type trio struct {
	golden.Sessions
	w       *World
	r       *rand.Rand
	clock   int64
	err     error // what ended it
	changes int
	leader  quorum.ID
	shaken  bool // the next write meets a change of leader
}

func newTrio(h *golden.Header, seed uint64) *trio {
	c := newConfig(seed)
	c.Groups, c.Weights, c.Beyond = nil, nil, 0
	c.Voters, c.Observers, c.Bootstrap, c.Drift, c.Tick, c.InitLimit, c.SyncLimit = 3, 0, true, make([]int, 3), 50*ms, 10, 4
	c.MaxTail, c.MaxInFlight, c.Window, c.MaxCounter = 1<<30, 64, 1<<20, 300
	c.NetMin, c.NetMax, c.NetSlow, c.CtlLoss, c.DiskMin, c.DiskMax, c.DiskStall, c.Refuse, c.LoopDelay = 100*us, 300*us, 0, 0, 0, 200*us, 0, 0, 0
	c.FrameLoss, c.FrameTwice, c.FrameSwap, c.FrameOld, c.Frame, c.Segment, c.KeepEvery = 0, 0, 0, 0, 0, 0, 0
	c.Clients, c.Watchers, c.Guests, c.Own = 0, 0, 0, 0
	x := &trio{Sessions: golden.NewSessions(h), r: rand.New(rand.NewPCG(seed, 1)), w: newWorld(seed, Options{Config: &c, Actions: []Action{}})}
	x.w.wall = func() int64 { return x.clock }
	x.w.maxData = 2 << 20
	x.w.began = func(n *node) {
		n.sm.Tree().AddScheme("digest", datatree.Digest{Super: h.Config.SuperDigest})
	}
	x.do(func() {
		for _, n := range x.w.nodes {
			x.w.push(event{kind: evRestart, node: int32(n.idx), run: n.run})
		}
		x.until("a leader", func() bool { return x.w.settled() })
		x.level()
		x.changes = 0
	})
	return x
}

// do lets the world go on, unless it has ended by an invariant that does not hold.
func (x *trio) do(f func()) {
	if x.err != nil {
		return
	}
	if out := x.w.guarded(f); out.Err != nil {
		x.err = fmt.Errorf("%w\nlast events:\n%s", out.Err, strings.Join(out.Last, "\n"))
	}
}

// until has events happen until something is so.
func (x *trio) until(what string, so func() bool) {
	for limit := x.w.now + 100*x.w.cfg.timeout(); !so(); x.w.next() {
		if x.w.now > limit {
			x.w.fail("inv/LIVE", "there is not %s: %s", what, x.w.describe())
		}
	}
}

func (x *trio) member(s int) *node { return x.w.nodes[s%len(x.w.nodes)] }

// level waits until all members have applied everything.
func (x *trio) level() {
	x.until("a leader with all applied", func() bool {
		last := x.w.lastCommitted()
		for _, n := range x.w.nodes {
			if n.paused || n.sm.Tree().Zxid() != last || n.m.Zab().Last() != last || n.view == nil || n.view.Zxid() != last {
				return false
			}
		}
		return x.w.settled()
	})
	if id := x.w.leader().id; id != x.leader {
		x.leader = id
		x.changes++
	}
	for _, n := range x.w.nodes {
		if n.watch.jumpTo != 0 {
			x.w.fail("inv/GOLDEN", "member %d took a snapshot, so its watches are gone", n.id)
		}
	}
}

func (x *trio) Step(clock int64) { x.clock, x.shaken = clock, x.r.IntN(40) == 0 }

func (x *trio) Open(s int, identities ...datatree.Identity) {
	x.Connect(s, x.member(s).sm.Tree().Watch(), identities)
}

func (x *trio) Authenticate(s int, scheme string, credential []byte) bool {
	return x.member(s).sm.Tree().Authenticate(x.Caller(s), scheme, credential)
}

func (x *trio) Reader(s int) *datatree.View { return x.member(s).sm.Tree().View() }
func (x *trio) Ephemerals(s int) []string   { return x.member(s).sm.Tree().Ephemerals(uint64(s) + 1) }

// shake lets the leader change, about now: it is asked to hand over, or it stands still.
func (x *trio) shake() {
	l := x.w.leader()
	if x.r.IntN(2) == 0 {
		x.w.transfer(l, quorum.ID(x.r.IntN(4)))
	} else {
		x.w.stop(l, Time(x.w.cfg.SyncLimit+6)*x.w.cfg.Tick)
	}
	for range x.r.IntN(30) {
		x.w.next()
	}
}

// ask has a member ask for a write, and waits until all have it.
func (x *trio) ask(n *node, who *datatree.Caller, ops []datatree.Op, multi bool) (z zab.Zxid, results []datatree.Result, err error) {
	payload, err := datatree.AppendOps(envelope(nil, who), ops, multi, x.w.maxData)
	if err != nil {
		return 0, nil, err
	}
	x.do(func() {
		for at := x.w.now + x.w.cfg.Tick; x.w.now <= at; { // so that the leader knows the time
			x.w.next()
		}
		if x.shaken {
			x.shaken = false
			x.shake()
		}
		done := false
		k := x.w.newCall(n, callWrite)
		k.answer = func(r reply) {
			done, z, err = true, r.Zxid, r.Err
			if err == nil && len(ops) > 0 {
				results = append([]datatree.Result{r.Result.First}, r.Result.Rest...)
			}
		}
		x.w.calls = append(x.w.calls, k)
		n.put(x.w, inbound{lane: laneRequest, ticket: k.ticket, msg: &core.Request{Ticket: k.ticket, Payload: payload, Wall: x.w.wallClock(n)}})
		x.until("an answer", func() bool { return done })
		x.level()
	})
	if x.err != nil {
		err = x.err
	}
	return z, results, err
}

func (x *trio) Write(s int, ops []datatree.Op, multi, refused bool) (zab.Zxid, [][]datatree.Result, error) {
	who := x.Caller(s)
	if x.err == nil && refused {
		tree := x.w.leader().sm.Tree()
		_, err := tree.PrepareFor(who, tree.Zxid()+1, x.clock, ops, multi, nil)
		if _, e := datatree.AppendOps(nil, ops, multi, x.w.maxData); err == nil || e != nil {
			tree.Abandon() // nothing is outstanding
			return 0, nil, err
		}
	}
	z, results, err := x.ask(x.member(s), who, ops, multi)
	if err != nil {
		if e, ok := errors.AsType[*datatree.OpError](err); ok {
			err = e
		}
		return 0, nil, err
	}
	return z, [][]datatree.Result{results}, nil
}

func (x *trio) End(s int) (zab.Zxid, error) {
	z, _, err := x.ask(x.member(s), nil, []datatree.Op{datatree.CloseSessionOp{Session: uint64(s) + 1}}, false)
	return z, err
}

func (x *trio) Reap() (paths []string, zxids []zab.Zxid, err error) {
	if x.err != nil {
		return nil, nil, x.err
	}
	for _, op := range x.w.leader().sm.Tree().Due(x.clock) {
		z, _, err := x.ask(x.w.nodes[x.r.IntN(3)], nil, []datatree.Op{op}, false)
		if err != nil {
			return nil, nil, err
		}
		paths, zxids = append(paths, op.Path), append(zxids, z)
	}
	return paths, zxids, nil
}

func (x *trio) Check() error {
	for _, n := range x.w.nodes {
		if x.err == nil && n.sm.Digest() != x.w.nodes[0].sm.Digest() {
			return fmt.Errorf("member %d has another digest than member 1", n.id)
		}
	}
	return x.err
}
