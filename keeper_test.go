package ensemble_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// failOn makes operations of one kind on files that end in suffix fail, below the directory of the snapshots.
func failOn(disk *vfs.Memory, kind vfs.Kind, suffix string, err error) {
	disk.SetHook(func(o vfs.Op) *vfs.Fault {
		if o.Kind == kind && strings.Contains(o.Name, "/snapshots") && strings.HasSuffix(o.Name, suffix) {
			return &vfs.Fault{Err: err}
		}
		return nil
	})
}

// There is no space for a snapshot. Nothing durable is in doubt: the node goes on, tells of it, and tries again with longer and longer pauses.
func TestNoSpaceForASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, func(c *ensemble.Config) { c.SnapshotBytes, c.Tick = 16<<10, time.Second }) // an hour and more is to pass
		n := d.nodes[1]
		must[ensemble.Zxid](t)(n.Sync(t.Context())) // so that there is something to keep
		failOn(d.disk[1], vfs.OpWrite, "", syscall.ENOSPC)
		if _, err := n.Snapshot(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		paths := d.fill(n, "/a", 60, 500)
		<-time.After(10 * time.Minute)
		failed := n.Stats().SnapshotsFailed
		if s := n.Status(); !s.Ready || !errors.Is(s.SnapshotErr, syscall.ENOSPC) || s.Snapshot != 0 {
			t.Fatalf("%+v", s)
		}
		if failed < 5 || failed > 15 { // 1, 2, 4, ... seconds, then every 5 minutes
			t.Errorf("%d attempts in ten minutes", failed)
		}
		<-time.After(time.Hour)
		if more := n.Stats().SnapshotsFailed - failed; more < 10 || more > 13 {
			t.Errorf("%d attempts in an hour", more)
		}
		d.disk[1].SetHook(nil)
		<-time.After(6 * time.Minute)
		if s := n.Status(); s.SnapshotErr != nil || s.Snapshot == 0 || n.Stats().Snapshots != 1 {
			t.Fatalf("%+v, %d", s, n.Stats().Snapshots)
		}
		d.has(n, paths)
	})
}

// Whether a snapshot has its name cannot be told when its rename, or the sync of its directory, failed: that ends the node, as an error of the log does.
func TestSnapshotStoreFails(t *testing.T) {
	for name, x := range map[string]struct {
		kind   vfs.Kind
		suffix string
	}{
		"rename":   {vfs.OpRename, ".tmp"},
		"sync dir": {vfs.OpSyncDir, "/snapshots"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisks(t, func(c *ensemble.Config) { c.SnapshotBytes = 16 << 10 })
				n := d.nodes[1]
				failOn(d.disk[1], x.kind, x.suffix, syscall.EIO)
				paths := d.fill(d.nodes[2], "/a", 60, 500)
				select {
				case <-n.Done():
				case <-time.After(time.Hour):
					t.Fatalf("the node goes on: %+v", n.Status())
				}
				var de *ensemble.DirError
				if err := n.Err(); !errors.Is(err, ensemble.ErrDirFailed) || !errors.Is(err, syscall.EIO) || !errors.As(err, &de) {
					t.Fatal(err)
				}
				if _, err := n.Snapshot(t.Context()); !errors.Is(err, ensemble.ErrClosed) {
					t.Fatal(err)
				}
				d.disk[1].SetHook(nil)
				n.Close()
				ready(t, d.open(1))
				d.has(d.nodes[1], paths)
			})
		})
	}
}

// Who asks for a snapshot while the one is being written by which the store ends is told so, too.
func TestSnapshotStoreFailsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		d.fill(d.nodes[1], "/a", 5, 1000)
		n, gate := d.nodes[1], make(chan struct{})
		d.disk[1].SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == vfs.OpRename && strings.Contains(o.Name, ".snap") {
				<-gate
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		answers := make(chan error, 2)
		ask := func() {
			_, err := n.Snapshot(t.Context())
			answers <- err
		}
		go ask()
		synctest.Wait()
		d.fill(d.nodes[2], "/b", 1, 10)
		go ask()
		synctest.Wait()
		close(gate)
		for range 2 {
			if err := <-answers; !errors.Is(err, ensemble.ErrDirFailed) {
				t.Error(err)
			}
		}
		<-n.Done()
	})
}
