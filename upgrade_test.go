package ensemble_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

var update = flag.Bool("update", false, "write testdata/v1 anew")

// upgraded is what testdata/v1/expect.json says of the data directories of three members beside it, as the version wrote them that had these formats. Every
// version that reads those formats must find it.
type upgraded struct {
	Digest    uint32 // CRC-32 (IEEE) of the tree, as text
	Znodes    int
	Epoch     uint32 // the latest that was joined
	Snapshots int    // of all members
	Resets    int    // members whose history begins with a snapshot of another
	Sessions  int
	Decided   []decided // requests that are in the window of their sessions
}

type decided struct {
	Session, Sequence uint64
	Path              string // what the create made
}

const upgradeFrom = "testdata/v1"

// A directory that version 1 of each format has written, with its unclean end, is opened by Nodes that go on in it.
func TestUpgrade(t *testing.T) {
	if *update {
		writeUpgrade(t)
	}
	var want upgraded
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile(filepath.Join(upgradeFrom, "expect.json"))), &want); err != nil {
		t.Fatal(err)
	}
	// As it is read from the disk, before any Node has touched it.
	d := &disks{t: t, disk: readDisks(t)}
	if got := d.summary(); got.Digest != want.Digest || got.Znodes != want.Znodes || got.Epoch != want.Epoch || got.Snapshots != want.Snapshots ||
		got.Resets != want.Resets || got.Sessions != want.Sessions || !slices.Equal(got.Decided, want.Decided) {
		t.Errorf("it holds %+v, want %+v", got, want)
	}
	if want.Epoch < 4 || want.Snapshots < 3 || want.Resets == 0 || want.Sessions < 3 || len(want.Decided) < 3 || want.Znodes < 50 {
		t.Errorf("it is too poor: %+v", want)
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, func(c *ensemble.Config) { c.Name = "upgrade" }, readDisks(t))
		for round := range 2 { // as it was found, and as it was left
			for id, n := range d.nodes {
				must[ensemble.Zxid](t)(n.Sync(t.Context()))
				view := n.View()
				if got := crc32.ChecksumIEEE([]byte(text(view))); got != want.Digest {
					t.Errorf("round %d, member %d: digest %#x, want %#x, of %s", round, id, got, want.Digest, text(view))
				}
				view.Release()
				if n.Status().Epoch <= want.Epoch {
					t.Errorf("member %d is in epoch %d", id, n.Status().Epoch)
				}
			}
			for _, n := range d.nodes {
				n.Close()
			}
			d.openAll()
		}
		d.has(d.nodes[3], d.fill(d.nodes[1], "/goes-on", 10, 100))
	})
}

// A Node refuses a directory whose log, mark or snapshots are of a version to come, and touches nothing.
func TestNextVersionIsRefused(t *testing.T) {
	for _, suffix := range []string{".log", ".snap", "mark.0"} {
		synctest.Test(t, func(t *testing.T) {
			d := &disks{t: t, disk: readDisks(t), opt: func(c *ensemble.Config) { c.Name = "upgrade" }}
			m := d.disk[1]
			names, content := m.Files()
			at := slices.IndexFunc(names, func(s string) bool { return strings.HasSuffix(s, suffix) })
			if at < 0 {
				t.Fatal("there is no ", suffix)
			}
			next := slices.Clone(content[names[at]])
			binary.LittleEndian.PutUint16(next[8:], 3) // 2 is for the version after this one to read
			binary.LittleEndian.PutUint16(next[10:], ^uint16(3))
			putFile(t, m, names[at], next)
			_, before := m.Files()
			d.net = newDisks(t, nil).net
			if _, err := d.try(1); !errors.Is(err, ensemble.ErrDirVersion) {
				t.Fatal(suffix, err)
			}
			if _, now := m.Files(); !maps.EqualFunc(now, before, slices.Equal[[]byte]) {
				t.Errorf("%s: it was touched", suffix)
			}
		})
	}
}

// readDisks puts the directories on disks in memory.
func readDisks(t *testing.T) map[ensemble.ID]*vfs.Memory {
	disk := map[ensemble.ID]*vfs.Memory{}
	for id := ensemble.ID(1); id <= 3; id++ {
		disk[id] = vfs.NewMemory()
		from := filepath.Join(upgradeFrom, fmt.Sprint(id))
		for _, dir := range []string{"", "snapshots"} {
			if err := disk[id].MkdirAll(path.Join("/data", dir)); err != nil {
				t.Fatal(err)
			}
			for _, e := range must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(from, dir))) {
				if !e.IsDir() {
					putFile(t, disk[id], path.Join("/data", dir, e.Name()), must[[]byte](t)(os.ReadFile(filepath.Join(from, dir, e.Name()))))
				}
			}
		}
		for _, dir := range []string{"/", "/data", "/data/snapshots"} {
			if err := disk[id].SyncDir(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	return disk
}

func putFile(t *testing.T, m *vfs.Memory, name string, b []byte) {
	t.Helper()
	if _, content := m.Files(); content[name] != nil {
		if err := m.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	f := must[vfs.File](t)(m.Create(name))
	_, err := f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// text is a tree with every field that version 1 has, so that a field which is added later changes no digest.
func text(v *ensemble.View) string {
	var b strings.Builder
	for z := range v.Walk("/") {
		s := z.Stat
		fmt.Fprintf(&b, "%s %x %v %d %d %d %d %d %v %d %v %d %d %v %d\n", z.Path, z.Data, z.Data == nil, uint64(s.Czxid), uint64(s.Mzxid), uint64(s.Pzxid), s.Ctime.UnixMilli(), s.Mtime.UnixMilli(),
			s.Version, s.Cversion, s.Aversion, s.EphemeralOwner, s.NumChildren, s.Mode, s.TTL)
	}
	return b.String()
}

// summary reads the disks without a Node, and spoils them.
func (d *disks) summary() upgraded {
	t := d.t
	t.Helper()
	var u upgraded
	for id := ensemble.ID(1); id <= 3; id++ {
		random := rand.New(rand.NewPCG(uint64(id), 9)).Uint64
		log, rec, err := wal.Open(d.disk[id], wal.Options{Dir: "/data", Name: "upgrade", Member: id, Random: random})
		if err != nil || log == nil {
			t.Fatal(rec.Verdict, err)
		}
		log.Close()
		u.Epoch = max(u.Epoch, rec.Mark.Joined)
		states := must[*snapshot.Store](t)(snapshot.Open(snapshot.Options{Dir: "/data/snapshots", FS: d.disk[id], Random: random}))
		u.Snapshots += len(states.List())
		need := snapshot.Need{From: rec.Base, Upto: rec.Base}
		if n := len(rec.Entries); n > 0 {
			need.Upto = rec.Entries[n-1].Zxid
		}
		if rec.Reset != nil {
			need.Reset = (*snapshot.Reset)(rec.Reset)
			u.Resets++
		}
		state := core.NewZnodes(1 << 20)
		info, _, err := states.Load(need, func(r *snapshot.Reader) error {
			var chunks [][]byte
			for {
				c, err := r.Chunk()
				if err != nil { // what is not the end is told by Load
					break
				}
				chunks = append(chunks, c)
			}
			s, err := state.Decode(chunks)
			if err == nil {
				state.Install(s)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range rec.Entries {
			if e.Zxid <= info.Zxid {
				continue
			}
			if e.Kind != zab.EntryData {
				state.Advance(e.Zxid)
			} else if _, err := state.Apply(e.Zxid, e.Data); err != nil {
				t.Fatal(err)
			}
		}
		view := state.View()
		digest := crc32.ChecksumIEEE([]byte(text(view)))
		u.Znodes, u.Sessions = view.Len(), state.Sessions()
		view.Release()
		// A sequential create tells with its path that the answer is the one that was given.
		payload := must[[]byte](t)(datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: "/seq/n-", Mode: datatree.Sequential}}, false, 1<<20))
		var found []decided
		for _, z := range rec.Entries {
			for seq := uint64(1); seq < 200; seq++ {
				o, ok := state.Decided(core.Call{Name: core.Name{Session: uint64(z.Zxid), Sequence: seq}, Payload: payload})
				if ok && o.Err == nil && len(o.Result.First.Path) > len("/seq/n-") {
					found = append(found, decided{uint64(z.Zxid), seq, o.Result.First.Path})
				}
			}
		}
		if id > 1 && digest != u.Digest {
			t.Errorf("member %d has another tree than member 1", id)
		}
		u.Digest = digest
		if len(found) > len(u.Decided) {
			u.Decided = found
		}
	}
	return u
}

// writeUpgrade makes the directories: of three members that were stopped and lost power in turn, through several epochs, one of them with a snapshot that it
// got from another; two end without having been stopped.
func writeUpgrade(t *testing.T) {
	if err := os.RemoveAll(upgradeFrom); err != nil {
		t.Fatal(err)
	}
	var end map[ensemble.ID]map[string][]byte
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, func(c *ensemble.Config) { c.Name, c.SnapshotBytes, c.SnapshotsKept = "upgrade", 8<<10, 2 })
		r := rand.New(rand.NewPCG(4, 4))
		ctx := t.Context()
		must[string](t)(d.nodes[1].Create(ctx, "/seq", nil, 0))
		for round := range 5 {
			for id := ensemble.ID(1); id <= 3; id++ {
				n := d.nodes[id]
				paths := d.fill(n, fmt.Sprintf("/n-%d-%d", round, id), 5, 40)
				must[ensemble.Stat](t)(n.Set(ctx, paths[0], []byte{}, ensemble.AnyVersion))
				if err := n.Delete(ctx, paths[1], ensemble.AnyVersion); err != nil {
					t.Fatal(err)
				}
				if _, err := n.Multi(ctx, ensemble.CreateOp{Path: paths[2] + "/below", Data: []byte("x")}, ensemble.SetOp{Path: paths[2], Data: nil}); err != nil {
					t.Fatal(err)
				}
				if _, err := n.Set(ctx, paths[1], nil, ensemble.AnyVersion); !errors.Is(err, ensemble.ErrNoNode) { // a refusal is an entry, too
					t.Fatal(err)
				}
				for range 2 {
					must[string](t)(n.Create(ctx, "/seq/n-", nil, ensemble.Sequential))
				}
			}
			switch leader := d.leader(); round {
			case 0, 1, 2:
				d.kill(leader, r)
				if err := d.open(leader).Ready(ctx); err != nil {
					t.Fatal(err)
				}
			case 3: // all; and the logs that are left do not reach back to the beginning, so the one that lost its disk gets a snapshot
				for id := range d.nodes {
					d.kill(id, r)
				}
				d.disk[3].Wipe()
				d.openAll()
			}
			d.has(d.nodes[1], nil)
		}
		<-time.After(time.Minute) // everything is acknowledged, applied and written everywhere
		end = map[ensemble.ID]map[string][]byte{}
		if err := d.nodes[1].Close(); err != nil {
			t.Fatal(err)
		}
		for id := range d.nodes {
			_, end[id] = d.disk[id].Files()
		}
	})
	for id, content := range end {
		for name, b := range content {
			to := filepath.Join(upgradeFrom, fmt.Sprint(id), strings.TrimPrefix(name, "/data/"))
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := &disks{t: t, disk: readDisks(t)}
	b := must[[]byte](t)(json.MarshalIndent(d.summary(), "", "\t"))
	if err := os.WriteFile(filepath.Join(upgradeFrom, "expect.json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
