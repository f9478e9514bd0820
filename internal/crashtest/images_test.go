package crashtest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// An image is taken before every operation that changes something and at every cut of a write, with what was written by then; and after
// the first fault nothing is looked at.
func TestWatch(t *testing.T) {
	disk := vfs.NewMemory()
	var seen []string
	var bad error
	e := &Explorer{
		Name: func(op vfs.Op) string { return map[vfs.Kind]string{vfs.OpWrite: "write", vfs.OpSync: "sync"}[op.Kind] },
		Cuts: func(op vfs.Op, _ int) []int { return []int{0, len(op.Data)}[:1+min(1, len(op.Data))] },
		Examine: func(image *vfs.Memory, _, n int) error {
			_, files := image.Files()
			seen = append(seen, string(files["/a"]))
			return bad
		},
	}
	e.Watch(disk, 0)
	f, err := disk.Create("/a")
	if err == nil {
		_, err = f.Write([]byte("bc"))
		err = errors.Join(err, f.Sync())
	}
	if err != nil || e.Err != nil {
		t.Fatal(err, e.Err)
	}
	if want := []string{"", "", "bc", "bc"}; !slices.Equal(seen, want) || e.Images != 4 || e.Met["write"] != 1 || e.Met["sync"] != 1 {
		t.Errorf("images %q, want %q; %+v", seen, want, e.Figures)
	}
	bad = errors.New("bad")
	err = errors.Join(f.Sync(), f.Sync())
	if err != nil || !errors.Is(e.Err, bad) || e.Images != 5 {
		t.Errorf("%v, %v after %d images", err, e.Err, e.Images)
	}
	sum := Figures{}
	sum.Add(e.Figures)
	sum.Add(e.Figures)
	if sum.Images != 10 || sum.Met["sync"] != 4 {
		t.Errorf("%+v", sum)
	}
}

// From the n-th operation on nothing is done, and a file can still be read.
func TestStopAfter(t *testing.T) {
	disk, r := vfs.NewMemory(), rand.New(rand.NewPCG(1, 1))
	left := StopAfter(disk, r, 4)
	f, err := disk.Create("/a")
	if err == nil {
		_, err = f.Write([]byte("b"))
		err = errors.Join(err, f.Sync())
	}
	if err != nil || *left != 1 {
		t.Fatal(err, *left)
	}
	if Overwrite(disk, "/a", 0, []byte("c")) == nil || Resize(disk, "/a", 0) == nil || *left > 0 {
		t.Error("done after the end")
	}
	if _, files := disk.Files(); len(files["/a"]) != 1 {
		t.Errorf("%q", files["/a"])
	}
}
