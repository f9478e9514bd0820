package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// files counts the snapshots and the bytes of log on a disk.
func files(m *vfs.Memory) (snapshots int, log int) {
	names, content := m.Files()
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".snap"):
			snapshots++
		case strings.HasSuffix(name, ".log"):
			log += len(content[name])
		}
	}
	return snapshots, log
}

// The log grows, snapshots come by themselves, and what they make superfluous goes. A restart begins with the newest.
func TestSnapshotsBoundTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[ensemble.ID]int{}
		d := newDisks(t, func(c *ensemble.Config) {
			c.SnapshotBytes, c.SnapshotsKept = 16<<10, 2
			c.Trace = &ensemble.Trace{Snapshotted: func(i ensemble.SnapshotInfo) {
				mu.Lock()
				defer mu.Unlock()
				if told[c.ID]++; i.Zxid == 0 || i.Bytes == 0 {
					t.Errorf("%+v", i)
				}
			}}
		})
		var paths []string
		for round := range 6 {
			paths = append(paths, d.fill(d.nodes[ensemble.ID(round%3+1)], fmt.Sprint("/", round), 100, 500)...)
			<-time.After(time.Second)
			for id, n := range d.nodes {
				snaps, log := files(d.disk[id])
				if s := n.Status(); s.Snapshot == 0 || s.Snapshot > s.Applied || snaps > 2 || log > 256<<10 {
					t.Errorf("member %d: snapshot %v of %v, %d files, %d bytes of log", id, s.Snapshot, s.Applied, snaps, log)
				}
			}
			for id := range d.nodes {
				if round%2 == 0 {
					d.nodes[id].Close()
				} else {
					d.kill(id, rand.New(rand.NewPCG(uint64(round), uint64(id))))
				}
			}
			d.openAll()
			for _, n := range d.nodes {
				if n.Status().Snapshot == 0 {
					t.Error("the snapshot is forgotten")
				}
				d.has(n, paths)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if told[1] < 6 || told[2] < 6 || told[3] < 6 { // one a round at least; while one is written no other is begun
			t.Errorf("%v snapshots of 300 KiB in six rounds", told)
		}
	})
}

// A node that starts again before it has written SnapshotBytes has its snapshots all the same: a start ends with more of the log applied than it began with.
func TestShortLivesBoundTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, due = 700 << 10, 1 << 20 // more than is applied at once, and less than is due
		d := newDisks(t, func(c *ensemble.Config) { c.SnapshotBytes, c.SnapshotsKept = due, 1 })
		last := ensemble.Zxid(0)
		for life := range 8 {
			d.fill(d.nodes[1], fmt.Sprint("/", life), each/(4<<10), 4<<10)
			for id := range d.nodes {
				d.kill(id, rand.New(rand.NewPCG(uint64(life), uint64(id))))
			}
			d.openAll()
			<-time.After(time.Second)
			for id := range d.nodes {
				if _, log := files(d.disk[id]); log > 4*due {
					t.Errorf("life %d, member %d: %d bytes of log", life, id, log)
				}
			}
			if life%2 == 1 {
				if z := d.nodes[1].Status().Snapshot; z <= last {
					t.Errorf("life %d: the snapshot is still %v", life, z)
				} else {
					last = z
				}
			}
		}
	})
}

func TestSnapshotNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.New(t, 3)
		n := c.Node(2)
		must[string](t)(n.Create(t.Context(), "/a", nil, 0))
		z := must[ensemble.Zxid](t)(n.Snapshot(t.Context()))
		if s := n.Status(); z == 0 || z != s.Snapshot || z != s.Applied {
			t.Fatalf("%v of %+v", z, s)
		}
		if again := must[ensemble.Zxid](t)(n.Snapshot(t.Context())); again != z {
			t.Fatal(again, z)
		}
		results := make(chan error, 10)
		for range cap(results) { // beside writes
			go func() { results <- second(n.Snapshot(t.Context())) }()
		}
		must[string](t)(n.Create(t.Context(), "/b", nil, 0))
		for range cap(results) {
			if err := <-results; err != nil {
				t.Fatal(err)
			}
		}
		go func() { results <- second(n.Snapshot(t.Context())) }()
		c.Stop(2)
		if err := <-results; err != nil && !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
		if _, err := n.Snapshot(t.Context()); !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
		if err := c.Restart(2).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.New(t, 1, func(c *ensemble.Config) { c.Dir = "" })
		if _, err := c.Node(1).Snapshot(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
	})
}

// cut has every member keep a snapshot, and waits until the beginning of its log is gone, on its disk and, after the restart, from its memory: whoever
// leads has nothing but a snapshot for a member without a history. A member that has not applied anything yet would keep none, so each is waited for.
func (d *disks) cut() {
	d.t.Helper()
	last := must[ensemble.Zxid](d.t)(d.nodes[1].Sync(d.t.Context()))
	for id, n := range d.nodes {
		if err := n.Await(d.t.Context(), last); err != nil {
			d.t.Fatal(err)
		}
		if z := must[ensemble.Zxid](d.t)(n.Snapshot(d.t.Context())); z < last {
			d.t.Fatalf("member %d has kept %v, not %v", id, z, last)
		}
		begins := func() bool {
			names, _ := d.disk[id].Files()
			return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(filepath.Base(name), "0000000000000001-") })
		}
		for deadline := time.Now().Add(time.Minute); begins(); <-time.After(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				d.t.Fatalf("the log of member %d still begins at its beginning", id)
			}
		}
	}
	for _, n := range d.nodes {
		n.Close()
	}
	d.openAll()
}

// A member that lost its disk gets a snapshot from a leader whose log has lost its beginning. What it received is durable, and makes it a voter
// again: it forms a quorum with one other after a power loss of all.
func TestReceivedSnapshotIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, func(c *ensemble.Config) { c.SnapshotsKept = 1 })
		paths := d.fill(d.nodes[1], "/a", 100, 500) // several segments
		d.cut()
		for round := range 3 {
			lost := d.leader()%3 + 1
			d.nodes[lost].Close()
			d.disk[lost].Wipe()
			n := d.open(lost)
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n.Status().Snapshot == 0 {
				t.Errorf("round %d: not brought up to date by a snapshot", round)
			}
			paths = append(paths, d.fill(n, fmt.Sprint("/", round), 20, 200)...)
			d.has(n, paths)
			for id := range d.nodes {
				d.kill(id, rand.New(rand.NewPCG(uint64(round), uint64(id))))
			}
			other := lost%3 + 1
			d.open(lost)
			d.open(other)
			if err := d.nodes[lost].Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.has(d.nodes[lost], paths)
			d.has(d.nodes[other], paths)
			third := other%3 + 1
			if err := d.open(third).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.has(d.nodes[third], paths)
		}
	})
}

// A power loss before any operation of the disk, while a member takes snapshots and lets go of what is before them, loses nothing.
func TestPowerLossAtEachStepOfASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMemory()
		open := func(m *vfs.Memory) *ensemble.Node {
			cfg := ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Dir: "/data", SnapshotBytes: 8 << 10, SnapshotsKept: 1}
			n, err := ensemble.Open(disk.With(context.Background(), disk.Disk{FS: m, SegmentSize: 4 << 10}), cfg)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		type image struct {
			disk  *vfs.Memory
			paths int // acknowledged before
			op    vfs.Op
		}
		var mu sync.Mutex
		var images []image
		var paths []string
		n := open(m)
		m.SetHook(func(o vfs.Op) *vfs.Fault {
			mu.Lock()
			defer mu.Unlock()
			o.Data = nil
			images = append(images, image{m.Clone(), len(paths), o})
			return nil
		})
		for i := range 60 {
			p := must[string](t)(n.Create(t.Context(), fmt.Sprintf("/%02d", i), make([]byte, 600), 0))
			mu.Lock()
			paths = append(paths, p)
			mu.Unlock()
		}
		<-time.After(2 * time.Second)
		m.SetHook(nil)
		snaps, _ := files(m)
		if n.Status().Snapshot == 0 || snaps != 1 {
			t.Errorf("snapshot %v, %d files", n.Status().Snapshot, snaps)
		}
		n.Close()
		removed := 0
		for i, x := range images {
			if x.op.Kind == vfs.OpRemove {
				removed++
			}
			for seed := range uint64(2) {
				lost := x.disk
				if seed > 0 {
					lost = x.disk.Clone()
				}
				lost.PowerLoss(rand.New(rand.NewPCG(uint64(i), seed)))
				n := open(lost)
				if err := n.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, p := range paths[:x.paths] {
					if _, ok, err := n.Exists(t.Context(), p); err != nil || !ok {
						t.Fatalf("before %+v: %s: %v %v", x.op, p, ok, err)
					}
				}
				n.Close()
			}
		}
		if removed < 5 {
			t.Errorf("%d files were removed", removed)
		}
		t.Logf("%d images, %d removals", len(images), removed)
	})
}
