package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

func (d *disks) bootstrap(ids ...ensemble.ID) {
	d.t.Helper()
	for _, id := range ids {
		if err := ensemble.Bootstrap(d.on(id), d.config(id)); err != nil {
			d.t.Fatalf("bootstrap member %d: %v", id, err)
		}
	}
}

// never waits a minute, a thousand ticks, and makes sure that the node cannot serve.
func (d *disks) never(n *ensemble.Node, why ensemble.Reason) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	if err := n.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		d.t.Fatalf("member %d can serve: %v", n.Status().ID, err)
	}
	if s := n.Status(); s.Reason != why {
		d.t.Fatalf("%+v, wanted %v", s, why)
	}
}

// Two of three founders that were bootstrapped begin. The third comes later: bootstrapped too it counts at once, with an empty directory when it was readmitted.
func TestBootstrap(t *testing.T) {
	for _, third := range []bool{true, false} {
		t.Run(fmt.Sprint(third), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := emptyDisks(t, nil)
				d.bootstrap(1, 2)
				d.open(1)
				d.never(d.nodes[1], ensemble.NoQuorum)
				d.open(2)
				paths := d.fill(d.nodes[2], "/a", 20, 100)
				if third {
					d.bootstrap(3)
					// With the third alone there is a quorum: it has forgotten nothing. What was acknowledged is on the other.
					d.nodes[2].Close()
					paths = append(paths, d.fill(d.open(3), "/b", 20, 100)...)
					d.open(2)
				}
				d.has(d.nodes[2], paths)
				if !third {
					d.has(d.open(3), paths)
				}
				for id := ensemble.ID(1); id <= 3; id++ { // each of them counts
					d.kill(id, rand.New(rand.NewPCG(1, uint64(id))))
				}
				d.open(2)
				d.has(d.open(3), paths)
			})
		})
	}
}

// One founder that was bootstrapped is no quorum, and keeps the others from founding an ensemble of their own.
func TestBootstrapOfOneOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisks(t, nil)
		d.bootstrap(2)
		for id := ensemble.ID(1); id <= 3; id++ {
			d.open(id)
		}
		d.never(d.nodes[1], ensemble.Blank)
		d.never(d.nodes[2], ensemble.NoQuorum)
		// The way out: those that never counted are bootstrapped, too.
		d.nodes[3].Close()
		if err := ensemble.Bootstrap(d.on(3), d.config(3)); !errors.Is(err, ensemble.ErrDirUsed) {
			t.Fatal(err)
		}
		d.disk[3].Wipe()
		d.bootstrap(3)
		d.open(3)
		d.has(d.nodes[1], d.fill(d.nodes[3], "/a", 3, 10))
	})
}

// Founders that do not agree on who the founders are, or on the name, are no ensemble; where they differ in addresses only, they are.
func TestBootstrapIdentity(t *testing.T) {
	for name, x := range map[string]struct {
		other func(*ensemble.Config)
		same  bool
	}{
		"addresses": {func(c *ensemble.Config) { c.Members[1].Addr = "elsewhere" }, true},
		"order":     {func(c *ensemble.Config) { c.Members[0], c.Members[2] = c.Members[2], c.Members[0] }, true},
		"observer":  {func(c *ensemble.Config) { c.Members[2].Observer = true }, false},
		"members":   {func(c *ensemble.Config) { c.Members[2].ID = 4 }, false},
		"weights": {func(c *ensemble.Config) {
			for i := range c.Members {
				c.Members[i].Group, c.Members[i].Weight = 1, 1
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := emptyDisks(t, nil)
				d.bootstrap(1)
				d.opt = x.other
				d.bootstrap(2)
				d.opt = nil
				d.open(1)
				d.open(2)
				if x.same {
					d.fill(d.nodes[1], "/a", 1, 1)
				} else {
					d.never(d.nodes[1], ensemble.NoQuorum)
				}
			})
		})
	}
}

func TestBootstrapRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisks(t, nil)
		err := ensemble.Bootstrap(d.on(1), ensemble.Config{ID: 7, Members: []ensemble.Member{{ID: 1}, {ID: 1}}, Join: true, Tick: -1})
		fields := map[string]int{}
		for _, e := range leaves(err) {
			if c, ok := errors.AsType[*ensemble.ConfigError](e); ok {
				fields[c.Field]++
			}
		}
		for _, f := range []string{"ID", "Members", "Dir", "Join", "Tick"} {
			if fields[f] != 1 {
				t.Errorf("%s is told %d times: %v", f, fields[f], err)
			}
		}
		if names, _ := d.disk[1].Files(); len(names) > 0 {
			t.Errorf("%v", names)
		}
		ctx, cancel := context.WithCancel(d.on(1))
		cancel()
		if err := ensemble.Bootstrap(ctx, d.config(1)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		refused := func(id ensemble.ID, what error) {
			t.Helper()
			synctest.Wait() // a node that runs has written what it had to write
			_, before := d.disk[id].Files()
			var de *ensemble.DirError
			if err := ensemble.Bootstrap(d.on(id), d.config(id)); !errors.Is(err, what) || !errors.As(err, &de) {
				t.Fatal(err)
			}
			d.unchanged(id, before)
		}
		// Twice; while it runs; after it has run.
		d.bootstrap(1, 2)
		refused(1, ensemble.ErrDirUsed)
		d.open(1)
		d.open(2)
		refused(1, ensemble.ErrDirInUse)
		d.fill(d.nodes[1], "/a", 3, 10)
		must[ensemble.Zxid](t)(d.nodes[1].Snapshot(t.Context()))
		d.nodes[1].Close()
		refused(1, ensemble.ErrDirUsed)
		// Its log is gone, and its snapshots are not.
		names, _ := d.disk[1].Files()
		for _, name := range names {
			if !isSnapshot(name) && !strings.HasSuffix(name, "lock") {
				if err := d.disk[1].Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		refused(1, ensemble.ErrDirUsed)
		// A disk that fails.
		d.disk[3].SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == vfs.OpSync {
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		if err := ensemble.Bootstrap(d.on(3), d.config(3)); !errors.Is(err, ensemble.ErrDirFailed) || !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.disk[3].SetHook(nil)
		d.bootstrap(3) // what the failure left is nothing
	})
}

// A directory from a birth is not bootstrapped, and the birth goes before.
func TestBootstrapAfterBirth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		paths := d.fill(d.nodes[1], "/a", 3, 10)
		d.nodes[1].Close()
		if err := ensemble.Bootstrap(d.on(1), d.config(1)); !errors.Is(err, ensemble.ErrDirUsed) {
			t.Fatal(err)
		}
		d.has(d.open(1), paths)
		// A lost directory that is bootstrapped by mistake, after a birth, is another ensemble's.
		d.nodes[1].Close()
		d.disk[1].Wipe()
		d.bootstrap(1)
		d.never(d.open(1), ensemble.NoQuorum)
		d.has(d.nodes[2], paths)
	})
}

// Observers may be bootstrapped with everybody else. They count for nothing.
func TestBootstrapObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisks(t, func(c *ensemble.Config) { c.Members[2].Observer = true })
		d.bootstrap(1, 2, 3)
		d.open(1)
		d.open(3)
		d.never(d.nodes[1], ensemble.NoQuorum)
		d.open(2)
		d.has(d.nodes[3], d.fill(d.nodes[1], "/a", 3, 10))
	})
}

// Whatever a crash leaves of Bootstrap, it is a directory that can be bootstrapped, or one that was.
func TestBootstrapCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again, whole := 0, 0
		images, err := crashes(vfs.NewMemory(), 8, func(m *vfs.Memory) error {
			return ensemble.Bootstrap(onDisk(m), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Dir: "/a/data"})
		}, func(m *vfs.Memory, done bool) error {
			cfg := ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Dir: "/a/data"}
			switch err := ensemble.Bootstrap(onDisk(m), cfg); {
			case errors.Is(err, ensemble.ErrDirUsed):
				whole++
			case err != nil:
				return err
			case done:
				return errors.New("it was lost")
			default:
				again++
			}
			cfg.Join = true // so that it is the directory that lets it begin
			n, err := ensemble.Open(onDisk(m), cfg)
			if err != nil {
				return err
			}
			defer n.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err = n.Create(ctx, "/a", nil, 0); err != nil {
				return fmt.Errorf("called whole, and cannot serve: %w", err)
			}
			return nil
		})
		if err != nil || again == 0 || whole == 0 {
			t.Errorf("bootstrapped again %d times, whole %d times: %v", again, whole, err)
		}
		t.Logf("%d images: %d were bootstrapped again, %d were whole", images, again, whole)
	})
}

// crashes runs an operation and judges images of the disk before each of its own operations, in the middle of each write, and behind it: after a crash of
// the process, and after losses of power, in which parts of writes and names are lost. It returns how many there were.
func crashes(m *vfs.Memory, losses uint64, run func(*vfs.Memory) error, judge func(m *vfs.Memory, done bool) error) (n int, err error) {
	type image struct {
		disk *vfs.Memory
		op   vfs.Op
		done bool
	}
	var images []image
	m.SetHook(func(o vfs.Op) *vfs.Fault {
		data := o.Data
		o.Data = nil
		switch o.Kind {
		case vfs.OpOpen, vfs.OpRead, vfs.OpList, vfs.OpClose, vfs.OpLock:
			return nil
		case vfs.OpWrite:
			half := m.Clone()
			if f, err := half.OpenWrite(o.Name); err == nil {
				f.WriteAt(data[:len(data)/2], o.Offset)
				f.Close()
				images = append(images, image{half, o, false})
			}
		}
		images = append(images, image{m.Clone(), o, false})
		return nil
	})
	if err := run(m); err != nil {
		return 0, err
	}
	m.SetHook(nil)
	images = append(images, image{m.Clone(), vfs.Op{}, true})
	for i, x := range images {
		for seed := range losses + 1 {
			c := x.disk.Clone()
			if seed > 0 {
				c.PowerLoss(rand.New(rand.NewPCG(uint64(i), seed)))
			}
			if err := judge(c, x.done); err != nil {
				return n, fmt.Errorf("before %+v, loss %d: %w", x.op, seed, err)
			}
			n++
		}
	}
	return n, nil
}

// Members that were told to join never found an ensemble. With a directory that took part, it changes nothing.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		join := func(c *ensemble.Config) { c.Join = true }
		d := emptyDisks(t, join)
		for id := ensemble.ID(1); id <= 3; id++ {
			d.open(id)
		}
		d.never(d.nodes[1], ensemble.NoQuorum)
		d.nodes[1].Close()
		d.opt = nil
		d.never(d.open(1), ensemble.NoQuorum) // one that may found, and two that may not
		for id := ensemble.ID(1); id <= 3; id++ {
			d.nodes[id].Close()
			d.disk[id].Wipe()
		}
		d.openAll()
		paths := d.fill(d.nodes[1], "/a", 20, 100)
		d.opt = join
		for id := ensemble.ID(1); id <= 3; id++ {
			d.nodes[id].Close()
		}
		d.disk[2].Wipe()
		d.open(2)
		d.never(d.nodes[2], ensemble.NoQuorum)
		d.open(1)
		d.open(3)
		for _, n := range d.nodes {
			d.has(n, paths) // the second was readmitted
		}
		d.nodes[1].Close()
		d.has(d.nodes[2], d.fill(d.nodes[3], "/b", 3, 10))
	})
}

// leaves undoes all joining.
func leaves(err error) []error {
	switch x := err.(type) {
	case interface{ Unwrap() []error }:
		var all []error
		for _, e := range x.Unwrap() {
			all = append(all, leaves(e)...)
		}
		return all
	case *ensemble.ConfigError:
		return []error{x}
	case interface{ Unwrap() error }:
		return leaves(x.Unwrap())
	}
	return []error{err}
}
