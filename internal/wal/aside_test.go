package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// blankMark is what a repaired member begins with.
var blankMark = zab.Mark{Ensemble: testEnsemble, Member: 3, Born: true, Spoilt: true}

// damages make a directory Impaired. Its log was closed or not: closed, the mark says how far it went.
var damages = []struct {
	name   string
	closed bool
	do     func(d *damaged) error
}{
	{"middle", false, func(d *damaged) error { return d.disk.FlipBit(d.logs[0], 8*(512+512+20)) }},
	{"middle closed", true, func(d *damaged) error { return d.disk.FlipBit(d.logs[1], 8*(512+20)) }},
	{"header", false, func(d *damaged) error { return d.disk.FlipBit(d.logs[len(d.logs)-1], 8*40) }},
	{"slots", true, func(d *damaged) error {
		return errors.Join(d.disk.FlipBit("/d/log/mark.0", 300), d.disk.FlipBit("/d/log/mark.1", 300))
	}},
	{"slots gone", false, func(d *damaged) error {
		return errors.Join(d.disk.Remove("/d/log/mark.0"), d.disk.Remove("/d/log/mark.1"))
	}},
	{"one slot, and the log gone", true, func(d *damaged) error {
		err := d.disk.Remove("/d/log/mark.1")
		for _, name := range d.logs {
			err = errors.Join(err, d.disk.Remove(name))
		}
		return err
	}},
}

// damaged is a disk with an Impaired directory, all of it durable.
type damaged struct {
	disk  *vfs.Memory
	logs  []string
	files map[string][]byte // of the log and the snapshots, by their names in the directory
}

func newDamaged(seed uint64, closed bool, do func(*damaged) error) (*damaged, error) {
	d := &damaged{disk: vfs.NewMemory()}
	o := testOptions(&clock{}, seed)
	o.SegmentSize = 2048
	l, _, err := Open(d.disk, o)
	if err != nil {
		return nil, err
	}
	mark := zab.Mark{Ensemble: testEnsemble, Member: 3, Incarnation: zab.Incarnation{7}, Counts: true, Born: true, Promised: 1, Joined: 1}
	if err := l.Append([]zab.Record{{Kind: zab.RecordMark, Mark: mark}}); err != nil {
		return nil, err
	}
	for i := range uint64(6) {
		e := zab.Entry{Zxid: zab.MakeZxid(1, uint32(i+1)), Kind: zab.EntryData, Data: make([]byte, 100)}
		if i > 0 {
			e.Prev = zab.MakeZxid(1, uint32(i))
		}
		if err := l.Append([]zab.Record{{Kind: zab.RecordEntry, Pos: i + 1, Entry: e}}); err != nil {
			return nil, err
		}
	}
	if closed {
		err = l.Close()
	} else {
		d.disk.Crash()
	}
	for _, name := range []string{"snapshots/a.snap", "snapshots/b.snap.part", "mark.1.tmp", "notes.txt"} {
		err = errors.Join(err, d.disk.MkdirAll("/d/log/snapshots"))
		f, e := d.disk.Create("/d/log/" + name)
		if err = errors.Join(err, e); err != nil {
			return nil, err
		}
		_, e = f.Write([]byte("content of " + name))
		err = errors.Join(err, e, f.Sync(), f.Close())
	}
	names, _ := d.disk.Files()
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			d.logs = append(d.logs, name)
		}
	}
	err = errors.Join(err, do(d), d.disk.SyncDir("/"), d.disk.SyncDir("/d"), d.disk.SyncDir("/d/log"), d.disk.SyncDir("/d/log/snapshots"))
	d.files = d.belongings(d.disk, "/d/log")
	return d, err
}

// belongings are the files of a log and its snapshots that stand in dir.
func (d *damaged) belongings(disk *vfs.Memory, dir string) map[string][]byte {
	_, all := disk.Files()
	files := map[string][]byte{}
	for name, content := range all {
		base, ok := strings.CutPrefix(name, dir+"/")
		if ok && base != "lock" && base != "notes.txt" && base != markerDone && !strings.HasPrefix(base, markerName) && !strings.HasPrefix(base, evidencePrefix) {
			files[base] = content
		}
	}
	return files
}

func repairOptions(r *rand.Rand) Options {
	o := testOptions(&clock{}, 0)
	o.Random, o.SegmentSize = r.Uint64, 1024
	o.Repair, o.Aside = true, []string{"snapshots"}
	return o
}

// asides looks at crash images of a repair.
type asides struct {
	crashtest.Explorer
	d              *damaged
	r              *rand.Rand
	before, within int // images without the marker and unrepaired; with it
}

func newAsides(d *damaged, seed uint64) *asides {
	a := &asides{d: d, r: rand.New(rand.NewPCG(seed, 9))}
	a.Name = func(op vfs.Op) string {
		switch {
		case op.Kind == vfs.OpRename && path.Base(op.To) == markerDone:
			return "end"
		case op.Kind == vfs.OpRename && strings.Contains(op.To, evidencePart+"/"):
			return "move"
		case op.Kind == vfs.OpSyncDir:
			return "sync"
		}
		return ""
	}
	a.Cuts = func(op vfs.Op, depth int) []int {
		cuts := make([]int, 6-4*depth) // images of one moment differ in what a loss of power takes
		for i := range cuts {
			if op.Kind == vfs.OpWrite && i%2 == 1 {
				cuts[i] = a.r.IntN(len(op.Data))
			}
		}
		return cuts
	}
	a.Examine = a.examine
	return a
}

// examine starts from an image twice: without repairing, which must refuse all but the blank log, and repairing.
func (a *asides) examine(image *vfs.Memory, depth, _ int) error {
	if a.r.IntN(6) == 0 {
		image.Crash()
	} else {
		image.PowerLoss(a.r)
		a.Losses++
	}
	o := repairOptions(a.r)
	names, _ := image.List("/d/log")
	marked := slices.Contains(names, markerName)
	if r, err := Inspect(image, o.Dir, nil); err != nil || r.CutShort != marked || marked && r.Verdict.Kind != Impaired {
		return fmt.Errorf("inspected: %v %v", r.Verdict, err)
	}
	look := image.Clone()
	_, was := look.Files()
	o.Repair = false
	l, rec, err := Open(look, o)
	_, is := look.Files()
	switch {
	case err != nil:
		return err
	case l != nil && (marked || rec.Mark != blankMark || rec.Pos != 0):
		return fmt.Errorf("opened with mark %+v and position %d, marker %v", rec.Mark, rec.Pos, marked)
	case l == nil && rec.Verdict.Kind != Impaired:
		return fmt.Errorf("verdict %v", rec.Verdict)
	case l == nil && !reflect.DeepEqual(was, is):
		return errors.New("refused, and changed")
	case l == nil && !marked:
		a.before++
	case l == nil:
		a.within++
	}
	if depth == 0 && a.r.IntN(8) == 0 {
		a.Watch(image, 1)
	}
	o.Repair = true
	l, rec, err = Open(image, o)
	if err != nil {
		return err
	}
	if l == nil {
		return fmt.Errorf("not repaired: %v %s", rec.Verdict, rec.Refused)
	}
	image.SetHook(nil)
	if err := errors.Join(a.Err, a.repaired(image, rec.Mark)); err != nil {
		return err
	}
	r, err := Inspect(image, o.Dir, nil)
	if err != nil || r.CutShort || len(r.Evidence) != 1 || !r.Evidence[0].Whole || r.Evidence[0].Why == "" {
		return fmt.Errorf("inspected: %+v %v", r.Evidence, err)
	}
	// What Open has returned is durable.
	image.PowerLoss(a.r)
	o.Repair = false
	l, rec, err = Open(image, o)
	if err != nil || l == nil {
		return fmt.Errorf("after the repair and a power loss: %v %v", rec.Verdict, err)
	}
	return a.repaired(image, rec.Mark)
}

// repaired checks that the log is a blank one, and that all evidence is there, as it was.
func (a *asides) repaired(image *vfs.Memory, mark zab.Mark) error {
	if mark != blankMark {
		return fmt.Errorf("mark %+v", mark)
	}
	names, err := image.List("/d/log")
	if err != nil {
		return err
	}
	var dirs []string
	for _, name := range names {
		if strings.HasPrefix(name, evidencePrefix) {
			dirs = append(dirs, name)
		}
	}
	if len(dirs) != 1 || strings.HasSuffix(dirs[0], evidencePart) || slices.Contains(names, markerName) {
		return fmt.Errorf("directory with %q", names)
	}
	if got := a.d.belongings(image, path.Join("/d/log", dirs[0])); !reflect.DeepEqual(got, a.d.files) {
		return fmt.Errorf("evidence %q", keys(got))
	}
	if _, files := image.Files(); string(files["/d/log/notes.txt"]) != "content of notes.txt" {
		return errors.New("a file of somebody else was touched")
	}
	return nil
}

func keys(m map[string][]byte) (k []string) {
	for name, content := range m {
		k = append(k, fmt.Sprintf("%s (%d bytes)", name, len(content)))
	}
	slices.Sort(k)
	return k
}

func asideImages() (*asides, error) {
	sum := &asides{}
	for i, x := range damages {
		if crashtest.Slow && i%2 == 1 {
			continue
		}
		d, err := newDamaged(uint64(i), x.closed, x.do)
		if err != nil {
			return sum, fmt.Errorf("%s: %w", x.name, err)
		}
		a := newAsides(d, uint64(i))
		a.Watch(d.disk, 0)
		l, rec, err := Open(d.disk, repairOptions(a.r))
		d.disk.SetHook(nil)
		if err = errors.Join(a.Err, err); err == nil && (l == nil || rec.Verdict.Kind != Impaired || rec.Evidence == "") {
			err = fmt.Errorf("not repaired: %v", rec.Verdict)
		}
		if err == nil {
			err = a.repaired(d.disk, rec.Mark)
		}
		if err != nil {
			return sum, fmt.Errorf("%s: %w", x.name, err)
		}
		sum.Add(a.Figures)
		sum.before, sum.within = sum.before+a.before, sum.within+a.within
	}
	return sum, nil
}

// A repair is stopped before every operation on the disk, by a crash and by losses of power, and some starts that go on with it are stopped again. Without
// the marker the directory is Impaired as before, or blank; never is it opened as anything else, and every byte of evidence is there in the end.
func TestAsideImages(t *testing.T) {
	n, err := asideImages()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crash images of repairs, %d of them after a power loss, %d in the middle of a start that went on with one: %d as before, %d in the middle; met: %v",
		n.Images, n.Losses, n.InStart, n.before, n.within, n.Met)
	if crashtest.Slow {
		return
	}
	if n.Images < 2000 || n.InStart < 500 || n.before < 50 || n.within < 500 || n.Met["move"] < 20 || n.Met["sync"] < 20 || n.Met["end"] != len(damages) {
		t.Errorf("too few images: %+v", n.Figures)
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A repair that the disk stops, at any operation and for good or with a full disk, ends in an error; the next start goes on with it.
func TestAsideFails(t *testing.T) {
	for n := 1; ; n++ {
		d, err := newDamaged(2, false, damages[0].do)
		must(t, err)
		a := newAsides(d, uint64(n))
		crashtest.StopAfter(d.disk, a.r, n)
		l, _, err := Open(d.disk, repairOptions(a.r))
		d.disk.SetHook(nil)
		if err == nil {
			if n < 30 {
				t.Errorf("only %d operations", n)
			}
			must(t, l.Close(), a.repaired(d.disk, blankMark))
			t.Logf("%d operations", n-1)
			return
		}
		var failed *FailedError
		if l != nil || !errors.As(err, &failed) && n > 2 { // the first two make the lock and list
			t.Fatalf("operation %d: %v", n, err)
		}
		l, rec, err := Open(d.disk, repairOptions(a.r))
		must(t, err)
		if l == nil {
			t.Fatalf("operation %d: %v %s", n, rec.Verdict, rec.Refused)
		}
		if err := a.repaired(d.disk, rec.Mark); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		must(t, l.Close())
	}
}

// What may not be repaired is refused, and stays as it is.
func TestAsideRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		do   func(d *damaged, o *Options)
		want string // in Refused or Why; "" for an error
		is   error
	}{
		"permission":          {func(d *damaged, o *Options) { d.readFails(2, syscall.EACCES) }, "it cannot be told", nil},
		"too many open files": {func(d *damaged, o *Options) { d.readFails(0, syscall.EMFILE) }, "it cannot be told", nil},
		"EIO on everything":   {func(d *damaged, o *Options) { d.readFails(0, syscall.EIO) }, "nothing of it could be read", nil},
		"evidence of three": {func(d *damaged, o *Options) {
			for i := range MostEvidence {
				must2(0, d.disk.MkdirAll(fmt.Sprintf("/d/log/damaged-%016x", i)))
			}
		}, "there are 3 directories", nil},
		"other member":   {func(d *damaged, o *Options) { o.Member = 4 }, "", &IdentityError{}},
		"other name":     {func(d *damaged, o *Options) { o.Name = "other" }, "", &IdentityError{}},
		"other ensemble": {func(d *damaged, o *Options) { o.Ensemble = zab.EnsembleID{9} }, "", &IdentityError{}},
		"judged an error": {func(d *damaged, o *Options) {
			o.Judge = func(*Recovery) error { return errJudge }
		}, "", errJudge},
		"in use":         {func(d *damaged, o *Options) { must2(d.disk.Lock("/d/log/lock")) }, "", vfs.ErrLocked},
		"marker damaged": {func(d *damaged, o *Options) { d.file("repair", make([]byte, 512)) }, "its marker cannot be used", nil},
		"evidence itself": {func(d *damaged, o *Options) {
			d.file("repair.done", (&marker{id: 1, member: 3, name: "test"}).encode(Version)[:])
		}, "set aside as evidence", nil},
		"marker of another": {func(d *damaged, o *Options) {
			d.file("repair", (&marker{id: 1, member: 4, name: "test"}).encode(Version)[:])
		}, "", &IdentityError{}},
		"marker of a later version": {func(d *damaged, o *Options) {
			d.file("repair", (&marker{id: 1, member: 3, name: "test"}).encode(Version + 1)[:])
		}, "", &VersionError{}},
		"marker, and a log that is not the repair's": {func(d *damaged, o *Options) {
			must2(0, d.disk.MkdirAll("/d/log/damaged-0000000000000001"))
			d.file("repair", (&marker{id: 1, member: 3, name: "test"}).encode(Version)[:])
		}, "not of its making", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := newDamaged(1, true, damages[1].do)
			must(t, err)
			o := repairOptions(rand.New(rand.NewPCG(1, 1)))
			x.do(d, &o)
			_, before := d.disk.Files()
			l, rec, err := Open(d.disk, o)
			d.disk.SetHook(nil)
			switch want := x.is.(type) {
			case nil:
				if err != nil || l != nil || rec.Verdict.Kind != Impaired || !strings.Contains(rec.Refused+rec.Verdict.Why, x.want) {
					t.Errorf("%v, %q, %v", rec.Verdict, rec.Refused, err)
				}
			case *IdentityError:
				if !errors.As(err, &want) {
					t.Error(err)
				}
			case *VersionError:
				if v := want; !errors.As(err, &v) {
					t.Error(err)
				}
			default:
				if !errors.Is(err, x.is) {
					t.Error(err)
				}
			}
			if _, now := d.disk.Files(); !reflect.DeepEqual(before, now) {
				t.Error("the directory was changed")
			}
		})
	}
}

// Where a repair is under way, or its evidence stands, no other log begins, and nobody reads the one in the making.
func TestAsideIsUsed(t *testing.T) {
	for _, name := range []string{"repair", "damaged-0000000000000001"} {
		disk := vfs.NewMemory()
		must(t, disk.MkdirAll("/d/log"))
		if name == "repair" {
			(&damaged{disk: disk}).file(name, (&marker{id: 1, member: 3, name: "test"}).encode(Version)[:])
			if rec, err := Read(disk, "/d/log"); err != nil || rec.Verdict.Kind != Impaired || rec.Fresh {
				t.Errorf("%v %v", rec.Verdict, err)
			}
		} else {
			must(t, disk.MkdirAll("/d/log/"+name))
		}
		if _, err := Create(disk, testOptions(&clock{}, 1), zab.Mark{}); !errors.Is(err, ErrUsed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errJudge = errors.New("judged")

// readFails has reads fail after the first n.
func (d *damaged) readFails(n int, err error) {
	d.disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpRead {
			if n--; n < 0 {
				return &vfs.Fault{Err: err}
			}
		}
		return nil
	})
}

func (d *damaged) file(name string, content []byte) {
	f := must2(d.disk.Create("/d/log/" + name))
	must2(f.Write(content))
	must2(0, f.Close())
}

// A range that cannot be read is damage; so is what Judge says, which also knows of which ensemble the directory is. Without a trace of one the new
// log is that of a new member.
func TestAsideKnowsTheEnsemble(t *testing.T) {
	open := func(d *damaged, judge func(*Recovery) error) Recovery {
		o := repairOptions(rand.New(rand.NewPCG(1, 1)))
		o.Judge = judge
		l, rec, err := Open(d.disk, o)
		must(t, err)
		if l == nil {
			t.Fatal(rec.Verdict, rec.Refused)
		}
		must(t, l.Close())
		l, again, err := Open(d.disk, o)
		must(t, err)
		if l == nil || again.Mark != rec.Mark || again.Verdict.Kind != Clean {
			t.Fatalf("%v %+v", again.Verdict, again.Mark)
		}
		must(t, l.Close())
		return rec
	}
	d, err := newDamaged(1, true, func(*damaged) error { return nil })
	must(t, err)
	d.readFails(3, syscall.EIO)
	bad := d.disk
	o := repairOptions(rand.New(rand.NewPCG(1, 1)))
	l, rec, err := Open(bad, o)
	must(t, err)
	if l == nil || rec.Mark != blankMark || rec.Evidence == "" {
		t.Fatalf("%v %+v", rec.Verdict, rec.Mark)
	}

	whole := func(*damaged) error { return nil }
	d, err = newDamaged(1, true, whole)
	must(t, err)
	said := false
	rec = open(d, func(r *Recovery) error {
		if !said {
			r.Verdict = Verdict{Kind: Impaired, Where: "snapshots", Why: "none can be used"}
		}
		said = true
		return nil
	})
	if rec.Mark != blankMark || rec.Verdict.Where != "snapshots" || rec.Verdict.Why != "none can be used" {
		t.Fatalf("%v %+v", rec.Verdict, rec.Mark)
	}

	gone := func(d *damaged) error {
		err := errors.Join(d.disk.FlipBit("/d/log/mark.0", 300), d.disk.FlipBit("/d/log/mark.1", 300))
		for _, name := range d.logs {
			err = errors.Join(err, d.disk.FlipBit(name, 300))
		}
		return err
	}
	d, err = newDamaged(1, true, gone)
	must(t, err)
	if rec = open(d, nil); rec.Mark != (zab.Mark{Member: 3, Spoilt: true}) {
		t.Fatalf("%+v", rec.Mark)
	}
	d, err = newDamaged(1, true, gone)
	must(t, err)
	if rec = open(d, func(r *Recovery) error {
		if r.Verdict.Kind == Impaired {
			r.Mark.Ensemble, r.Mark.Born = testEnsemble, true
		}
		return nil
	}); rec.Mark != blankMark {
		t.Fatalf("%+v", rec.Mark)
	}
}
