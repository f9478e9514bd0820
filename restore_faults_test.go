package ensemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

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
			if err == nil {
				t.Fatalf("%s are taken for a backup", what)
			}
			if !errors.Is(err, ensemble.ErrBadBackup) {
				t.Errorf("%s: %v", what, err)
				m = vfs.NewMemory() // the next by itself
				return err
			}
			if names, _ := m.Files(); len(names) > 1 || len(names) == 1 && names[0] != "/data/lock" {
				t.Fatalf("%s: %v", what, names)
			}
			return err
		}
		for n := range backup {
			bad(fmt.Sprintf("%d bytes of %d", n, len(backup)), bytes.NewReader(backup[:n]))
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

func (g *given) Close() {}

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
				return fmt.Errorf("called whole, and does not open: %w", err)
			}
			defer n.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if z, err := n.Get(ctx, "/a"); err != nil || string(z.Data) != "kept" {
				return fmt.Errorf("called whole, and has not what was restored: %q %w", z.Data, err)
			}
			if _, err = n.Create(ctx, "/b", nil, 0); err != nil {
				return fmt.Errorf("called whole, and cannot serve: %w", err)
			}
			return nil
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
			return fmt.Errorf("neither nothing, nor unfinished, nor whole: %w", err)
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
			return fmt.Errorf("it cannot be restored again: %w", err)
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
