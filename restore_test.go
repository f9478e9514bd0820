package ensemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/ensembletest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

func isSnapshot(name string) bool { return strings.HasSuffix(name, ".snap") }

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

func (d *disks) closeAll() {
	for _, n := range d.nodes {
		n.Close()
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
		d.closeAll()
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
		d.closeAll()
		backup, z := d.backupDir(l)
		if z <= before {
			t.Fatalf("%v of %v", z, before)
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
		d.closeAll()
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
		d.closeAll()
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

// backupOfOne is a backup of a small ensemble.
func backupOfOne(t testing.TB) []byte {
	n := must[*ensemble.Node](t)(ensemble.Open(context.Background(), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}}))
	defer n.Close()
	must[string](t)(n.Create(t.Context(), "/a", []byte("kept"), 0))
	var b bytes.Buffer
	must[ensemble.Zxid](t)(n.Backup(t.Context(), &b))
	return b.Bytes()
}

// Whatever is wrong with a backup, nothing counts of it, and the directory is as it was.
func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backup := backupOfOne(t)
		o := ensemble.RestoreOptions{Members: []ensemble.Member{{ID: 1}}}
		m := vfs.NewMemory()
		bad := func(what string, r io.Reader) error {
			t.Helper()
			err := ensemble.Restore(onDisk(m), "/data", r, o)
			if !errors.Is(err, ensemble.ErrBadBackup) {
				t.Fatalf("%s: %v", what, err)
			}
			if names, _ := m.Files(); len(names) > 1 || len(names) == 1 && names[0] != "/data/lock" {
				t.Fatalf("%s: %v", what, names)
			}
			return err
		}
		for n := range backup {
			bad(fmt.Sprint(n, " bytes"), bytes.NewReader(backup[:n]))
		}
		for i := range 8 * len(backup) {
			if i%7 != 0 && i > 8*200 {
				continue
			}
			b := bytes.Clone(backup)
			b[i/8] ^= 1 << (i % 8)
			bad(fmt.Sprint("bit ", i), bytes.NewReader(b))
		}
		if err := bad("a reader that fails", io.MultiReader(bytes.NewReader(backup[:300]), iotest.ErrReader(syscall.EIO))); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		// Whole containers that are not what they say.
		reseal := func(f func(*snapshot.Meta) [][]byte) []byte {
			in := must[*snapshot.Reader](t)(snapshot.NewReader(bytes.NewReader(backup)))
			meta := in.Meta()
			chunks := f(&meta)
			for chunks == nil {
				for {
					c, err := in.Chunk()
					if err != nil {
						break
					}
					chunks = append(chunks, c)
				}
			}
			var b bytes.Buffer
			if _, err := snapshot.Write(t.Context(), &b, meta, &given{meta.Zxid, chunks}); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		for what, f := range map[string]func(*snapshot.Meta) [][]byte{
			"no name":       func(m *snapshot.Meta) [][]byte { m.ID = snapshot.ID{}; return nil },
			"another zxid":  func(m *snapshot.Meta) [][]byte { m.Zxid++; return nil },
			"no zxid":       func(m *snapshot.Meta) [][]byte { m.Zxid, m.Spans = 0, nil; return nil },
			"no state":      func(m *snapshot.Meta) [][]byte { return [][]byte{[]byte("something else")} },
			"half a state":  func(m *snapshot.Meta) [][]byte { return [][]byte{{1, 1}} },
			"empty chunks":  func(m *snapshot.Meta) [][]byte { return [][]byte{{}, {}} },
			"an odd number": func(m *snapshot.Meta) [][]byte { return [][]byte{bytes.Repeat([]byte{0xff}, 40)} },
		} {
			bad(what, bytes.NewReader(reseal(f)))
		}
		// What follows a backup is not read, and members that were readmitted are no obstacle.
		whole := reseal(func(m *snapshot.Meta) [][]byte { m.Members = []zab.Readmitted{{Member: 1}}; return nil })
		r := bytes.NewReader(append(whole, "more"...))
		if err := ensemble.Restore(onDisk(m), "/data", iotest.OneByteReader(r), o); err != nil || r.Len() != 4 {
			t.Fatal(err, r.Len())
		}
	})
}

// given is a state in chunks.
type given struct {
	zxid   zab.Zxid
	chunks [][]byte
}

func (g *given) Zxid() zab.Zxid { return g.zxid }
func (g *given) Close()         {}
func (g *given) Next() (chunk []byte, last bool, err error) {
	chunk, g.chunks = g.chunks[0], g.chunks[1:]
	return chunk, len(g.chunks) == 0, nil
}

func TestRestoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backup := backupOfOne(t)
		err := ensemble.Restore(t.Context(), "", bytes.NewReader(backup), ensemble.RestoreOptions{Name: strings.Repeat("x", 256), Epoch: 1<<31 - 1})
		fields := map[string]int{}
		for _, e := range leaves(err) {
			if c, ok := errors.AsType[*ensemble.ConfigError](e); ok {
				fields[c.Field]++
			}
		}
		for _, f := range []string{"Dir", "Name", "Members", "Epoch"} {
			if fields[f] != 1 {
				t.Errorf("%s is told %d times: %v", f, fields[f], err)
			}
		}
		d := emptyDisks(t, nil)
		with := func(epoch uint32) error {
			o := d.options()
			o.Epoch = epoch
			return ensemble.Restore(d.on(1), "/data", bytes.NewReader(backup), o)
		}
		// The backup is of epoch 1.
		for _, epoch := range []uint32{1, 1<<31 - 1<<16, 1<<32 - 1} {
			var ce *ensemble.ConfigError
			if err := with(epoch); !errors.As(err, &ce) || ce.Field != "Epoch" {
				t.Fatalf("epoch %d: %v", epoch, err)
			}
		}
		if names, _ := d.disk[1].Files(); len(names) > 0 {
			t.Errorf("%v", names)
		}
		if err := with(2); err != nil {
			t.Fatal(err)
		}
		refused := func(id ensemble.ID, what error) {
			t.Helper()
			_, before := d.disk[id].Files()
			var de *ensemble.DirError
			if err := ensemble.Restore(d.on(id), "/data", bytes.NewReader(backup), d.options()); !errors.Is(err, what) || !errors.As(err, &de) {
				t.Fatal(err)
			}
			d.unchanged(id, before)
		}
		refused(1, ensemble.ErrDirUsed)
		d.bootstrap(2)
		refused(2, ensemble.ErrDirUsed)
		d.open(2)
		refused(2, ensemble.ErrDirInUse)
		ctx, cancel := context.WithCancel(d.on(3))
		cancel()
		if err := ensemble.Restore(ctx, "/data", bytes.NewReader(backup), d.options()); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		// The greatest epoch that is taken leaves room to go on.
		o := ensemble.RestoreOptions{Members: []ensemble.Member{{ID: 3}}, Epoch: 1<<31 - 1 - 1<<16}
		d.restore(backup, o, 3)
		n := must[*ensemble.Node](t)(ensemble.Open(d.on(3), ensemble.Config{ID: 3, Members: o.Members, Dir: "/data"}))
		defer n.Close()
		if r := must[ensemble.Result](t)(n.Do(t.Context(), ensemble.CreateOp{Path: "/b"})); r.Zxid.Epoch() != o.Epoch {
			t.Fatal(r.Zxid)
		}
		late := must[[]byte](t)(func() ([]byte, error) {
			var b bytes.Buffer
			_, err := n.Backup(t.Context(), &b)
			return b.Bytes(), err
		}())
		var ce *ensemble.ConfigError
		if err := ensemble.Restore(onDisk(vfs.NewMemory()), "/data", bytes.NewReader(late), d.options()); !errors.As(err, &ce) || ce.Field != "Epoch" {
			t.Fatal(err)
		}
	})
}

// restoreCrashes judges what crashes leave of Restore: nothing, or what is only good for another Restore, or the whole.
func restoreCrashes(backup []byte, losses uint64) (images, again, whole, unfinished int, err error) {
	members := []ensemble.Member{{ID: 1}}
	restore := func(m *vfs.Memory) error {
		return ensemble.Restore(onDisk(m), "/a/data", bytes.NewReader(backup), ensemble.RestoreOptions{Members: members})
	}
	cfg := ensemble.Config{ID: 1, Members: members, Dir: "/a/data"}
	var judge func(m *vfs.Memory, done bool) error
	interrupted := 0
	judge = func(m *vfs.Memory, done bool) error {
		switch err := ensemble.Bootstrap(onDisk(m.Clone()), cfg); {
		case errors.Is(err, ensemble.ErrDirUsed): // whole: it must do
			whole++
			n, err := ensemble.Open(onDisk(m), cfg)
			if err != nil {
				return err
			}
			defer n.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if z, err := n.Get(ctx, "/a"); err != nil || string(z.Data) != "kept" {
				return fmt.Errorf("%q %w", z.Data, err)
			}
			_, err = n.Create(ctx, "/b", nil, 0)
			return err
		case done:
			return fmt.Errorf("it was lost: %w", err)
		case errors.Is(err, ensemble.ErrDirUnfinished):
			unfinished++
			if n, err := ensemble.Open(onDisk(m), cfg); !errors.Is(err, ensemble.ErrDirUnfinished) {
				if err == nil {
					n.Close()
				}
				return fmt.Errorf("opened: %w", err)
			}
			if _, err := ensemble.BackupDir(onDisk(m), "/a/data", io.Discard); !errors.Is(err, ensemble.ErrDirUnfinished) {
				return fmt.Errorf("backed up: %w", err)
			}
		case err != nil:
			return err
		}
		// Another Restore makes it whole. It may be interrupted, too.
		again++
		if interrupted >= 0 {
			interrupted++
		}
		if n := interrupted; n > 0 && n%40 == 0 {
			interrupted = -1 // and no further
			_, err := crashes(m, 1, restore, judge)
			interrupted = n
			return err
		}
		if err := restore(m); err != nil {
			return err
		}
		return judge(m, true)
	}
	images, err = crashes(vfs.NewMemory(), losses, restore, judge)
	return images, again, whole, unfinished, err
}

func TestRestoreCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		images, again, whole, unfinished, err := restoreCrashes(backupOfOne(t), 8)
		if err != nil || again == 0 || whole == 0 || unfinished == 0 {
			t.Errorf("again %d, whole %d, unfinished %d: %v", again, whole, unfinished, err)
		}
		t.Logf("%d images: %d restored again, %d of them unfinished; %d whole", images, again, unfinished, whole)
	})
}

// Each operation of the disk fails in its turn. The error tells, and another Restore, when the disk is mended, makes it good.
func TestRestoreDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backup := backupOfOne(t)
		o := ensemble.RestoreOptions{Members: []ensemble.Member{{ID: 1}}}
		failed := 0
		for at := 0; ; at++ {
			m, n := vfs.NewMemory(), 0
			m.SetHook(func(op vfs.Op) *vfs.Fault {
				n++
				if n == at+1 {
					return &vfs.Fault{Err: syscall.EIO}
				}
				return nil
			})
			err := ensemble.Restore(onDisk(m), "/data", bytes.NewReader(backup), o)
			m.SetHook(nil)
			if n <= at {
				break
			}
			var de *ensemble.DirError
			if err != nil {
				failed++
				if !errors.As(err, &de) || !errors.Is(err, syscall.EIO) {
					t.Fatalf("operation %d: %v", at, err)
				}
			}
			m.Crash()
			err = ensemble.Restore(onDisk(m), "/data", bytes.NewReader(backup), o)
			if err != nil && !errors.Is(err, ensemble.ErrDirUsed) {
				t.Fatalf("operation %d: %v", at, err)
			}
			node := must[*ensemble.Node](t)(ensemble.Open(onDisk(m), ensemble.Config{ID: 1, Members: o.Members, Dir: "/data"}))
			if z, err := node.Get(t.Context(), "/a"); err != nil || string(z.Data) != "kept" {
				t.Fatalf("operation %d: %q %v", at, z.Data, err)
			}
			node.Close()
		}
		if failed < 20 {
			t.Errorf("only %d failures", failed)
		}
		t.Logf("%d failures", failed)
	})
}

// Anything may be given to Restore, and anything may be in a container that is whole. It is a backup, and a member begins with it, or it is refused and
// nothing is left of it.
func FuzzRestore(f *testing.F) {
	backup := backupOfOne(f)
	in := must[*snapshot.Reader](f)(snapshot.NewReader(bytes.NewReader(backup)))
	meta := in.Meta()
	head, tree := must[[]byte](f)(in.Chunk()), must[[]byte](f)(in.Chunk())
	state := slices.Concat(head, tree)
	f.Add(backup, uint32(0), -1)
	f.Add(backup[:len(backup)-1], uint32(0), -1)
	f.Add(backup[:200], uint32(9), -1)
	f.Add([]byte("ENSBLSNP"), uint32(1), -1)
	f.Add(state, uint32(0), len(head))
	f.Add(state, uint32(0), 5)
	f.Fuzz(func(t *testing.T, b []byte, epoch uint32, cut int) {
		own := epoch == 0 && cut == len(head) && bytes.Equal(b, state)
		if cut >= 0 && cut <= len(b) {
			var whole bytes.Buffer
			if _, err := snapshot.Write(t.Context(), &whole, meta, &given{meta.Zxid, [][]byte{b[:cut], b[cut:]}}); err != nil {
				t.Fatal(err)
			}
			b = whole.Bytes()
		}
		m := vfs.NewMemory()
		o := ensemble.RestoreOptions{Members: []ensemble.Member{{ID: 1}}, Epoch: epoch}
		err := ensemble.Restore(onDisk(m), "/data", bytes.NewReader(b), o)
		var ce *ensemble.ConfigError
		switch {
		case own && err != nil:
			t.Fatal(err)
		case err == nil:
			n, err := ensemble.Open(onDisk(m), ensemble.Config{ID: 1, Members: o.Members, Dir: "/data"})
			if err != nil {
				t.Fatal(err)
			}
			n.Close()
		case errors.Is(err, ensemble.ErrBadBackup), errors.As(err, &ce):
			if names, _ := m.Files(); len(names) > 1 || len(names) == 1 && names[0] != "/data/lock" {
				t.Fatal(names)
			}
		default:
			t.Fatal(err)
		}
	})
}
