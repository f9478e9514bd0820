package durable

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
)

var someMembers = []quorum.Member{
	{ID: 3, Addr: "10.0.0.3:7000", Group: 1, Weight: 2},
	{ID: math.MaxUint64, Addr: "a \"b\"\n\\ \xff", Group: 2},
	{ID: 1, Observer: true},
}

func TestMembers(t *testing.T) {
	m := vfs.NewMemory()
	if got, err := ReadMembers(m, "/"); got != nil || err != nil {
		t.Fatal(got, err)
	}
	for _, want := range [][]quorum.Member{{{ID: 1}}, someMembers} { // the second in place of the first
		if err := WriteMembers(m, "/", want); err != nil {
			t.Fatal(err)
		}
		m.PowerLoss(rand.New(rand.NewPCG(1, 1)))
		if got, err := ReadMembers(m, "/"); err != nil || !slices.Equal(got, want) {
			t.Fatal(got, err)
		}
	}
	if names, _ := m.List("/"); len(names) != 1 {
		t.Fatal(names)
	}
	// Of a crash at any step one of the two is left, or nothing.
	var images []*vfs.Memory
	m.SetHook(func(vfs.Op) *vfs.Fault {
		images = append(images, m.Clone())
		return nil
	})
	other := []quorum.Member{{ID: 9}}
	if err := WriteMembers(m, "/", other); err != nil {
		t.Fatal(err)
	}
	m.SetHook(nil)
	for i, image := range append(images, m) {
		image.PowerLoss(rand.New(rand.NewPCG(uint64(i), 2)))
		got, err := ReadMembers(image, "/")
		if err != nil || got != nil && !slices.Equal(got, someMembers) && !slices.Equal(got, other) {
			t.Errorf("%d: %v %v", i, got, err)
		}
		if err := WriteMembers(image, "/", other); err != nil {
			t.Error(err)
		}
	}
	if len(images) < 6 {
		t.Fatal(len(images))
	}
}

// No bit can be turned, and nothing cut off or added, without its being seen.
func TestMembersDamaged(t *testing.T) {
	whole := formatMembers(someMembers)
	refused := func(what string, b []byte) {
		t.Helper()
		if got, err := parseMembers(b); !errors.Is(err, ErrMembers) || got != nil {
			t.Errorf("%s: %v %v", what, got, err)
		}
	}
	for bit := range 8 * len(whole) {
		b := slices.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		refused("bit", b)
	}
	for n := range whole {
		refused("cut", whole[:n])
		refused("shifted", whole[n+1:])
	}
	refused("longer", append(slices.Clone(whole), '\n'))
	for what, text := range map[string]string{
		"not a member":   "ensemble members 1\nfoo\n",
		"no voter":       "ensemble members 1\n1 observer 0 0 \"\"\n",
		"twice":          "ensemble members 1\n1 voter 0 0 \"\"\n1 voter 0 0 \"\"\n",
		"id":             "ensemble members 1\n-1 voter 0 0 \"\"\n",
		"kind":           "ensemble members 1\n1 leader 0 0 \"\"\n",
		"group":          "ensemble members 1\n1 voter x 0 \"\"\n",
		"address":        "ensemble members 1\n1 voter 0 0 a\n",
		"something else": "x",
	} {
		refused(what, sealed(text))
	}
	_, err := parseMembers(sealed("ensemble members 2\nwhatever\n"))
	if v, ok := errors.AsType[*wal.VersionError](err); !ok || v.Version != 2 {
		t.Error(err)
	}
	m := vfs.NewMemory()
	if err := WriteMembers(m, "/", someMembers); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err     error
		damaged bool
	}{{syscall.EIO, true}, {syscall.EACCES, false}} {
		m.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpRead {
				return &vfs.Fault{Err: c.err}
			}
			return nil
		})
		if _, err := ReadMembers(m, "/"); !errors.Is(err, c.err) || errors.Is(err, ErrMembers) != c.damaged {
			t.Error(err)
		}
	}
}

func sealed(text string) []byte {
	b := []byte(text)
	const digits = "0123456789abcdef"
	s := sum(b)
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[s>>shift&15])
	}
	return append(b, '\n')
}

func FuzzMembers(f *testing.F) {
	f.Add("ensemble members 1\n1 voter 0 0 \"a:1\"\n2 observer 0 0 \"\"\n")
	f.Add(string(formatMembers(someMembers)))
	f.Fuzz(func(t *testing.T, text string) {
		for _, b := range [][]byte{[]byte(text), sealed(text)} {
			members, err := parseMembers(b)
			if err != nil {
				continue
			}
			again, err := parseMembers(formatMembers(members))
			if err != nil || !slices.Equal(again, members) || quorum.Validate(members) != nil {
				t.Fatalf("%v, then %v %v", members, again, err)
			}
		}
	})
}
