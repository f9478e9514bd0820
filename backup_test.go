package ensemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// unchanged makes sure that the files of a disk are what they were.
func (d *disks) unchanged(id ensemble.ID, before map[string][]byte) {
	d.t.Helper()
	_, after := d.disk[id].Files()
	for name := range after {
		if b, ok := before[name]; !ok || !bytes.Equal(b, after[name]) {
			d.t.Errorf("%s was changed", name)
		}
	}
	if len(before) != len(after) {
		d.t.Errorf("%d files, and there were %d", len(after), len(before))
	}
}

func (d *disks) backupDir(id ensemble.ID) ([]byte, ensemble.Zxid) {
	d.t.Helper()
	_, before := d.disk[id].Files()
	var b bytes.Buffer
	z, err := ensemble.BackupDir(d.on(id), "/data", &b)
	if err != nil {
		d.t.Fatalf("backup of member %d: %v", id, err)
	}
	d.unchanged(id, before)
	return b.Bytes(), z
}

// What one member has logged and nobody has committed is in the backup of its directory: that it is not known to be committed does not mean that it is not.
func TestBackupDirHasTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		paths := d.fill(d.nodes[1], "/a", 5, 10)
		for _, n := range d.nodes {
			d.has(n, paths)
		}
		l := d.leader()
		for id := range d.nodes {
			if id != l {
				d.net.CutOneWay(l, id)
			}
		}
		n := d.nodes[l]
		before := n.Status().Logged
		p := n.Submit(ensemble.CreateOp{Path: "/tail"})
		for n.Status().Logged == before {
			if <-time.After(time.Millisecond); n.Status().Role != ensemble.Leading {
				t.Fatalf("%+v", n.Status())
			}
		}
		<-time.After(10 * time.Millisecond) // it is durable
		if n.Status().Committed > before {
			t.Fatal("it was committed")
		}
		d.kill(l, rand.New(rand.NewPCG(1, 1)))
		if _, err := p.Wait(t.Context()); !errors.Is(err, ensemble.ErrUncertain) {
			t.Fatal(err)
		}
		d.stopAll()
		backup, z := d.backupDir(l)
		if z <= before {
			t.Fatalf("the backup is of %v, and the log goes to what was proposed after %v", z, before)
		}
		d.net.Heal()
		for id := range d.nodes {
			d.disk[id].Wipe()
		}
		d.restore(backup, d.options(), 1, 2, 3)
		d.openAll()
		d.has(d.nodes[1], append(paths, "/tail"))
	})
}

// Backups are exact, whatever is written meanwhile, and writers do not wait for one that does not go on.
func TestBackupWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		n := d.nodes[d.leader()%3+1]
		for _, p := range []string{"/x", "/y"} {
			must[string](t)(n.Create(t.Context(), p, nil, 0))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				data := []byte(fmt.Sprint(i))
				n.Multi(ctx, ensemble.SetOp{Path: "/x", Data: data}, ensemble.SetOp{Path: "/y", Data: data})
				<-time.After(time.Millisecond)
			}
		})
		<-time.After(20 * time.Millisecond)
		r, w := io.Pipe() // nobody reads
		results := make(chan error, 1)
		stuck, give := context.WithCancel(t.Context())
		go func() { results <- second(n.Backup(stuck, w)) }()
		synctest.Wait()
		was := n.Status().Applied
		type one struct {
			b bytes.Buffer
			z ensemble.Zxid
		}
		var backups []*one
		for range 5 {
			o := new(one)
			o.z = must[ensemble.Zxid](t)(n.Backup(t.Context(), &o.b))
			backups = append(backups, o)
			<-time.After(15 * time.Millisecond)
		}
		if s := n.Status(); s.Applied < was+10 {
			t.Errorf("from %v to %v beside a backup that is stuck", was, s.Applied)
		}
		give()
		r.CloseWithError(io.ErrClosedPipe)
		if err := <-results; !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
		group.Wait()
		d.stopAll()
		last := ensemble.Zxid(0)
		for _, o := range backups {
			if o.z <= last {
				t.Fatalf("%v after %v", o.z, last)
			}
			last = o.z
			m := vfs.NewMemory()
			alone := []ensemble.Member{{ID: 1}}
			if err := ensemble.Restore(onDisk(m), "/data", &o.b, ensemble.RestoreOptions{Members: alone}); err != nil {
				t.Fatal(err)
			}
			n := must[*ensemble.Node](t)(ensemble.Open(onDisk(m), ensemble.Config{ID: 1, Members: alone, Dir: "/data"}))
			x, y := must[ensemble.Znode](t)(n.Get(t.Context(), "/x")), must[ensemble.Znode](t)(n.Get(t.Context(), "/y"))
			if !bytes.Equal(x.Data, y.Data) || x.Stat.Mzxid != y.Stat.Mzxid || x.Stat.Mzxid > o.z {
				t.Fatalf("%v: %q at %v, %q at %v", o.z, x.Data, x.Stat.Mzxid, y.Data, y.Stat.Mzxid)
			}
			n.Close()
		}
	})
}

type badWriter struct{ err error }

func (w badWriter) Write([]byte) (int, error) { return 0, w.err }

func TestBackupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		n := d.nodes[1]
		d.fill(n, "/a", 3, 10)
		if _, err := n.Backup(t.Context(), badWriter{syscall.EPIPE}); !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.Backup(ctx, io.Discard); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		ended := make(chan error, 20)
		for range cap(ended) {
			go func() { ended <- second(n.Backup(t.Context(), io.Discard)) }()
		}
		n.Close()
		for range cap(ended) {
			if err := <-ended; err != nil && !errors.Is(err, ensemble.ErrClosed) {
				t.Fatal(err)
			}
		}
		if _, err := n.Backup(t.Context(), io.Discard); !errors.Is(err, ensemble.ErrClosed) {
			t.Fatal(err)
		}
		// A member that has not been ready yet waits, as for a read.
		must[ensemble.Zxid](t)(d.nodes[3].Snapshot(t.Context()))
		d.stopAll()
		d.open(2)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := d.nodes[2].Backup(ctx, io.Discard); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ensemble.ErrNoQuorum) {
			t.Fatal(err)
		}

		of := func(id ensemble.ID, what error) {
			t.Helper()
			_, before := d.disk[id].Files()
			var de *ensemble.DirError
			if _, err := ensemble.BackupDir(d.on(id), "/data", io.Discard); !errors.Is(err, what) || !errors.As(err, &de) {
				t.Fatal(err)
			}
			d.unchanged(id, before)
		}
		of(2, ensemble.ErrDirInUse)
		if _, err := ensemble.BackupDir(d.on(1), "/data", badWriter{syscall.EPIPE}); !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		ctx, cancel = context.WithCancel(d.on(1))
		cancel()
		if _, err := ensemble.BackupDir(ctx, "/data", io.Discard); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		names, _ := d.disk[3].Files()
		for _, name := range names {
			if strings.HasSuffix(name, ".log") {
				if err := d.disk[3].FlipBit(name, 8*600); err != nil {
					t.Fatal(err)
				}
			}
		}
		of(3, ensemble.ErrImpaired)
		for _, name := range names {
			if strings.HasSuffix(name, ".log") {
				d.disk[3].Remove(name)
			}
		}
		of(3, ensemble.ErrImpaired)
		for _, name := range names { // whoever took the log away took promises with it
			if !isSnapshot(name) && !strings.HasSuffix(name, ".log") {
				d.disk[3].Remove(name)
			}
		}
		of(3, ensemble.ErrImpaired)
		d.disk[3].Wipe()
		of(3, ensemble.ErrDirFailed) // there is no such directory
		if err := d.disk[3].MkdirAll("/data"); err != nil {
			t.Fatal(err)
		}
		of(3, ensemble.ErrDirEmpty)
		d.bootstrap(3)
		of(3, ensemble.ErrDirEmpty)
	})
}

// A stopped member's directory gives the same state as the member, whatever it consists of: log alone, snapshots and log, a snapshot that was received,
// a start that has still to be made good.
func TestBackupDirOfAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, func(c *ensemble.Config) { c.SnapshotBytes, c.SnapshotsKept = 8<<10, 1 })
		r := rand.New(rand.NewPCG(5, 5))
		for round := range 12 {
			id := ensemble.ID(round%3 + 1)
			d.fill(d.nodes[id], fmt.Sprint("/", round), r.IntN(60), 300)
			must[ensemble.Zxid](t)(d.nodes[id].Sync(t.Context()))
			applied, digest := d.nodes[id].Status().Applied, d.nodes[id].View().Digest()
			switch round % 4 {
			case 0:
				d.nodes[id].Close()
			case 1:
				d.kill(id, r)
			case 2: // readmitted, by a snapshot if the leader's memory does not reach back
				d.nodes[id].Close()
				d.disk[id].Wipe()
				if err := d.open(id).Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				must[ensemble.Zxid](t)(d.nodes[id].Sync(t.Context()))
				applied = d.nodes[id].Status().Applied
				d.kill(id, r)
			case 3:
				must[ensemble.Zxid](t)(d.nodes[id].Snapshot(t.Context()))
				d.nodes[id].Close()
			}
			backup, z := d.backupDir(id)
			if z < applied {
				t.Fatalf("round %d: %v of %v", round, z, applied)
			}
			in := must[*snapshot.Reader](t)(snapshot.NewReader(bytes.NewReader(backup)))
			if m := in.Meta(); m.Zxid != z || m.Pos != 0 || m.ID == (snapshot.ID{}) || len(m.Spans) == 0 || zab.MakeZxid(m.Spans[len(m.Spans)-1].Epoch, m.Spans[len(m.Spans)-1].Last) != z {
				t.Fatalf("%+v", m)
			}
			m := vfs.NewMemory()
			alone := []ensemble.Member{{ID: id}}
			if err := ensemble.Restore(onDisk(m), "/data", bytes.NewReader(backup), ensemble.RestoreOptions{Members: alone}); err != nil {
				t.Fatal(err)
			}
			n := must[*ensemble.Node](t)(ensemble.Open(onDisk(m), ensemble.Config{ID: id, Members: alone, Dir: "/data"}))
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := n.View().Digest(); got != digest {
				t.Fatalf("round %d: digest %x of %x", round, got, digest)
			}
			n.Close()
			if err := d.open(id).Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
