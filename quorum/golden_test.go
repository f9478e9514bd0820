package quorum

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected text in testdata")

// Each file of testdata holds cases parted by empty lines: lines of input, "----", and lines of expected output. Input is
//
//	members  1@2*3 4 5o      member 1 in group 2 with weight 3, member 4, observer 5
//	joint    ...             a second membership, joined to the first
//	acked    1=7 4=0x100000002
//
// Output is the faults of the memberships, or the drawing. Lines with # are comments and begin a case.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, c := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				input, _, _ := strings.Cut(c, "\n----")
				out = append(out, strings.TrimSpace(input)+"\n----\n"+strings.TrimRight(run(t, input), "\n"))
			}
			got := strings.Join(out, "\n\n") + "\n"
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("got\n%s\nwant\n%s\n(go test -rewrite accepts)", got, text)
			}
		})
	}
}

func run(t *testing.T, input string) string {
	t.Helper()
	var v Verifier
	acks := map[ID]uint64{}
	for _, line := range strings.Split(input, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		switch f[0] {
		case "members", "joint":
			var members []Member
			for _, word := range f[1:] {
				members = append(members, parseMember(t, word))
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
				acks[ID(number(t, id))] = uint64(number(t, at))
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return Describe(v, func(id ID) uint64 { return acks[id] })
}

func parseMember(t *testing.T, word string) (m Member) {
	t.Helper()
	word, weight, hasWeight := strings.Cut(word, "*")
	word, group, hasGroup := strings.Cut(word, "@")
	word, m.Observer = strings.CutSuffix(word, "o")
	m.ID = ID(number(t, word))
	if hasGroup {
		m.Group = number(t, group)
	}
	if hasWeight {
		m.Weight = number(t, weight)
	}
	return m
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
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
