package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// belongings are the files of a member in dir that a repair sets aside: all but the lock, the membership and what was set aside before.
func belongings(m *vfs.Memory, dir string) map[string]string {
	_, content := m.Files()
	files := map[string]string{}
	for name, b := range content {
		base, ok := strings.CutPrefix(name, dir+"/")
		if ok && base != "lock" && base != "members" && base != "repair.done" && !strings.HasPrefix(base, "damaged-") {
			files[base] = string(b)
		}
	}
	return files
}

// ends are the files of a suffix, in the order of their names.
func ends(m *vfs.Memory, suffix string) []string {
	names, _ := m.Files()
	return slices.DeleteFunc(names, func(s string) bool {
		return !strings.HasSuffix(s, suffix) || strings.Contains(s, "/damaged-")
	})
}

// hurt does something to a disk, and returns what was there then.
func (d *disks) hurt(id ensemble.ID, do func(*vfs.Memory) error) map[string]string {
	d.t.Helper()
	d.disk[id].PowerLoss(rand.New(rand.NewPCG(uint64(id), 7))) // it was stopped in order; what need not be durable, like the end of a cut file, is now what it is
	if err := do(d.disk[id]); err != nil {
		d.t.Fatal(err)
	}
	d.hurts[id]++
	return belongings(d.disk[id], "/data")
}

// evidence checks that all of it was set aside, in one directory, as it was.
func (d *disks) evidence(id ensemble.ID, want map[string]string) {
	d.t.Helper()
	names, err := d.disk[id].List("/data")
	if err != nil {
		d.t.Fatal(err)
	}
	var dirs []string
	for _, n := range names {
		if strings.HasPrefix(n, "damaged-") {
			dirs = append(dirs, n)
		}
	}
	if len(dirs) != 1 || !reflect.DeepEqual(belongings(d.disk[id], path.Join("/data", dirs[0])), want) {
		d.t.Errorf("member %d: evidence in %q is not what was there", id, dirs)
	}
}

func (d *disks) stopAll() {
	for _, n := range d.nodes {
		n.Close()
	}
}

// readies waits for members, and makes sure that they hold the same, paths included.
func (d *disks) readies(paths []string, ids ...ensemble.ID) {
	d.t.Helper()
	var first uint64
	for i, id := range ids {
		n := d.nodes[id]
		ctx, cancel := context.WithTimeout(d.t.Context(), time.Hour)
		err := n.Ready(ctx)
		cancel()
		if err != nil {
			for _, n := range d.nodes {
				d.t.Logf("%+v", n.Status())
			}
			d.t.Fatalf("member %d: %v", id, err)
		}
		d.has(n, paths)
		must[ensemble.Zxid](d.t)(n.Sync(d.t.Context()))
		if digest := n.View().Digest(); i == 0 {
			first = digest
		} else if digest != first {
			d.t.Errorf("member %d: digest %x, not %x", id, digest, first)
		}
	}
}

// damagedDirectories are what a start finds wrong, with the names of internal/sim/catalogue_test.go.
var damagedDirectories = map[string]struct {
	snapshots bool // there are some
	where     string
	do        func(m *vfs.Memory) error
}{
	"D2 a bit of a committed record": {false, ".log", func(m *vfs.Memory) error { return m.FlipBit(ends(m, ".log")[0], 8*(512+20)) }},
	"D2 a page of zeros":             {false, ".log", func(m *vfs.Memory) error { return m.Zero(ends(m, ".log")[0], 1024, 512) }},
	"D9 all snapshots empty": {true, "snapshots", func(m *vfs.Memory) error {
		var err error
		for _, name := range ends(m, ".snap") {
			f, e := m.OpenWrite(name)
			if err = errors.Join(err, e); e == nil {
				err = errors.Join(err, f.Truncate(0), f.Sync(), f.Close())
			}
		}
		return err
	}},
	"D9 no snapshot, and a log that goes on from one": {true, "snapshots", func(m *vfs.Memory) error {
		var err error
		for _, name := range ends(m, ".snap") {
			err = errors.Join(err, m.Remove(name))
		}
		return errors.Join(err, m.SyncDir("/data/snapshots"))
	}},
	"D9 snapshots, and no log": {true, "snapshots", func(m *vfs.Memory) error {
		var err error
		for _, name := range append(ends(m, ".log"), "/data/mark.0", "/data/mark.1") {
			err = errors.Join(err, m.Remove(name))
		}
		return errors.Join(err, m.SyncDir("/data"))
	}},
	"D14 both slots": {false, "mark.0", func(m *vfs.Memory) error {
		return errors.Join(m.FlipBit("/data/mark.0", 300), m.FlipBit("/data/mark.1", 300))
	}},
	"a segment is missing": {false, ".log", func(m *vfs.Memory) error {
		return errors.Join(m.Remove(ends(m, ".log")[1]), m.SyncDir("/data"))
	}},
}

// A member whose directory is damaged sets it aside, says Impaired and answers no read, is brought up to date by the others, and counts again: with one
// other it is a quorum, after a power loss of all. Nothing that was acknowledged is lost.
func TestDamagedDirectoryIsRepaired(t *testing.T) {
	for name, x := range damagedDirectories {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &journal{}
				var told []ensemble.DamageInfo
				d := newDisks(t, func(c *ensemble.Config) {
					c.SnapshotsKept = 1
					if c.ID == 1 {
						c.Logger = slog.New(slog.NewTextHandler(log, nil))
						c.Trace = &ensemble.Trace{Damaged: func(i ensemble.DamageInfo) { told = append(told, i) }}
					}
				})
				paths := d.fill(d.nodes[1], "/a", 60, 1000)
				if x.snapshots {
					for range 2 {
						d.snapshot(1, 2, 3)
						paths = append(paths, d.fill(d.nodes[2], fmt.Sprint("/b", len(paths)), 20, 1000)...)
					}
				}
				d.stopAll()
				was := d.hurt(1, x.do)

				n := d.open(1)
				if s := n.Status(); s.Ready || s.Reason != ensemble.Impaired {
					t.Fatalf("%+v", s)
				}
				if _, _, err := n.Exists(t.Context(), paths[0]); !errors.Is(err, ensemble.ErrImpaired) {
					t.Fatal(err)
				}
				d.open(2)
				// One that counts and one that does not are no quorum.
				<-time.After(time.Minute)
				for id := ensemble.ID(1); id <= 2; id++ {
					if s := d.nodes[id].Status(); s.Ready || s.Leader == 1 {
						t.Fatalf("%+v", s)
					}
				}
				if s := n.Status(); s.Reason != ensemble.Impaired {
					t.Fatalf("%+v", s)
				}
				d.open(3)
				d.readies(paths, 1, 2, 3)
				d.evidence(1, was)
				if len(told) != 1 || !strings.Contains(told[0].Where, x.where) || told[0].Why == "" || !strings.HasPrefix(told[0].Evidence, "/data/damaged-") {
					t.Errorf("%+v", told)
				}
				for _, want := range []string{"the data directory is damaged", told[0].Evidence, "there is no leader to bring it up to date", "no longer impaired"} {
					if log.count(want) != 1 {
						t.Errorf("the log does not say once: %q", want)
					}
				}

				paths = append(paths, d.fill(n, "/after", 20, 1000)...)
				for id := range d.nodes {
					d.kill(id, rand.New(rand.NewPCG(uint64(id), 5)))
				}
				d.open(1)
				d.open(3)
				if s := d.nodes[1].Status(); s.Reason == ensemble.Impaired {
					t.Fatalf("%+v\n%s", s, log.log.String())
				}
				d.readies(paths, 1, 3)
				d.open(2)
				d.readies(paths, 1, 2, 3)
				d.evidence(1, was)
				if len(told) != 1 {
					t.Errorf("%+v", told)
				}
			})
		})
	}
}

// D3: A holds something committed, and is damaged; B has it and is away; C lacks it. That halts, and loses nothing: when B is back all have it.
func TestCorruptPlusLagging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		paths := d.fill(d.nodes[1], "/a", 20, 1000)
		d.nodes[3].Close()
		paths = append(paths, d.fill(d.nodes[1], "/x", 30, 1000)...)
		d.stopAll()
		was := d.hurt(1, func(m *vfs.Memory) error { return m.FlipBit(ends(m, ".log")[0], 8*(512+20)) })
		d.open(1)
		d.open(3)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := d.nodes[1].Ready(ctx); !errors.Is(err, ensemble.ErrNoQuorum) || !errors.Is(err, ensemble.ErrImpaired) {
			t.Fatal(err)
		}
		if _, err := d.nodes[3].Create(ctx, "/no", nil, 0); !errors.Is(err, ensemble.ErrNoQuorum) {
			t.Fatal(err)
		}
		d.open(2)
		d.readies(paths, 1, 2, 3)
		d.evidence(1, was)
	})
}

// Two of three are damaged: nothing happens but that they say so. The damage of one was in reading it: what was set aside is whole, and is put back as
// docs/storage.md says.
func TestTooManyDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		paths := d.fill(d.nodes[1], "/a", 40, 1000)
		d.snapshot(1, 2, 3)
		d.stopAll()
		was := map[ensemble.ID]map[string]string{
			1: d.hurt(1, func(m *vfs.Memory) error { return m.FlipBit(ends(m, ".log")[0], 8*(512+20)) }),
			2: d.hurt(2, func(m *vfs.Memory) error {
				bad := ends(m, ".log")[0]
				m.SetHook(func(op vfs.Op) *vfs.Fault {
					if op.Kind == vfs.OpRead && op.Name == bad {
						return &vfs.Fault{Err: syscall.EIO}
					}
					return nil
				})
				return nil
			}),
		}
		for id := ensemble.ID(1); id <= 3; id++ {
			d.open(id)
		}
		d.disk[2].SetHook(nil)
		<-time.After(10 * time.Minute)
		for id, n := range d.nodes {
			s := n.Status()
			if want := map[bool]ensemble.Reason{true: ensemble.Impaired, false: ensemble.NoQuorum}[id < 3]; s.Ready || s.Leader != 0 || s.Reason != want {
				t.Errorf("member %d: %+v", id, s)
			}
		}
		d.evidence(1, was[1])
		d.evidence(2, was[2])
		if _, _, err := d.nodes[1].Exists(t.Context(), paths[0]); !errors.Is(err, ensemble.ErrImpaired) {
			t.Error(err)
		}

		d.nodes[2].Close()
		if _, _, err := d.nodes[2].Exists(t.Context(), paths[0]); !errors.Is(err, ensemble.ErrClosed) || errors.Is(err, ensemble.ErrImpaired) {
			t.Errorf("closed while it is impaired: %v", err)
		}
		m := d.disk[2]
		evidence := ""
		if err := m.MkdirAll("/old"); err != nil {
			t.Fatal(err)
		}
		for _, name := range must[[]string](t)(m.List("/data")) {
			switch {
			case strings.HasPrefix(name, "damaged-"):
				evidence = "/data/" + name
			case name != "lock":
				if err := m.Rename("/data/"+name, "/old/"+name); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, name := range must[[]string](t)(m.List(evidence)) {
			if name != "repair.done" {
				if err := m.Rename(evidence+"/"+name, "/data/"+name); err != nil {
					t.Fatal(err)
				}
			}
		}
		d.open(2)
		d.readies(paths, 1, 2, 3)
	})
}

// D10: the newest snapshot is damaged, and an older one with the log will do: no repair, and the same state.
func TestNewestSnapshotDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		var paths []string
		for round := range 3 {
			paths = append(paths, d.fill(d.nodes[1], fmt.Sprint("/", round), 20, 1000)...)
			must[ensemble.Zxid](t)(d.nodes[1].Snapshot(t.Context()))
		}
		d.stopAll()
		was := d.hurt(1, func(m *vfs.Memory) error {
			snaps := ends(m, ".snap")
			return m.FlipBit(snaps[len(snaps)-1], 8*2000)
		})
		d.open(1)
		if s := d.nodes[1].Status(); s.Reason == ensemble.Impaired || len(ends(d.disk[1], ".snap")) != 3 {
			t.Fatalf("%+v", s)
		}
		d.open(2) // a quorum with it: it counts
		d.readies(paths, 1, 2)
		d.open(3)
		d.readies(paths, 1, 2, 3)
		if names, _ := d.disk[1].Files(); slices.ContainsFunc(names, func(s string) bool { return strings.Contains(s, "damaged-") }) || len(was) == 0 {
			t.Error(names)
		}
	})
}

// Where nobody can readmit a member, or the disk only cannot be read just now, Open refuses and changes nothing. An observer can always be repaired.
func TestDamagedDirectoryIsRefused(t *testing.T) {
	flip := func(m *vfs.Memory) error { return m.FlipBit(ends(m, ".log")[0], 8*(512+20)) }
	refuses := func(t *testing.T, d *disks, want string) {
		t.Helper()
		_, before := d.disk[1].Files()
		n, err := d.try(1)
		if err == nil {
			n.Close()
		}
		var de *ensemble.DirError
		if !errors.Is(err, ensemble.ErrImpaired) || !errors.As(err, &de) || !strings.Contains(err.Error(), want) {
			t.Fatal(err)
		}
		d.disk[1].SetHook(nil)
		if _, after := d.disk[1].Files(); !reflect.DeepEqual(before, after) {
			t.Error("the directory was changed")
		}
	}
	for name, members := range map[string][]ensemble.Member{
		"one voter":  {{ID: 1}, {ID: 2, Observer: true}, {ID: 3, Observer: true}},
		"two voters": {{ID: 1}, {ID: 2}, {ID: 3, Observer: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisks(t, func(c *ensemble.Config) { c.Members = members })
				paths := d.fill(d.nodes[1], "/a", 30, 1000)
				must[ensemble.Zxid](t)(d.nodes[3].Sync(t.Context()))
				d.stopAll()
				d.hurt(1, flip)
				refuses(t, d, "could not readmit it")
				if err := flip(d.disk[1]); err != nil { // the bit is as it was
					t.Fatal(err)
				}
				d.hurts[1] = 0
				was := d.hurt(3, flip)
				for id := range d.nodes {
					d.open(id)
				}
				d.readies(paths, 1, 2, 3)
				d.evidence(3, was)
			})
		})
	}
	for name, x := range map[string]struct {
		suffix, want string
		err          error
	}{
		"permission":            {".log", "permission denied", syscall.EACCES},
		"EIO on everything":     {"", "nothing of it could be read", syscall.EIO},
		"snapshots, open files": {".snap", "", syscall.EMFILE},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisks(t, func(c *ensemble.Config) { c.SnapshotsKept = 1 })
				paths := d.fill(d.nodes[1], "/a", 30, 1000)
				d.snapshot(1)
				d.stopAll()
				d.disk[1].SetHook(func(op vfs.Op) *vfs.Fault {
					if (op.Kind == vfs.OpRead || op.Kind == vfs.OpOpen) && strings.HasSuffix(op.Name, x.suffix) {
						return &vfs.Fault{Err: x.err}
					}
					return nil
				})
				refuses(t, d, x.want)
				for id := range d.nodes {
					d.open(id)
				}
				d.readies(paths, 1, 2, 3)
			})
		})
	}
	t.Run("three times", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisks(t, nil)
			paths := d.fill(d.nodes[1], "/a", 30, 1000)
			for range 3 {
				d.nodes[1].Close()
				d.hurt(1, flip)
				d.open(1)
				paths = append(paths, d.fill(d.nodes[1], fmt.Sprint("/b", len(paths)), 30, 1000)...)
				d.readies(paths, 1, 2, 3)
			}
			d.nodes[1].Close()
			d.hurt(1, flip)
			refuses(t, d, "there are 3 directories")
		})
	})
}

// A power loss at any step of the repair: the next start goes on with it, and no byte of evidence is lost.
func TestPowerLossAtEachStepOfARepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, func(c *ensemble.Config) { c.SnapshotsKept = 1 })
		paths := d.fill(d.nodes[1], "/a", 60, 500) // more than one segment, of which the first goes
		d.snapshot(1, 2, 3)
		d.stopAll()
		was := d.hurt(1, func(m *vfs.Memory) error { return m.FlipBit(ends(m, ".snap")[0], 8*600) })
		var mu sync.Mutex
		var images []*vfs.Memory
		d.disk[1].SetHook(func(op vfs.Op) *vfs.Fault {
			switch op.Kind {
			case vfs.OpOpen, vfs.OpRead, vfs.OpList, vfs.OpClose, vfs.OpLock:
			default:
				mu.Lock()
				images = append(images, d.disk[1].Clone())
				mu.Unlock()
			}
			return nil
		})
		n := d.open(1)
		d.disk[1].SetHook(nil)
		n.Close()
		before := map[ensemble.ID]*vfs.Memory{2: d.disk[2].Clone(), 3: d.disk[3].Clone()}
		for i, image := range images {
			for id, disk := range before {
				d.disk[id].Restore(disk)
			}
			d.disk[1].Restore(image)
			d.hurts[1] = 1
			d.disk[1].PowerLoss(rand.New(rand.NewPCG(uint64(i), 8)))
			for id := ensemble.ID(1); id <= 3; id++ {
				d.open(id)
			}
			d.readies(paths, 1, 2, 3)
			d.evidence(1, was)
			d.stopAll()
		}
		if len(images) < 25 {
			t.Errorf("only %d images", len(images))
		}
		t.Logf("%d images", len(images))
	})
}

// Where nothing tells which ensemble a directory is of, the member takes no part in a birth: it would be that of an empty ensemble.
func TestDamagedIdentityFoundsNothing(t *testing.T) {
	flip := func(m *vfs.Memory) error {
		for _, name := range append(ends(m, ".log"), "/data/mark.0", "/data/mark.1") {
			if err := m.FlipBit(name, 300); err != nil {
				return err
			}
		}
		return nil
	}
	for name, do := range map[string]func(id ensemble.ID, m *vfs.Memory) error{
		"all headers": func(_ ensemble.ID, m *vfs.Memory) error { return flip(m) },
		"of two, and the third wiped": func(id ensemble.ID, m *vfs.Memory) error {
			if id == 3 {
				m.Wipe()
				return nil
			}
			return flip(m)
		},
		"no log, and snapshots that cannot be read": func(_ ensemble.ID, m *vfs.Memory) error {
			for _, name := range append(ends(m, ".log"), "/data/mark.0", "/data/mark.1") {
				if err := m.Remove(name); err != nil {
					return err
				}
			}
			m.SetHook(func(o vfs.Op) *vfs.Fault {
				if o.Kind == vfs.OpRead && strings.HasSuffix(o.Name, ".snap") {
					return &vfs.Fault{Err: syscall.EACCES}
				}
				return nil
			})
			return m.SyncDir("/data")
		},
		"no log, and damaged snapshots": func(_ ensemble.ID, m *vfs.Memory) error {
			for _, name := range append(ends(m, ".log"), "/data/mark.0", "/data/mark.1") {
				if err := m.Remove(name); err != nil {
					return err
				}
			}
			for _, name := range ends(m, ".snap") {
				if err := m.FlipBit(name, 300); err != nil {
					return err
				}
			}
			return m.SyncDir("/data")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisks(t, nil)
				d.fill(d.nodes[1], "/a", 5, 1000)
				for _, n := range d.nodes {
					must[ensemble.Zxid](t)(n.Sync(t.Context()))
				}
				if strings.Contains(name, "snapshots") {
					d.snapshot(1, 2, 3)
				}
				d.stopAll()
				for id := ensemble.ID(1); id <= 3; id++ {
					d.hurt(id, func(m *vfs.Memory) error { return do(id, m) })
				}
				opened := 0
				for id := ensemble.ID(1); id <= 3; id++ {
					if n, err := d.try(id); err == nil {
						d.nodes[id] = n
						opened++
					}
				}
				<-time.After(time.Minute)
				for id := ensemble.ID(1); id <= 3 && opened > 0; id++ {
					if s := d.nodes[id].Status(); s.Ready || s.Role == ensemble.Leading {
						t.Errorf("member %d takes part in a birth: %+v", id, s)
					}
				}
			})
		})
	}
}
