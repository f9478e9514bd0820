package sim

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// Scenarios of sessions whose moment only the simulator can choose.
func TestSessionScenarios(t *testing.T) {
	for _, sc := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"H6", yearsPass},
		{"E16", leaderStandsStill},
	} {
		t.Run("scn/"+sc.name, sc.run)
	}
}

// calm is three members with clients that have sessions, on which nothing fails.
func calm(seed uint64) *World {
	c := newConfig(seed)
	c.Groups, c.Weights, c.Beyond = nil, nil, 0
	c.Voters, c.Observers, c.Bootstrap, c.Drift, c.Tick, c.InitLimit, c.SyncLimit = 3, 0, true, []int{0, 40, -40}, 50*ms, 10, 5
	c.MaxTail, c.MaxInFlight, c.Window, c.MaxCounter, c.MaxApply = 1<<20, 64, 1<<20, 0, 0
	c.NetMin, c.NetMax, c.NetSlow, c.CtlLoss, c.DiskMin, c.DiskMax, c.DiskStall, c.Refuse, c.LoopDelay = 100*us, 300*us, 0, 0, 0, 200*us, 0, 0, 0
	c.FrameLoss, c.FrameTwice, c.FrameSwap, c.FrameOld, c.Frame, c.Segment, c.KeepEvery = 0, 0, 0, 0, 0, 0, 0
	c.Clients, c.Watchers, c.Special, c.Think = 1, 0, false, 100*ms
	c.Warm, c.Chaos = 0, 400*c.Tick
	c.Guests, c.Timeouts, c.Own = 6, []Time{300 * ms, 1 * s}, 5*s
	return newWorld(seed, Options{Config: &c, Actions: []Action{}})
}

// A rule that looks at the wall clock anywhere would end another session, or the same one elsewhere in the history: with wall clocks that jump by a year, either way and at every
// member, the very same sessions begin and end at the very same places as without.
func yearsPass(t *testing.T) {
	ends := func(jump bool) map[uint64]zab.Zxid {
		w, r := calm(11), rand.New(rand.NewPCG(11, 11))
		jumps := 0
		for at := 20 * w.cfg.Tick; at < w.cfg.Chaos; at += 5 * w.cfg.Tick {
			n, years := w.nodes[r.IntN(3)], pick(r, -1, 1)
			w.push(event{at: at, kind: evUndo, msg: func() {
				if jump {
					jumps++
					n.wall = int64(years) * 365 * 24 * 3600 * 1000
				}
			}})
		}
		if o := w.run(); o.Err != nil {
			t.Fatal(report(o))
		}
		if jump == (jumps < 50) {
			t.Fatalf("%d jumps", jumps)
		}
		all := map[uint64]zab.Zxid{}
		for id, x := range w.ref.sessions {
			all[id] = x.end
		}
		return all
	}
	with, without := ends(true), ends(false)
	if len(with) < 50 || !maps.Equal(with, without) {
		t.Errorf("%d sessions, %d without jumps; they do not end at the same places", len(with), len(without))
	}
}

// A leader stands still for longer than the longest timeout, with sessions that others renew elsewhere meanwhile, and goes on as if nothing had happened. It ends no session.
func leaderStandsStill(t *testing.T) {
	w := calm(12)
	stood := 0
	o := w.guarded(func() {
		w.start()
		for until := 40 * w.cfg.Tick; until < w.cfg.Chaos; until += 60 * w.cfg.Tick {
			for w.now < until {
				w.next()
			}
			old := w.leader()
			if old == nil {
				continue
			}
			for range 20 * w.cfg.SyncLimit { // whatever this one has proposed is committed
				w.next()
			}
			paused := w.now
			w.stop(old, 25*w.cfg.Tick)
			for old.paused {
				w.next()
			}
			resumed := w.now
			for w.now < resumed+10*w.cfg.Tick {
				w.next()
			}
			if l := w.leader(); l == nil || l == old {
				continue
			}
			stood++
			for _, x := range w.ref.sessions { // any order: each by itself
				if x.expired && x.expiry.by == old.id && x.expiry.at >= paused {
					w.fail("inv/C10", "leader %d stood still until %v and ends session %x at %v", old.id, resumed, x.id, x.expiry.at)
				}
			}
		}
		w.finish()
	})
	if o.Err != nil {
		t.Fatal(report(o))
	}
	if stood < 3 {
		t.Errorf("a leader stood still and was replaced %d times", stood)
	}
}
