package snapshot

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// leftovers is a disk with a snapshot, with what none is made of yet, and with a file of somebody else.
func leftovers(t *testing.T) (*vfs.Memory, Options, *content) {
	disk := vfs.NewMemory()
	o := testOptions(disk, 1)
	s, err := Open(o)
	must(t, err)
	c := smallContent()
	_, err = s.Write(t.Context(), c.meta, c.reader())
	must(t, err)
	for _, name := range []string{stem(5, 6) + tempSuffix, stem(5, 7) + partSuffix, "other", "other.snap"} {
		f, err := disk.Create(o.Dir + "/" + name)
		must(t, err, f.Close())
	}
	return disk, o, c
}

func TestClear(t *testing.T) {
	must(t, Clear(testOptions(vfs.NewMemory(), 1))) // there is nothing
	disk, o, _ := leftovers(t)
	must(t, Clear(o))
	if names, err := disk.List(o.Dir); err != nil || !slices.Equal(names, []string{"other", "other.snap"}) {
		t.Fatal(names, err)
	}
	for _, kind := range []vfs.Kind{vfs.OpList, vfs.OpRemove, vfs.OpSyncDir} {
		disk, o, _ := leftovers(t)
		disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == kind {
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		if err := Clear(o); !errors.Is(err, syscall.EIO) || !errors.As(err, new(*FailedError)) {
			t.Fatal(kind, err)
		}
	}
	if err := Clear(Options{}); err == nil {
		t.Fatal("without a directory")
	}
}

// A Store that is only to be read changes nothing, not even what is of no account.
func TestReadOnly(t *testing.T) {
	disk, o, c := leftovers(t)
	o.ReadOnly, o.Random = true, nil
	disk.SetHook(func(op vfs.Op) *vfs.Fault {
		switch op.Kind {
		case vfs.OpOpen, vfs.OpRead, vfs.OpList, vfs.OpClose:
		default:
			t.Errorf("%+v", op)
		}
		return nil
	})
	s, err := Open(o)
	must(t, err)
	z := c.meta.Zxid
	info, faults, err := s.Load(Need{From: z, Upto: z}, through)
	if err != nil || len(faults) > 0 || info.Zxid != z {
		t.Fatal(info, faults, err)
	}
}
