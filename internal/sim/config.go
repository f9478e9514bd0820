package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

// Config is what a seed decides before the run begins.
type Config struct {
	Seed      uint64
	Voters    int
	Observers int
	Groups    []int // of the voters; nil: quorums are majorities,
	Weights   []int // and otherwise this is what each has in its group
	Bootstrap bool  // born already; otherwise the run begins with a birth
	Tick      Time
	InitLimit int
	SyncLimit int

	MaxCounter  uint32
	MaxInFlight int
	MaxTail     int
	ReadsLog    bool
	Window      int
	MaxApply    int
	ChunkSize   int
	DigestEvery uint32

	Drift      []int // per member, in thousandths
	NetMin     Time
	NetMax     Time
	NetSlow    int // of 1000 messages are late by up to NetLate
	NetLate    Time
	CtlLoss    int // of 1000 messages of class Control
	DiskMin    Time
	DiskMax    Time
	DiskStall  int   // of 1000 flushes take up to a second
	Segment    int64 // bytes of a segment of the log; 0: there is none, only the model of it
	KeepEvery  int   // a member keeps a snapshot each so many ticks; 0: never
	Keep       int   // and so many of them
	DialMin    Time
	DialMax    Time
	Refuse     int // of 1000 dials fail
	LoopDelay  Time
	Clients    int // per member, each with one call at a time
	Think      Time
	Reads      int // of 100 calls are local reads, and
	Syncs      int // are SyncRequests
	Warm       Time
	Chaos      Time
	Faults     [faultKinds]int // weights
	Beyond     Time            // from then on more disks are lost than can be spared; 0: never
	Paths      int             // that requests are about
	FrameLoss  int             // of 100 000 frames are lost,
	FrameTwice int             // arrive twice,
	FrameSwap  int             // come out of order
	FrameOld   int             // or bring old ones with them
	Frame      int             // bytes of the largest; 0: as the link likes
	Pad        int             // bytes of data, at most so many more than needed
	FaultEvery Time
	Special    bool // requests are about containers, TTLs, missing parents and whole subtrees, too,
	ACLs       bool // about ACLs, some of them of callers with identities,
	Quotas     bool // and about quotas
	Watchers   int  // clients that watch, each connected to one member at a time
	Guests     int  // clients with sessions of their own,
	Timeouts   []Time
	Own        Time // timeout of a member's own session; 0: silence does not end it
}

// faults of the nemesis.
const (
	fCrash       = iota // crash or power loss of one member, restart with its store
	fCrashMiddle        // the same, in the middle of carrying out an output
	fWipe               // restart with an empty memory and a new incarnation
	fPowerAll           // all members at once
	fPause
	fClock     // wall clock jump
	fCut       // a pair loses its link and cannot dial
	fOneWay    // one direction of a pair swallows
	fReset     // a link breaks; it may be dialled at once
	fDuplicate // a new link replaces a live one
	fPartition // two sides
	fIsolate   // one member, in one direction or both
	fFlap      // a pair is cut and healed faster than anybody notices
	fDiskFails // an operation of the log returns an error: the member ends and restarts later
	fFull      // a disk, or all, has hardly any space left, for a while
	fStall     // a disk syncs nothing for a while
	fDamage    // a disk is damaged while its member is down
	fTransfer  // TransferRequest: no fault, not counted
	fAmbush    // waits for a moment of the protocol: see ambush.go
	fSpoil     // the state of a member goes wrong
	faultKinds
)

var faultNames = [faultKinds]string{"crash", "crash-middle", "wipe", "power-all", "pause", "clock", "cut", "one-way", "reset", "duplicate", "partition", "isolate", "flap", "disk-fails", "full", "stall", "damage", "transfer", "ambush", "spoil"}

func between(r *rand.Rand, lo, hi Time) Time {
	if hi <= lo {
		return lo
	}
	return lo + Time(r.Int64N(int64(hi-lo+1)))
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

const (
	us = Time(time.Microsecond)
	ms = Time(time.Millisecond)
	s  = Time(time.Second)
)

// newConfig draws the configuration of a seed.
func newConfig(seed uint64) Config {
	r := rand.New(rand.NewPCG(seed, 0xc0))
	c := Config{Seed: seed}
	c.Voters = pick(r, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 4, 7, 2, 1)
	if c.Voters >= 3 && c.Voters <= 5 && r.IntN(4) == 0 {
		c.Observers = 1
	}
	c.Bootstrap = r.IntN(2) == 0
	c.Tick = pick(r, 20*ms, 50*ms, 50*ms, 100*ms)
	c.InitLimit = pick(r, 5, 10)
	c.SyncLimit = pick(r, 4, 5, 8)
	c.MaxCounter = pick(r, uint32(20), 50, 100, 300, 0)
	c.MaxInFlight = pick(r, 2, 8, 64, 1024)
	c.MaxTail = pick(r, 0, 256, 1024, 4096, 1<<20)
	c.Window = pick(r, 1, 256, 2048, 1<<20)
	c.ChunkSize = pick(r, 64, 200, 4096)
	c.DigestEvery = pick(r, uint32(4), 8, 32)
	for range c.Voters + c.Observers {
		d := 0
		if r.IntN(2) == 0 {
			d = r.IntN(101) - 50
		}
		c.Drift = append(c.Drift, d)
	}
	c.NetMin = pick(r, 50*us, 200*us, 1*ms)
	c.NetMax = c.NetMin + pick(r, 0, 300*us, 2*ms)
	c.NetSlow = pick(r, 0, 0, 5, 30)
	c.NetLate = pick(r, 5*ms, c.Tick, 4*c.Tick)
	c.CtlLoss = pick(r, 0, 0, 10, 50)
	c.DiskMin = pick(r, 0, 100*us, 1*ms)
	c.DiskMax = c.DiskMin + pick(r, 0, 500*us, 5*ms, 20*ms)
	c.DiskStall = pick(r, 0, 0, 0, 2)
	c.DialMin = c.Tick / 10
	c.DialMax = pick(r, c.Tick/2, 2*c.Tick)
	c.Refuse = pick(r, 0, 0, 100, 500)
	c.LoopDelay = pick(r, 0, 0, 100*us, 1*ms)
	c.Clients = pick(r, 1, 2, 4)
	c.Think = pick(r, c.Tick/8, c.Tick/2, 2*c.Tick)
	c.Reads = pick(r, 0, 10, 30)
	c.Syncs = pick(r, 0, 5, 20)
	c.Warm = 20 * c.Tick
	c.Chaos = 400 * c.Tick
	c.FaultEvery = pick(r, Time(4), 6, 8) * c.Tick
	weights := [faultKinds]int{
		fCrash: 8, fCrashMiddle: 8, fWipe: 4, fPowerAll: 1, fPause: 4, fClock: 1, fCut: 4, fOneWay: 4, fReset: 6, fDuplicate: 4, fPartition: 4,
		fIsolate: 4, fFlap: 2, fDiskFails: 3, fFull: 1, fStall: 2, fDamage: 6, fTransfer: 2, fAmbush: 20, fSpoil: 2,
	}
	for k, w := range weights {
		if r.IntN(10) < 7 { // a swarm: each seed leaves some faults out, because all at once average out
			c.Faults[k] = w * (1 + r.IntN(3))
		}
	}
	if c.Faults[fCrash]+c.Faults[fPartition]+c.Faults[fReset]+c.Faults[fCut] == 0 {
		c.Faults[fCrash], c.Faults[fReset] = 4, 4
	}
	if c.Voters == 1 && c.Observers == 0 {
		c.Faults[fCrash] += 4
	}
	c.FrameLoss, c.FrameTwice = pick(r, 0, 0, 5, 30), pick(r, 0, 10, 300)
	c.FrameSwap, c.FrameOld = pick(r, 0, 0, 5, 30), pick(r, 0, 10, 100)
	c.Frame = pick(r, 0, 0, 256, 1000)
	c.Segment = pick(r, int64(0), 0, 2048, 4096, 8192, 16384)
	c.KeepEvery, c.Keep = pick(r, 0, 5, 10, 20, 50), pick(r, 1, 2, 3)
	c.Paths, c.Pad = 10+r.IntN(41), pick(r, 0, 20, 60)
	c.ReadsLog = r.IntN(4) > 0
	c.Special, c.ACLs, c.Quotas = r.IntN(3) > 0, r.IntN(2) == 0, r.IntN(3) == 0
	c.Watchers = pick(r, 0, 0, 1, 2, 4, 8)
	c.MaxApply = pick(r, 0, 1, 500, 4000)
	c.drawSessions(rand.New(rand.NewPCG(seed, 0xc5)))
	c.drawGroups(rand.New(rand.NewPCG(seed, 0xc6)))
	c.drawBeyond(rand.New(rand.NewPCG(seed, 0xc7)).IntN)
	return c
}

// drawGroups gives one seed in six hierarchical quorums, from a source of its own. Voters without weight, and groups of these alone, are among them.
func (c *Config) drawGroups(r *rand.Rand) {
	if r.IntN(6) != 0 {
		return
	}
	groups, light := pick(r, 1, 2, 2, 3, 3, 3), 0
	if groups > 1 && r.IntN(3) == 0 {
		light = 1 + r.IntN(groups) // a group without weight
	}
	for i := range c.Voters {
		g, weight := 1+i%groups, pick(r, 0, 1, 1, 1, 1, 2, 3)
		if g == light {
			weight = 0
		}
		c.Groups, c.Weights = append(c.Groups, g), append(c.Weights, weight)
	}
	if slices.Max(c.Weights) == 0 {
		c.Weights[r.IntN(c.Voters)] = 1
	}
	r.Shuffle(c.Voters, func(i, j int) { // so that no place in the order of ids goes with a group
		c.Groups[i], c.Groups[j] = c.Groups[j], c.Groups[i]
		c.Weights[i], c.Weights[j] = c.Weights[j], c.Weights[i]
	})
}

// drawSessions draws what concerns sessions from a source of its own.
func (c *Config) drawSessions(r *rand.Rand) {
	c.Guests = pick(r, 0, 0, 1, 2, 4, 6)
	for range 1 + r.IntN(2) {
		c.Timeouts = append(c.Timeouts, pick(r, Time(3), 6, 12, 25, 60)*c.Tick)
	}
	if c.Guests > 0 {
		c.Own = pick(r, Time(0), 15, 100) * c.Tick
	}
}

// longest is the greatest timeout of a session.
func (c *Config) longest() Time {
	if !c.expires() {
		return 0
	}
	return max(c.Own, slices.Max(c.Timeouts))
}

// expires reports whether silence ends sessions.
func (c *Config) expires() bool { return c.Guests > 0 || c.Own > 0 }

func (c *Config) nodes() int { return c.Voters + c.Observers }

// members returns the membership: ids 1, 2, ...; observers last.
func (c *Config) members() []quorum.Member {
	m := make([]quorum.Member, c.nodes())
	for i := range m {
		m[i] = quorum.Member{ID: quorum.ID(i + 1), Addr: fmt.Sprint("m", i+1), Observer: i >= c.Voters}
		if i < len(c.Groups) {
			m[i].Group, m[i].Weight = c.Groups[i], c.Weights[i]
		}
	}
	return m
}

// timeout is what counts as one election time-out.
func (c *Config) timeout() Time { return Time(c.InitLimit) * c.Tick }
