package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// disks is an ensemble of three whose disks a test can get at; they may hold something already.
type disks struct {
	t     *testing.T
	net   *transport.Memory
	disk  map[ensemble.ID]*vfs.Memory
	nodes map[ensemble.ID]*ensemble.Node
	opt   func(*ensemble.Config)
	wrap  func(ensemble.ID, transport.Transport) transport.Transport // nil: nothing is put before the network
	tail  int                                                        // bytes of history that each keeps in memory; 0: as many as usual

	mu    sync.Mutex
	hurts map[ensemble.ID]int // repairs that are to be expected; any other is a false alarm
}

func newDisks(t *testing.T, opt func(*ensemble.Config), of ...map[ensemble.ID]*vfs.Memory) *disks {
	d := emptyDisks(t, opt)
	for _, disks := range of {
		d.disk = disks
	}
	d.openAll()
	return d
}

// emptyDisks opens no member yet.
func emptyDisks(t *testing.T, opt func(*ensemble.Config)) *disks {
	d := &disks{t: t, net: transport.NewMemory(), disk: map[ensemble.ID]*vfs.Memory{}, nodes: map[ensemble.ID]*ensemble.Node{}, opt: opt, hurts: map[ensemble.ID]int{}}
	t.Cleanup(func() {
		for _, n := range d.nodes {
			n.Close()
		}
	})
	for id := ensemble.ID(1); id <= 3; id++ {
		d.disk[id] = vfs.NewMemory()
	}
	return d
}

func (d *disks) config(id ensemble.ID) ensemble.Config {
	cfg := ensemble.Config{ID: id, Members: []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}, Dir: "/data", Seed: 1}
	if d.opt != nil {
		d.opt(&cfg)
	}
	trace := ensemble.Trace{}
	if cfg.Trace != nil {
		trace = *cfg.Trace
	}
	told := trace.Damaged
	trace.Damaged = func(i ensemble.DamageInfo) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.hurts[id]--; d.hurts[id] < 0 {
			d.t.Errorf("member %d: taken for damaged: %s: %s", id, i.Where, i.Why)
		}
		if told != nil {
			told(i)
		}
	}
	cfg.Trace = &trace
	return cfg
}

// on is a context in which the disk of a member is.
func (d *disks) on(id ensemble.ID) context.Context { return onDisk(d.disk[id]) }

func onDisk(m *vfs.Memory) context.Context {
	return disk.With(context.Background(), disk.Disk{FS: m.Process(), SegmentSize: 16 << 10})
}

func (d *disks) try(id ensemble.ID) (*ensemble.Node, error) {
	cfg := d.config(id)
	cfg.Transport = d.net.Peer(id)
	if d.wrap != nil {
		cfg.Transport = d.wrap(id, cfg.Transport)
	}
	return ensemble.Open(disk.With(context.Background(), disk.Disk{FS: d.disk[id].Process(), SegmentSize: 16 << 10, Tail: d.tail}), cfg)
}

func (d *disks) open(id ensemble.ID) *ensemble.Node {
	d.t.Helper()
	n, err := d.try(id)
	if err != nil {
		d.t.Fatalf("open member %d: %v", id, err)
	}
	d.nodes[id] = n
	return n
}

func (d *disks) openAll() {
	d.t.Helper()
	for id := ensemble.ID(1); id <= 3; id++ {
		d.open(id)
	}
	for _, n := range d.nodes {
		if err := n.Ready(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
}

// kill is a power loss.
func (d *disks) kill(id ensemble.ID, r *rand.Rand) {
	d.disk[id].PowerLoss(r)
	d.nodes[id].Close()
}

func (d *disks) leader() ensemble.ID {
	d.t.Helper()
	for deadline := time.Now().Add(time.Hour); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		for id, n := range d.nodes {
			if s := n.Status(); s.Role == ensemble.Leading && s.Ready {
				return id
			}
		}
	}
	d.t.Fatal("no leader")
	return 0
}

// fill creates znodes of size bytes, and returns their paths.
func (d *disks) fill(n *ensemble.Node, prefix string, count, size int) []string {
	d.t.Helper()
	var paths []string
	for i := range count {
		paths = append(paths, must[string](d.t)(n.Create(d.t.Context(), fmt.Sprintf("%s-%04d", prefix, i), make([]byte, size), 0)))
	}
	return paths
}

// snapshot has members keep their state, one after the other, and waits until the log before it is gone: that is done when Snapshot has returned.
func (d *disks) snapshot(ids ...ensemble.ID) {
	d.t.Helper()
	for _, id := range ids {
		must[ensemble.Zxid](d.t)(d.nodes[id].Sync(d.t.Context())) // a snapshot of less leaves more of the log
	}
	for _, id := range ids {
		must[ensemble.Zxid](d.t)(d.nodes[id].Snapshot(d.t.Context()))
	}
	<-time.After(time.Second)
}

func (d *disks) has(n *ensemble.Node, paths []string) {
	d.t.Helper()
	must[ensemble.Zxid](d.t)(n.Sync(d.t.Context()))
	for _, p := range paths {
		if _, ok, err := n.Exists(d.t.Context(), p); err != nil || !ok {
			d.t.Fatalf("%s: %v %v", p, ok, err)
		}
	}
}

// Whatever was acknowledged is there after all members were stopped, or lost power, at once. None of them is blank.
func TestAllMembersStop(t *testing.T) {
	for name, end := range map[string]func(*ensembletest.Cluster, ensemble.ID){"Stop": (*ensembletest.Cluster).Stop, "Crash": (*ensembletest.Cluster).Crash} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := ensembletest.New(t, 3)
				var paths []string
				for round := range 4 {
					n := c.Node(ensemble.ID(round%3 + 1))
					for i := range 20 {
						paths = append(paths, must[string](t)(n.Create(t.Context(), fmt.Sprintf("/%d-%d", round, i), make([]byte, 100), 0)))
					}
					for id := ensemble.ID(1); id <= 3; id++ {
						end(c, id)
					}
					for id := ensemble.ID(1); id <= 3; id++ {
						c.Restart(id)
					}
					for id := ensemble.ID(1); id <= 3; id++ {
						if err := c.Node(id).Ready(t.Context()); err != nil {
							t.Fatal(err)
						}
						must[ensemble.Zxid](t)(c.Node(id).Sync(t.Context()))
						for _, p := range paths {
							if _, ok, err := c.Node(id).Exists(t.Context(), p); err != nil || !ok {
								t.Fatalf("member %d, round %d: %s: %v %v", id, round, p, ok, err)
							}
						}
					}
				}
			})
		})
	}
}

// Two of three are enough after a power loss of all: an intact directory makes no blank member.
func TestQuorumOfIntactDirectories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		path := must[string](t)(c.Node(1).Create(t.Context(), "/a", nil, 0))
		for id := ensemble.ID(1); id <= 3; id++ {
			c.Crash(id)
		}
		c.Restart(2)
		c.Restart(3)
		if err := c.Node(2).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := c.Node(2).Exists(t.Context(), path); err != nil || !ok {
			t.Fatal(ok, err)
		}
		// The third has lost its disk: it is blank, and readmitted.
		c.Wipe(1)
		if err := c.Restart(1).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// The leader loses power in the middle of a stream of writes, again and again.
func TestLeaderCrashesWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		var acknowledged []string
		for round := range 8 {
			leader := c.WaitLeader()
			writers := c.Followers()
			var done atomic.Int32
			got := make(chan []string)
			for w := range 4 {
				n := c.Node(writers[w%len(writers)])
				go func() {
					var paths []string
					for i := range 50 {
						p, err := n.Create(t.Context(), fmt.Sprintf("/%d-%d-%d", round, w, i), make([]byte, 300), 0)
						if err != nil {
							t.Error(err)
							break
						}
						paths = append(paths, p)
						done.Add(1)
					}
					got <- paths
				}()
			}
			for done.Load() < 40 {
				<-time.After(time.Millisecond)
			}
			c.Crash(leader)
			for range 4 {
				acknowledged = append(acknowledged, <-got...)
			}
			if round%2 == 1 { // and then everybody else
				for _, id := range writers {
					c.Crash(id)
				}
				for _, id := range writers {
					c.Restart(id)
				}
			}
			n := c.Restart(leader)
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, id := range writers {
				if err := c.Node(id).Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			must[ensemble.Zxid](t)(n.Sync(t.Context()))
			for _, p := range acknowledged {
				if _, ok, err := n.Exists(t.Context(), p); err != nil || !ok {
					t.Fatalf("round %d: %s: %v %v", round, p, ok, err)
				}
			}
		}
	})
}

// A disk that is full, or whose sync fails, ends its member with an error that tells; the others go on, and lose nothing.
func TestDiskFails(t *testing.T) {
	for name, x := range map[string]struct {
		fail func(*vfs.Memory)
		is   error
	}{
		"full": {func(m *vfs.Memory) { m.SetSpace(0) }, syscall.ENOSPC},
		"sync": {func(m *vfs.Memory) {
			m.SetHook(func(o vfs.Op) *vfs.Fault {
				if o.Kind == vfs.OpSync {
					return &vfs.Fault{Err: syscall.EIO}
				}
				return nil
			})
		}, syscall.EIO},
	} {
		for _, who := range []string{"leader", "follower"} {
			t.Run(name+" "+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDisks(t, nil)
					bad := d.leader()
					if who == "follower" {
						bad = bad%3 + 1
					}
					n, other := d.nodes[bad], d.nodes[(bad+1)%3+1]
					paths := d.fill(other, "/before", 10, 1000)
					x.fail(d.disk[bad])
					stuck := n.Submit(ensemble.CreateOp{Path: "/stuck"})
					paths = append(paths, d.fill(other, "/after", 40, 1000)...)
					<-n.Done()
					var de *ensemble.DirError
					if err := n.Err(); !errors.Is(err, ensemble.ErrDirFailed) || !errors.Is(err, x.is) || !errors.As(err, &de) || de.Dir != "/data" {
						t.Fatal(err)
					}
					_, err := stuck.Wait(t.Context())
					never := err != nil && !errors.Is(err, ensemble.ErrUncertain) // the node ended before it was handed over
					if err := n.Ready(t.Context()); !errors.Is(err, ensemble.ErrClosed) || !errors.Is(err, x.is) {
						t.Fatal(err)
					}
					// With the disk mended, it comes back as what it was.
					d.disk[bad].SetHook(nil)
					d.disk[bad].SetSpace(-1)
					d.kill(bad, rand.New(rand.NewPCG(1, 1)))
					if err := d.open(bad).Ready(t.Context()); err != nil {
						t.Fatal(err)
					}
					d.has(d.nodes[bad], paths)
					if _, ok, err := d.nodes[bad].Exists(t.Context(), "/stuck"); err != nil || never && ok {
						t.Fatal(ok, err)
					}
				})
			})
		}
	}
}

// A leader whose disk does not answer gives up leading; when the disk answers again, the member goes on.
func TestDiskStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		slow := d.leader()
		wake := make(chan struct{})
		d.disk[slow].SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == vfs.OpSync {
				<-wake
			}
			return nil
		})
		paths := d.fill(d.nodes[slow%3+1], "/a", 20, 100)
		if s := d.nodes[slow%3+1].Status(); s.Leader == slow {
			<-time.After(time.Minute)
			if s = d.nodes[slow%3+1].Status(); s.Leader == slow {
				t.Fatalf("%+v", s)
			}
		}
		paths = append(paths, d.fill(d.nodes[slow%3+1], "/b", 20, 100)...)
		close(wake)
		d.has(d.nodes[slow], paths)
	})
}

// Much waits for a slow disk. Close waits for what the disk is at, and not for the rest, which is dropped like what a crash loses.
func TestCloseDoesNotWaitForABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMemory()
		open := func() *ensemble.Node {
			n := must[*ensemble.Node](t)(ensemble.Open(disk.With(t.Context(), disk.Disk{FS: m}), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Dir: "/data"}))
			t.Cleanup(func() { n.Close() })
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			return n
		}
		n := open()
		const takes = 200 * time.Millisecond // a leader whose disk takes SyncLimit ticks would give up
		var syncs atomic.Int64
		m.SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == vfs.OpSync {
				syncs.Add(1)
				<-time.After(takes)
			}
			return nil
		})
		var all []*ensemble.Pending
		for i := range 40 {
			all = append(all, n.Submit(ensemble.CreateOp{Path: fmt.Sprintf("/%02d", i), Data: make([]byte, 1<<20)}))
			if i == 0 {
				synctest.Wait() // the first goes alone, and what comes meanwhile is one batch
			}
		}
		if _, err := all[0].Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(takes / 2)
		begin, was := time.Now(), syncs.Load()
		n.Close()
		if took := time.Since(begin); took > 4*takes || syncs.Load() > was+3 { // the rest of a batch, and the marks of a clean end
			t.Errorf("Close took %v, and %d syncs", took, syncs.Load()-was)
		}
		m.SetHook(nil)
		acked := 0
		for ; acked < len(all); acked++ {
			if _, err := all[acked].Wait(t.Context()); err != nil {
				if !errors.Is(err, ensemble.ErrClosed) || !errors.Is(err, ensemble.ErrUncertain) {
					t.Error(err)
				}
				break
			}
		}
		n = open()
		if have := must[[]string](t)(n.Children(t.Context(), "/")); len(have)-1 < acked || len(have)-1 > 20 {
			t.Errorf("%d znodes, and %d were acknowledged", len(have)-1, acked)
		}
	})
}

func TestDirectoryOfSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		d.fill(d.nodes[1], "/a", 3, 10)
		if _, err := d.try(1); !errors.Is(err, ensemble.ErrDirInUse) {
			t.Fatal(err)
		}
		for _, n := range d.nodes {
			n.Close()
		}
		d.disk[1], d.disk[2] = d.disk[2], d.disk[1]
		for id := ensemble.ID(1); id <= 2; id++ {
			var de *ensemble.DirError
			if _, err := d.try(id); !errors.Is(err, ensemble.ErrDirForeign) || !errors.As(err, &de) {
				t.Fatal(err)
			}
		}
		d.disk[1], d.disk[2] = d.disk[2], d.disk[1]
		d.opt = func(c *ensemble.Config) { c.Name = "another" }
		if _, err := d.try(1); !errors.Is(err, ensemble.ErrDirForeign) {
			t.Fatal(err)
		}
		d.opt = nil
		d.openAll() // the refusals have changed nothing
	})
}

// On the real file system, in real time.
func TestDirectoryOfTheSystem(t *testing.T) {
	dir := t.TempDir()
	config := func(c *ensemble.Config) { c.Dir = filepath.Join(dir, fmt.Sprint(c.ID)) }
	c := ensembletest.New(t, 3, config)
	path := must[string](t)(c.Node(1).Create(t.Context(), "/a", []byte("kept"), 0))
	in := ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Dir: filepath.Join(dir, "1")}
	if _, err := ensemble.Open(t.Context(), in); !errors.Is(err, ensemble.ErrDirInUse) {
		t.Fatal(err)
	}
	for id := ensemble.ID(1); id <= 3; id++ {
		c.Stop(id)
	}
	for id := ensemble.ID(1); id <= 3; id++ {
		c.Restart(id)
	}
	if err := c.Node(2).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if z, err := c.Node(2).Get(t.Context(), path); err != nil || string(z.Data) != "kept" {
		t.Fatal(z, err)
	}
}

// Members lose power at random moments, two of three at a time and sometimes all, while their disks take their time; one in six has lost its disk for
// good, and one in six finds it damaged. Whatever was acknowledged is there.
func TestPowerLossAtRandom(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() || raced {
		seeds = 4
	}
	damaged := 0
	defer func() {
		if damaged == 0 {
			t.Error("no disk was damaged")
		}
	}()
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			damages := rand.New(rand.NewPCG(seed, 4)) // what a crash draws from r depends on what was under way
			d := newDisks(t, func(c *ensemble.Config) { c.SnapshotBytes, c.SnapshotsKept = 16<<10, 1+int(seed%3) })
			slow := func(id ensemble.ID) {
				var mu sync.Mutex
				delays := rand.New(rand.NewPCG(seed, uint64(id)))
				d.disk[id].SetHook(func(o vfs.Op) *vfs.Fault {
					if o.Kind == vfs.OpSync {
						mu.Lock()
						delay := time.Duration(delays.ExpFloat64() * float64(3*time.Millisecond))
						mu.Unlock()
						<-time.After(delay)
					}
					return nil
				})
			}
			var mu sync.Mutex
			var acknowledged []string
			for round := range 5 {
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				for id, n := range d.nodes {
					slow(id)
					for w := range 2 {
						group.Go(func() {
							for i := 0; ctx.Err() == nil; i++ {
								if p, err := n.Create(ctx, fmt.Sprintf("/%d-%d-%d-%d", round, id, w, i), make([]byte, 400), 0); err == nil {
									mu.Lock()
									acknowledged = append(acknowledged, p)
									mu.Unlock()
								} else if errors.Is(err, ensemble.ErrClosed) {
									return
								}
							}
						})
					}
				}
				ids := []ensemble.ID{1, 2, 3}
				r.Shuffle(3, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				dead := ids[:2+r.IntN(2)]
				for _, id := range dead {
					<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
					d.kill(id, r)
				}
				switch damages.IntN(6) {
				case 0:
					d.disk[dead[0]].Wipe()
				case 1:
					if err := d.disk[dead[0]].FlipBit(ends(d.disk[dead[0]], ".log")[0], 8*40); err != nil {
						t.Error(err)
					}
					damaged++
					d.hurts[dead[0]]++
				}
				for _, id := range dead {
					d.open(id)
				}
				cancel()
				group.Wait()
				for _, id := range dead {
					if err := d.nodes[id].Ready(t.Context()); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
				for _, n := range d.nodes {
					d.has(n, acknowledged)
				}
			}
			if len(acknowledged) < 100 {
				t.Errorf("seed %d: only %d writes", seed, len(acknowledged))
			}
		})
	}
}
