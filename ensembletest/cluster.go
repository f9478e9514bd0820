// Package ensembletest runs whole ensembles inside a test: members with disks in memory on a network in memory, with cuts and crashes at will.
//
// It can be used inside testing/synctest.Test, where time is virtual and a failover takes milliseconds. Waits give up, and fail the test, after an
// hour, which is virtual there; outside of a bubble the test's own time-out comes first.
//
// Each member has a disk: Stop keeps it, Crash is a power loss and takes what was not synced, Wipe takes all of it. A member that has lost its disk
// comes back blank; it is brought up to date and readmitted by itself, as long as a majority of the others is up and sound. An option that sets
// Config.Dir to "" takes the disks away: then every restart makes a member blank. One that sets it to something else has the member use that directory
// of the operating system, which Crash and Wipe then leave as it is: both are no more than Stop. A directory that is found damaged fails the test, unless
// an option has set Trace.Damaged.
package ensembletest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// patience is how long a wait lasts before it fails the test.
const patience = time.Hour

// Of the disks in memory.
const (
	dataDir     = "/ensembletest"
	segmentSize = 64 << 10
)

// Cluster is an ensemble under test. Its methods may be called from many goroutines; those that fail the test only from the test's own.
type Cluster struct {
	t       testing.TB
	net     *transport.Memory
	members []ensemble.Member
	opts    []func(*ensemble.Config)
	disks   map[ensemble.ID]*vfs.Memory

	mu    sync.Mutex
	loss  *rand.Rand                     // what a power loss takes
	nodes map[ensemble.ID]*ensemble.Node // those that run
	last  map[ensemble.ID]*ensemble.Node // those that ran last
}

// New opens n members, with the ids 1 to n, and waits until all of them can serve. Each opt may change each member's Config before it is opened, at
// every start; of Members, what the first opts leave in it for the first member is used for all. The ensemble is closed at the end of the test.
func New(t testing.TB, n int, opts ...func(*ensemble.Config)) *Cluster {
	t.Helper()
	c := &Cluster{
		t: t, net: transport.NewMemory(), opts: opts, disks: map[ensemble.ID]*vfs.Memory{}, loss: rand.New(rand.NewPCG(1, 2)),
		nodes: map[ensemble.ID]*ensemble.Node{}, last: map[ensemble.ID]*ensemble.Node{},
	}
	for id := range n {
		c.members = append(c.members, ensemble.Member{ID: ensemble.ID(id + 1)})
	}
	t.Cleanup(c.close)
	first := ensemble.Config{ID: 1, Members: slices.Clone(c.members), Dir: dataDir}
	for _, o := range opts {
		o(&first)
	}
	c.members = first.Members
	for _, m := range c.members {
		c.disks[m.ID] = vfs.NewMemory()
	}
	for _, m := range c.members {
		c.open(m.ID)
	}
	for _, m := range c.members {
		c.await(fmt.Sprintf("member %d to be ready", m.ID), func() bool {
			n := c.Node(m.ID)
			return n.Status().Ready && n.Session().ID() != 0 // as Node.Ready has it
		})
	}
	return c
}

func (c *Cluster) close() {
	c.mu.Lock()
	nodes := c.nodes
	c.nodes = map[ensemble.ID]*ensemble.Node{}
	c.mu.Unlock()
	for _, n := range nodes {
		n.Close()
	}
}

func (c *Cluster) open(id ensemble.ID) *ensemble.Node {
	c.t.Helper()
	cfg := ensemble.Config{ID: id, Members: slices.Clone(c.members), Transport: c.net.Peer(id), Dir: dataDir, Seed: 1}
	for _, o := range c.opts {
		o(&cfg)
	}
	cfg.ID, cfg.Members = id, slices.Clone(c.members)
	ctx := context.Background()
	if cfg.Dir == dataDir {
		ctx = disk.With(ctx, disk.Disk{FS: c.disks[id].Process(), SegmentSize: segmentSize})
	}
	c.alarm(&cfg)
	n, err := ensemble.Open(ctx, cfg)
	if err != nil {
		c.t.Fatalf("ensembletest: open member %d: %v", id, err)
	}
	c.mu.Lock()
	c.nodes[id], c.last[id] = n, n
	c.mu.Unlock()
	return n
}

// alarm fails the test when a directory is found damaged, unless an option has set Trace.Damaged.
func (c *Cluster) alarm(cfg *ensemble.Config) {
	trace := ensemble.Trace{}
	if cfg.Trace != nil {
		trace = *cfg.Trace
	}
	if id := cfg.ID; trace.Damaged == nil {
		trace.Damaged = func(i ensemble.DamageInfo) {
			c.t.Errorf("ensembletest: the directory of member %d is damaged: %s: %s", id, i.Where, i.Why)
		}
	}
	cfg.Trace = &trace
}

// Node returns the member's node; the one that was closed last, if it does not run.
func (c *Cluster) Node(id ensemble.ID) *ensemble.Node {
	c.t.Helper()
	c.mu.Lock()
	n := c.last[id]
	c.mu.Unlock()
	if n == nil {
		c.t.Fatalf("ensembletest: there is no member %d", id)
	}
	return n
}

// running returns the ids of the members that run, ascending.
func (c *Cluster) running() []ensemble.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []ensemble.ID
	for _, m := range c.members {
		if c.nodes[m.ID] != nil {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// Leader returns the leader that can serve now, that of the latest epoch if there are several; 0 if there is none.
func (c *Cluster) Leader() ensemble.ID {
	c.t.Helper()
	var leader ensemble.ID
	var epoch uint32
	for _, id := range c.running() {
		if s := c.Node(id).Status(); s.Role == ensemble.Leading && s.Ready && s.Epoch >= epoch {
			leader, epoch = id, s.Epoch
		}
	}
	return leader
}

// WaitLeader waits until there is a leader that can serve, and returns it.
func (c *Cluster) WaitLeader() ensemble.ID {
	c.t.Helper()
	var leader ensemble.ID
	c.await("a leader", func() bool {
		leader = c.Leader()
		return leader != 0
	})
	return leader
}

// Followers returns the members that run, can serve and follow the leader, in ascending order. While a leader can serve that has others beside it, one of them
// will soon, and Followers waits for it.
func (c *Cluster) Followers() []ensemble.ID {
	c.t.Helper()
	var ids []ensemble.ID
	c.await("a follower", func() bool {
		leader, alone := c.Leader(), true
		ids = nil
		if leader == 0 {
			return true
		}
		epoch := c.Node(leader).Status().Epoch
		for _, id := range c.running() {
			if id == leader {
				continue
			}
			alone = false
			if s := c.Node(id).Status(); s.Ready && s.Leader == leader && s.Epoch == epoch {
				ids = append(ids, id)
			}
		}
		return len(ids) > 0 || alone
	})
	return ids
}

// await polls cond. A poll costs next to nothing, and needs no help from what it looks at.
func (c *Cluster) await(what string, cond func() bool) {
	c.t.Helper()
	if cond() {
		return
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		select {
		case <-poll.C:
			if cond() {
				return
			}
		case <-end.C:
			c.t.Fatalf("ensembletest: waited an hour for %s; the members:\n%s", what, c.describe())
		}
	}
}

func (c *Cluster) describe() string {
	var b strings.Builder
	for _, m := range c.members {
		s := c.Node(m.ID).Status()
		fmt.Fprintf(&b, "  %d: %v, leader %d, epoch %d, ready %v (%v), applied %v\n", m.ID, s.Role, s.Leader, s.Epoch, s.Ready, s.Reason, s.Applied)
	}
	return b.String()
}

// Stop ends the member in order, and keeps its disk. The others notice at once, as of a process that was stopped.
func (c *Cluster) Stop(id ensemble.ID) {
	c.t.Helper()
	if err := c.take(id).Close(); err != nil {
		c.t.Fatalf("ensembletest: stop member %d: %v", id, err)
	}
}

// take returns the node of a member that runs, which does not run from then on.
func (c *Cluster) take(id ensemble.ID) *ensemble.Node {
	c.t.Helper()
	c.mu.Lock()
	n := c.nodes[id]
	delete(c.nodes, id)
	c.mu.Unlock()
	if n == nil {
		c.t.Fatalf("ensembletest: member %d does not run", id)
	}
	return n
}

// Crash ends the member by a power loss: of what was not synced to its disk in memory, any part is lost or damaged. The others notice at once.
func (c *Cluster) Crash(id ensemble.ID) {
	c.t.Helper()
	n := c.take(id)
	c.mu.Lock()
	r := rand.New(rand.NewPCG(c.loss.Uint64(), uint64(id)))
	c.mu.Unlock()
	c.disks[id].PowerLoss(r) // from here on the node cannot write, whatever it is doing
	if err := n.Close(); err != nil {
		c.t.Fatalf("ensembletest: crash member %d: %v", id, err)
	}
}

// Wipe ends the member, if it runs, and takes its disk in memory away: it comes back with an empty one.
func (c *Cluster) Wipe(id ensemble.ID) {
	c.t.Helper()
	c.mu.Lock()
	runs := c.nodes[id] != nil
	c.mu.Unlock()
	if runs {
		c.Stop(id)
	}
	c.disks[id].Wipe()
}

// Restart opens a member that was stopped, and does not wait for it: Node.Ready does.
func (c *Cluster) Restart(id ensemble.ID) *ensemble.Node {
	c.t.Helper()
	c.mu.Lock()
	runs := c.nodes[id] != nil
	c.mu.Unlock()
	if runs {
		c.t.Fatalf("ensembletest: member %d runs", id)
	}
	return c.open(id)
}

// Partition severs the groups from each other; the members that are in no group form one more. It takes the place of an earlier Partition.
func (c *Cluster) Partition(groups ...[]ensemble.ID) { c.net.Partition(groups...) }

// Isolate severs the member from all others. It takes the place of an earlier Partition or Isolate: after Isolate(1) and Isolate(2), member 1 is back among the
// others. To isolate both, use Partition with a group for each.
func (c *Cluster) Isolate(id ensemble.ID) { c.net.Partition([]ensemble.ID{id}) }

// Heal ends all partitions and cuts. Delay and loss that were set on the Network stay.
func (c *Cluster) Heal() { c.net.Heal() }

// Network returns the network, for what the other methods do not offer.
func (c *Cluster) Network() *transport.Memory { return c.net }
