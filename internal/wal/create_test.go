package wal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

var born = zab.Mark{Ensemble: zab.EnsembleID{7}, Incarnation: zab.Incarnation{8}, Counts: true, Born: true, Promised: 5, Joined: 5}

// A log that was created for nobody becomes that of the first member who opens it, and of no other; whatever is lost on the way there, it is
// nobody's, or that member's.
func TestNobodysLog(t *testing.T) {
	o := testOptions(&clock{}, 1)
	made := vfs.NewMemory()
	nobodys := o
	nobodys.Member = 0
	l, err := Create(made, nobodys, born)
	must(t, err)
	reset := zab.Record{Kind: zab.RecordReset, Pos: 1, Zxid: 9, Snapshot: &zab.Snapshot{Zxid: 9, Length: 3, Digest: 4}}
	must(t, l.Append([]zab.Record{reset}), l.Close())
	if _, err := Create(made, o, born); !errors.Is(err, ErrUsed) {
		t.Fatal(err)
	}
	if rec, err := Read(made, o.Dir); err != nil || rec.Mark != born || rec.Pos != 1 || rec.Verdict != (Verdict{}) {
		t.Fatalf("%+v %v", rec, err)
	}
	mine := born
	mine.Member = o.Member
	open := func(disk *vfs.Memory) *Log {
		t.Helper()
		l, rec, err := Open(disk, o)
		must(t, err)
		if rec.Mark != mine || rec.Reset == nil || rec.Reset.Zxid != 9 || rec.Pos != 1 {
			t.Fatalf("%+v", rec)
		}
		return l
	}
	another := o
	another.Member++
	var images []*vfs.Memory
	bound := made.Clone()
	bound.SetHook(func(op vfs.Op) *vfs.Fault {
		images = append(images, bound.Clone())
		return nil
	})
	must(t, open(bound).Close())
	bound.SetHook(nil)
	kept, free := 0, 0
	for i, image := range images {
		for seed := range uint64(6) {
			c := image.Clone()
			c.PowerLoss(rand.New(rand.NewPCG(uint64(i), seed)))
			if l, _, err := Open(c.Clone(), another); err == nil {
				free++
				must(t, l.Close())
			} else if !errors.As(err, new(*IdentityError)) {
				t.Fatal(err)
			} else {
				kept++
			}
			must(t, open(c).Close())
		}
	}
	if kept == 0 || free == 0 {
		t.Errorf("kept %d, free %d", kept, free)
	}
	if _, _, err := Open(bound, another); !errors.As(err, new(*IdentityError)) {
		t.Fatal(err)
	}
	// Both slots lost: the segments say whose it is.
	must(t, bound.Remove(o.Dir+"/mark.0"), bound.Remove(o.Dir+"/mark.1"))
	if _, _, err := Open(bound, another); !errors.As(err, new(*IdentityError)) {
		t.Fatal(err)
	}
	if l, rec, err := Open(bound, o); l != nil || err != nil || rec.Verdict.Kind != Impaired || rec.Mark.Ensemble != born.Ensemble {
		t.Fatalf("%+v %v", rec, err)
	}
	if _, _, err := Open(made, nobodys); err == nil {
		t.Fatal("opened for nobody")
	}
}

// The lock that a caller holds becomes the log's, whatever comes of it.
func TestLockGivenAway(t *testing.T) {
	o := testOptions(&clock{}, 1)
	disk := vfs.NewMemory()
	held := func() Options {
		t.Helper()
		lock, err := Lock(disk, o.Dir)
		must(t, err)
		h := o
		h.Lock = lock
		return h
	}
	bad := held()
	bad.Name = strings.Repeat("x", 256)
	if _, err := Create(disk, bad, born); err == nil {
		t.Fatal("a name that is too long")
	}
	bad.Lock = held().Lock
	if _, _, err := Open(disk, bad); err == nil {
		t.Fatal("a name that is too long")
	}
	l, err := Create(disk, held(), born)
	must(t, err)
	if _, err := Lock(disk, o.Dir); !errors.Is(err, vfs.ErrLocked) {
		t.Fatal(err)
	}
	must(t, l.Close())
	if _, err := Create(disk, held(), born); !errors.Is(err, ErrUsed) {
		t.Fatal(err)
	}
	another := held()
	another.Member++
	if _, _, err := Open(disk, another); !errors.As(err, new(*IdentityError)) {
		t.Fatal(err)
	}
	l, _, err = Open(disk, held())
	must(t, err)
	must(t, l.Close())
	disk.SetHook(func(op vfs.Op) *vfs.Fault {
		if op.Kind == vfs.OpList {
			return &vfs.Fault{Err: errInjected}
		}
		return nil
	})
	if _, err := Create(disk, held(), born); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	if err := Clear(disk, o.Dir); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	disk.SetHook(nil)
	must(t, held().Lock.Close())
}

var errInjected = errors.New("injected")

func TestClear(t *testing.T) {
	o := testOptions(&clock{}, 1)
	disk := vfs.NewMemory()
	must(t, Clear(disk, o.Dir)) // there is none
	l, err := Create(disk, o, born)
	must(t, err, l.Close())
	for _, name := range []string{"mark.0.tmp", "other", "other.log", segmentName(3, 4) + tempSuffix} {
		f, err := disk.Create(o.Dir + "/" + name)
		must(t, err, f.Close())
	}
	must(t, Clear(disk, o.Dir))
	if names, err := disk.List(o.Dir); err != nil || !slices.Equal(names, []string{"lock", "other", "other.log"}) {
		t.Fatal(names, err)
	}
	disk.PowerLoss(rand.New(rand.NewPCG(1, 1)))
	l, err = Create(disk, o, born) // nothing comes back
	must(t, err, l.Close())
}
