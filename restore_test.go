package ensemble_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

func isSnapshot(name string) bool { return strings.HasSuffix(name, ".snap") }

// options are those of a Restore of the three.
func (d *disks) options() ensemble.RestoreOptions {
	return ensemble.RestoreOptions{Name: d.config(1).Name, Members: d.config(1).Members}
}

func (d *disks) restore(backup []byte, o ensemble.RestoreOptions, ids ...ensemble.ID) {
	d.t.Helper()
	for _, id := range ids {
		if err := ensemble.Restore(d.on(id), "/data", bytes.NewReader(backup), o); err != nil {
			d.t.Fatalf("restore member %d: %v", id, err)
		}
	}
}

// A majority of the disks is lost. What was acknowledged is all on the third; it is restored on three new ones, and the old member is refused.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var refused []error
		d := newDisks(t, func(c *ensemble.Config) {
			c.SnapshotBytes, c.Name = 16<<10, "shop"
			c.Trace = &ensemble.Trace{PeerChanged: func(p ensemble.PeerChange) {
				mu.Lock()
				defer mu.Unlock()
				if p.Err != nil {
					refused = append(refused, p.Err)
				}
			}}
		})
		paths := d.fill(d.nodes[1], "/a", 100, 500) // several snapshots of it
		<-time.After(time.Second)
		paths = append(paths, d.fill(d.nodes[2], "/b", 10, 500)...)
		d.has(d.nodes[1], paths)
		if d.nodes[1].Status().Snapshot == 0 {
			t.Fatal("no snapshot")
		}
		old, digest := d.nodes[1].Status(), d.nodes[1].View().Digest()
		d.kill(1, rand.New(rand.NewPCG(1, 1)))
		d.nodes[2].Close()
		d.nodes[3].Close()
		backup, z := d.backupDir(1)
		if z < old.Applied {
			t.Fatalf("%v of %v", z, old.Applied)
		}

		left := d.disk[1]
		for id := ensemble.ID(1); id <= 3; id++ {
			d.disk[id] = vfs.NewMemory()
		}
		d.restore(backup, d.options(), 1, 2, 3)
		d.openAll()
		for id, n := range d.nodes {
			s := n.Status()
			if got := n.View().Digest(); got != digest || s.Epoch != z.Epoch()+1<<16 || s.Applied < z {
				t.Errorf("member %d: digest %x of %x; %+v", id, got, digest, s)
			}
			d.has(n, paths)
		}
		r := must[ensemble.Result](t)(d.nodes[3].Do(t.Context(), ensemble.CreateOp{Path: "/token"}))
		if r.Zxid.Epoch() != z.Epoch()+1<<16 {
			t.Errorf("token %v after %v", r.Zxid, z)
		}
		paths = append(paths, r.Path)

		// All of them are voters, and go on after a power loss of all.
		for id := range d.nodes {
			d.kill(id, rand.New(rand.NewPCG(2, uint64(id))))
		}
		d.open(1)
		d.open(3)
		d.has(d.nodes[1], paths)

		// The old member comes back instead of the second.
		mu.Lock()
		if len(refused) > 0 {
			t.Errorf("%v", refused)
		}
		mu.Unlock()
		restored := d.disk[2]
		d.disk[2] = left
		if _, err := d.try(2); !errors.Is(err, ensemble.ErrDirForeign) {
			t.Fatal(err)
		}
		d.disk[2] = restored
		d.disk[1], left = left, d.disk[1]
		d.nodes[1].Close()
		d.open(1)
		d.never(d.nodes[1], ensemble.NoQuorum)
		mu.Lock()
		if len(refused) == 0 || !strings.Contains(refused[0].Error(), "another ensemble") {
			t.Errorf("%v", refused)
		}
		mu.Unlock()
		d.nodes[1].Close()
		d.disk[1] = left
		d.has(d.open(2), paths)
		d.has(d.open(1), paths)
	})
}

// A quorum of restored members begins. A third with an empty directory is readmitted, and one alone is nothing.
func TestRestoreQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		paths := d.fill(d.nodes[1], "/a", 10, 100)
		var b bytes.Buffer
		must[ensemble.Zxid](t)(d.nodes[2].Sync(t.Context()))
		z := must[ensemble.Zxid](t)(d.nodes[2].Backup(t.Context(), &b))
		d.stopAll()
		for id := range d.nodes {
			d.disk[id].Wipe()
		}
		o := d.options()
		o.Epoch = z.Epoch() + 1
		d.restore(b.Bytes(), o, 1, 2)
		d.open(3)
		d.open(1)
		d.never(d.nodes[1], ensemble.NoQuorum)
		d.never(d.nodes[3], ensemble.Blank)
		d.open(2)
		for _, n := range d.nodes {
			d.has(n, paths)
			if e := n.Status().Epoch; e != o.Epoch {
				t.Errorf("epoch %d", e)
			}
		}
		d.nodes[1].Close()
		paths = append(paths, d.fill(d.nodes[3], "/b", 10, 100)...) // the third counts
		d.nodes[2].Close()
		d.has(d.open(1), paths)

		// A restored directory becomes that of who opens it first, and of nobody else.
		d.nodes[1].Close()
		d.disk[1], d.disk[2] = d.disk[2], d.disk[1]
		for id := ensemble.ID(1); id <= 2; id++ {
			if _, err := d.try(id); !errors.Is(err, ensemble.ErrDirForeign) {
				t.Fatal(err)
			}
		}
	})
}

// Members of other ids, other in number, and other backups or options: each is an ensemble of its own.
func TestRestoreToOtherMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.New(t, 3, func(c *ensemble.Config) { c.Dir = "" }) // a member in memory can be backed up, too
		must[string](t)(c.Node(1).Create(t.Context(), "/a", []byte("x"), 0))
		must[ensemble.Zxid](t)(c.Node(2).Sync(t.Context()))
		backup := func() []byte {
			var b bytes.Buffer
			must[ensemble.Zxid](t)(c.Node(2).Backup(t.Context(), &b))
			return b.Bytes()
		}
		first, second := backup(), backup()
		members := []ensemble.Member{{ID: 4}, {ID: 5}, {ID: 9, Observer: true}}
		d := emptyDisks(t, func(c *ensemble.Config) { c.Members = slices.Clone(members) })
		fresh := func(ids ...ensemble.ID) {
			for _, id := range ids {
				if n := d.nodes[id]; n != nil {
					n.Close()
				}
				d.disk[id] = vfs.NewMemory()
			}
		}
		fresh(4, 5, 9)
		d.restore(first, d.options(), 4, 5, 9)
		d.open(4)
		d.open(9)
		d.never(d.nodes[4], ensemble.NoQuorum)
		d.open(5)
		d.has(d.nodes[9], []string{"/a"})
		for name, x := range map[string]struct {
			backup []byte
			change func(*ensemble.RestoreOptions)
			same   bool
		}{
			"another backup of the same state": {second, func(*ensemble.RestoreOptions) {}, false},
			"another epoch":                    {first, func(o *ensemble.RestoreOptions) { o.Epoch = 77 }, false},
			"another membership":               {first, func(o *ensemble.RestoreOptions) { o.Members = o.Members[:2] }, false},
			"other addresses": {first, func(o *ensemble.RestoreOptions) {
				o.Members = slices.Clone(o.Members)
				o.Members[0].Addr = "elsewhere"
			}, true},
		} {
			fresh(4, 5)
			d.restore(first, d.options(), 4)
			o := d.options()
			x.change(&o)
			d.restore(x.backup, o, 5)
			d.open(4)
			d.open(5)
			if !x.same {
				d.never(d.nodes[4], ensemble.NoQuorum)
			} else if err := d.nodes[4].Ready(t.Context()); err != nil {
				t.Fatal(name, err)
			}
		}
	})
}
