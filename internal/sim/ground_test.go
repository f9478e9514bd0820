package sim

import (
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// ground is an ensemble of three with disks, and clients that write all the time. Nothing goes wrong but what the scenario says, and everything is judged.
type ground struct {
	*World
	t *testing.T
}

// on runs a scenario, and then the phases that follow the faults of a run: progress, convergence, a power loss of all.
func on(t *testing.T, change func(*Config), play func(*ground)) {
	t.Helper()
	c := newConfig(3)
	c.Groups, c.Weights, c.Beyond = nil, nil, 0
	c.Voters, c.Observers, c.Bootstrap, c.Drift, c.Faults, c.DiskStall = 3, 0, true, make([]int, 7), [faultKinds]int{}, 0
	c.NetSlow, c.CtlLoss, c.FrameLoss, c.FrameTwice, c.FrameSwap, c.FrameOld, c.Refuse = 0, 0, 0, 0, 0, 0, 0
	c.Tick, c.Think, c.Clients, c.Reads, c.Syncs, c.MaxCounter, c.MaxInFlight = 50*ms, 50*ms, 2, 10, 5, 0, 64
	c.MaxTail, c.Window, c.Segment, c.KeepEvery, c.Keep, c.Chaos = 1<<20, 1<<20, 4096, 20, 2, 1<<60
	if change != nil {
		change(&c)
	}
	g := &ground{newWorld(3, Options{Config: &c, Actions: []Action{}}), t}
	o := g.guarded(func() {
		g.start()
		g.until("a leader and all others", g.settled)
		play(g)
		g.push(event{at: g.now, kind: evPhase})
		g.finish()
	})
	if o.Err != nil {
		t.Fatal(report(o))
	}
	t.Logf("%d events, %d entries committed", o.Steps, o.Writes)
}

// commit has so many more entries committed.
func (g *ground) commit(n int) {
	want := len(g.log) + n
	g.until("commits", func() bool { return len(g.log) >= want })
}

// others returns the members but these, in order.
func (g *ground) others(than ...*node) (list []*node) {
	for _, n := range g.nodes {
		if !(n == than[0] || len(than) > 1 && n == than[1]) {
			list = append(list, n)
		}
	}
	return list
}

// switchOff ends a member by a loss of power, until it is switched on.
func (g *ground) switchOff(n *node) {
	n.off = true
	g.down(n, thenNoPower)
}

func (g *ground) switchOn(n *node) {
	n.off = false
	g.push(event{at: g.now, kind: evRestart, node: int32(n.idx), run: n.run})
}

// apart cuts a member off from all others, or no more.
func (g *ground) apart(n *node, cut int) {
	for _, p := range g.pairs {
		if p != nil && (p.a == n.idx || p.b == n.idx) {
			p.cut = [2]int{cut, cut}
			if cut > 0 {
				g.reset(p, true)
			}
		}
	}
}

// damage flips a bit of a member that is down, in the first record of its log, and has it found.
func (g *ground) damage(n *node) {
	before := n.drive.mem.Clone()
	names, _ := n.drive.mem.Files()
	n.drive.crash(false)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			must(n.drive.mem.FlipBit(name, 8*(512+recordPayload)))
			break
		}
	}
	g.reopenAfter(n, before, nil, 0)
	if n.disk.mark.Counts || n.disk.last() != 0 || n.disk.mark.Ensemble == (zab.EnsembleID{}) {
		g.t.Fatalf("%d has %+v and %v", n.id, n.disk.mark, n.disk.last())
	}
}

// recordPayload is where in a record of the log its payload begins.
const recordPayload = 40

// idle has time pass in which nobody may lead.
func (g *ground) idle(ticks Time) {
	committed := len(g.log)
	for until := g.now + ticks*g.cfg.Tick; g.now < until; g.next() {
		if l := g.leader(); l != nil {
			g.t.Fatalf("%d leads: %s", l.id, g.describe())
		}
	}
	if len(g.log) != committed {
		g.t.Fatal("something was committed")
	}
}

func TestDiskScenarios(t *testing.T) {
	for _, sc := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"D2", damagedFollower},
		{"D3", func(t *testing.T) { forgetful(t, (*ground).damage) }},
		{"D4", leaderCannotSync},
		{"D5", leaderHasNoSpace},
		{"D6", nobodyHasSpace},
		{"D7", func(t *testing.T) { forgetful(t, func(g *ground, n *node) { g.loseDisk(n, zab.Mark{}) }) }},
		{"D19", refusedAndReplayed},
		{"S7", cutAcrossSegments},
		{"S8", cutFails},
		{"S14", manyJoinAtOnce},
	} {
		t.Run("scn/"+sc.name, sc.run)
	}
}

// A bit of a committed record flips on one disk of three. Were the log cut there, the member would vote with less than it acknowledged.
func damagedFollower(t *testing.T) {
	on(t, nil, func(g *ground) {
		g.commit(100)
		f := g.others(g.leader())[0]
		g.switchOff(f)
		g.damage(f)
		g.commit(20)
		g.switchOn(f)
		g.until("the follower", func() bool { return f.up && f.status.Ready && f.disk.mark.Counts })
		if f.past == nil || !f.disk.holds(f.past.last()) {
			t.Error("what it had is not back")
		}
	})
}

// 1 and 2 have what 3 lacks. 1 loses its memory and 2 is away: 1 and 3 are a majority that would forget it, so they must wait for 2.
func forgetful(t *testing.T, forget func(*ground, *node)) {
	on(t, nil, func(g *ground) {
		a := g.leader()
		b, c := g.others(a)[0], g.others(a)[1]
		g.apart(c, 1)
		g.commit(30)
		if last := g.lastCommitted(); c.disk.holds(last) || !a.disk.holds(last) {
			t.Fatal("the stage is not set")
		}
		g.switchOff(b)
		g.switchOff(a)
		x := g.lastCommitted()
		forget(g, a)
		g.apart(c, 0)
		g.switchOn(a)
		g.idle(200)
		g.switchOn(b)
		g.until("all", g.settled)
		for _, n := range g.nodes {
			if !n.disk.holds(x) {
				t.Errorf("%d does not have %v", n.id, x)
			}
		}
	})
}

// A sync fails once, and the next one would not. What it was about is on no disk, whatever can be read: the leader ends, and acknowledges nothing of it.
func leaderCannotSync(t *testing.T) {
	on(t, nil, func(g *ground) {
		g.commit(20)
		l := g.leader()
		l.drive.failIn, l.drive.failSync = 1, true
		l.off = true
		g.until("the end of the leader", func() bool { return !l.up })
		g.until("another leader", g.serves)
		g.commit(20)
		g.switchOn(l)
		g.until("all", g.settled)
	})
}

// The disk of the leader is full: somebody else leads, and with room it comes back.
func leaderHasNoSpace(t *testing.T) {
	on(t, nil, func(g *ground) {
		g.commit(20)
		l := g.leader()
		l.off = true
		l.drive.mem.SetSpace(0)
		g.until("the end of the leader", func() bool { return !l.up })
		g.until("another leader", g.serves)
		g.commit(20)
		l.drive.mem.SetSpace(-1)
		g.switchOn(l)
		g.until("all", g.settled)
	})
}

// All disks are full, and then have room again, one after the other.
func nobodyHasSpace(t *testing.T) {
	on(t, nil, func(g *ground) {
		g.commit(20)
		for _, n := range g.nodes {
			n.off = true
			n.drive.mem.SetSpace(0)
		}
		g.until("the end of a majority", func() bool {
			up := 0
			for _, n := range g.nodes {
				if n.up {
					up++
				}
			}
			return up < 2
		})
		x := g.told
		for _, i := range []int{1, 2, 0} {
			n := g.nodes[i]
			n.drive.mem.SetSpace(-1)
			g.switchOn(n)
			for range 200 {
				g.next()
			}
		}
		g.until("all", g.settled)
		if !g.leader().image.holds(x) {
			t.Errorf("the leader does not have %v, which was acknowledged", x)
		}
	})
}

// Requests that were refused are in the log like others, and lead to the same state when they are read back, without any snapshot.
func refusedAndReplayed(t *testing.T) {
	on(t, func(c *Config) { c.KeepEvery = 0 }, func(g *ground) {
		g.commit(200)
		if g.covered[goalIndex["multi refused"]] == 0 || g.covered[goalIndex["verdict refused"]] == 0 {
			t.Fatal("nothing was refused")
		}
		for _, n := range g.nodes {
			g.switchOff(n)
			if n.drive.found.Snapshot != nil || len(n.drive.found.Entries) < 200 {
				t.Fatal("it does not replay all")
			}
			g.switchOn(n)
		}
		g.until("all", g.settled)
	})
}

// A leader that is cut off goes on writing, over several segments of its log. When it is back, all that is cut, across files, and stays so over a loss of power.
func cutAcrossSegments(t *testing.T) {
	on(t, func(c *Config) { c.Segment, c.Clients, c.Think = 2048, 4, 10*ms }, func(g *ground) {
		l := cutOff(g)
		g.until("all", g.settled)
		if g.covered[goalIndex["TRUNC"]]+g.covered[goalIndex["TRUNC+DIFF"]] == 0 {
			t.Fatal("nothing was cut")
		}
		g.switchOff(l)
		g.switchOn(l)
		g.until("all", g.settled)
	})
}

// cutOff has a leader write what nobody else has, in more than one segment, and then brings it back behind another one.
func cutOff(g *ground) *node {
	l := g.leader()
	g.apart(l, 1)
	last, rolled := l.disk.last(), g.covered[goalIndex["segment rolled"]]
	g.until("another leader", func() bool {
		now := g.leader()
		return now != nil && now != l && g.serves()
	})
	if n := l.disk.lastOf(last.Epoch()).Counter() - last.Counter(); n < 3 || g.covered[goalIndex["segment rolled"]] == rolled {
		g.t.Fatalf("only %d entries were written alone", n)
	}
	g.commit(10)
	g.apart(l, 0)
	return l
}

// The write of a TRUNC fails: the member ends, and does not go on with what was to be cut.
func cutFails(t *testing.T) {
	on(t, func(c *Config) { c.Segment, c.Clients, c.Think = 2048, 4, 10*ms }, func(g *ground) {
		l := cutOff(g)
		run := l.run
		g.until("a TRUNC", func() bool {
			for i := range l.disk.pending {
				if l.disk.pending[i].Kind == zab.RecordTrunc {
					return true
				}
			}
			return false
		})
		l.drive.failIn, l.drive.failSync = 1, false
		g.until("the end of the member", func() bool { return !l.up })
		if l.run != run {
			t.Fatal("it ended before")
		}
		g.until("all", g.settled)
	})
}

// Learners that lack nothing, a little and everything join at once under load, go down midway, and join again.
func manyJoinAtOnce(t *testing.T) {
	on(t, func(c *Config) { c.Voters, c.MaxTail, c.Clients, c.ChunkSize = 5, 1024, 4, 64 }, func(g *ground) {
		for round := range 6 {
			l := g.leader()
			down := g.others(l)[:2]
			if round%2 == 1 {
				down = g.others(l)[2:]
			}
			g.switchOff(down[0])
			g.commit(30)
			g.switchOff(down[1])
			g.loseDisk(down[0], zab.Mark{})
			g.commit(2)
			g.switchOn(down[0])
			g.switchOn(down[1])
			g.until("one of them back", func() bool { return down[0].up && down[1].up })
			for range 20 * (round + 1) {
				g.next()
			}
			g.down(down[0], thenRestart)
			g.down(down[1], thenRestart)
			g.until("all", g.settled)
		}
		if g.covered[goalIndex["SNAP"]] == 0 || g.covered[goalIndex["DIFF"]] == 0 {
			t.Fatal("not all kinds of synchronisation were met")
		}
	})
}
