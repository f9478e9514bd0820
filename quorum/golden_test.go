package quorum

import (
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/script"
)

// The files of testdata hold cases as package script describes them. Directives are
//
//	members  1@2*3 4 5o      member 1 in group 2 with weight 3, member 4, observer 5
//	joint    ...             a second membership, joined to the first
//	acked    1=7 4=0x100000002
//
// What is expected is the faults of the memberships, or the drawing.
func TestGolden(t *testing.T) { script.Run(t, draw) }

func draw(t testing.TB, directives [][]string) string {
	var v Verifier
	acks := map[ID]uint64{}
	for _, f := range directives {
		switch f[0] {
		case "members", "joint":
			var members []Member
			for _, word := range f[1:] {
				m := script.ParseMember(t, word)
				members = append(members, Member{ID: ID(m.ID), Observer: m.Observer, Group: m.Group, Weight: m.Weight})
			}
			side, err := New(members)
			if err != nil {
				return err.Error()
			}
			if f[0] == "joint" {
				side = Joint(v, side)
			}
			v = side
		case "acked":
			for _, word := range f[1:] {
				id, at, _ := strings.Cut(word, "=")
				acks[ID(script.Number(t, id))] = uint64(script.Number(t, at))
			}
		default:
			t.Fatalf("unknown directive %q", f)
		}
	}
	return Describe(v, func(id ID) uint64 { return acks[id] })
}

// A Verifier from elsewhere is drawn too.
func TestDescribeForeign(t *testing.T) {
	foreign := struct{ Verifier }{must(t, plain(3))}
	got := Describe(foreign, func(id ID) uint64 { return uint64(id) })
	want := "3 voters -> 2\n    >   1  id 1\n  * x>  2  id 2\n  * xx> 3  id 3\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
