// Package script runs the text scenarios that tests of quorum, election, zab and core have in their testdata: stories that a reviewer
// can read, and that tell by a difference what a change does.
//
// A file holds cases parted by empty lines. A case is its comments, which begin with #, its directives, one a line, "----", and
// what is expected to follow from them.
package script

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// It stands in the command line of the tests that import this package, and of nothing else.
var rewrite = flag.Bool("rewrite", false, "rewrite the expected text in testdata")

// Run plays each case of each testdata/*.txt by itself and compares what play returns with what the file expects. play is given
// the words of each directive. With the flag -rewrite the file is given what was returned.
func Run(t *testing.T, play func(t testing.TB, directives [][]string) string) {
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
			got := retell(string(text), func(directives [][]string) string { return play(t, directives) })
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s\n(go test -rewrite accepts)", differ(got, string(text)))
			}
		})
	}
}

// retell returns the text of a file with what follows from its directives.
func retell(text string, play func(directives [][]string) string) string {
	var out []string
	for _, c := range strings.Split(strings.TrimSpace(text), "\n\n") {
		input, _, _ := strings.Cut(c, "\n----")
		var directives [][]string
		for _, line := range strings.Split(input, "\n") {
			if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "#") {
				directives = append(directives, f)
			}
		}
		out = append(out, strings.TrimSpace(input)+"\n----\n"+strings.TrimRight(play(directives), "\n"))
	}
	return strings.Join(out, "\n\n") + "\n"
}

// differ shows where two texts part: the case in which they do, up to there and a little further.
func differ(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(g) && i < len(w) && g[i] == w[i] {
		i++
	}
	from := i
	for from > 0 && g[from-1] != "" {
		from--
	}
	part := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+8, len(lines))], "\n") }
	return strings.Join(g[from:i], "\n") + "\n--- got, from line " + strconv.Itoa(i+1) + "\n" + part(g) + "\n--- want\n" + part(w)
}

// Number parses a number, decimal or as Go writes it; anything else ends the test.
func Number(t testing.TB, word string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(word, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Member is what describes a member: an id, and in any order o for an observer, @ and the group, * and the weight.
type Member struct {
	ID            uint64
	Observer      bool
	Group, Weight int
}

// ParseMember parses the description of a member, like 4, 5o or 1@2*3; anything else ends the test.
func ParseMember(t testing.TB, word string) (m Member) {
	t.Helper()
	next := func() string {
		i := strings.IndexAny(word, "o@*")
		if i < 0 {
			i = len(word)
		}
		n := word[:i]
		word = word[i:]
		return n
	}
	m.ID = uint64(Number(t, next()))
	for word != "" {
		mark := word[0]
		word = word[1:]
		switch mark {
		case 'o':
			m.Observer = true
		case '@':
			m.Group = int(Number(t, next()))
		case '*':
			m.Weight = int(Number(t, next()))
		}
	}
	return m
}

// Take removes word from f and reports whether it was there.
func Take(f *[]string, word string) bool {
	i := slices.Index(*f, word)
	if i >= 0 {
		*f = slices.Delete(slices.Clone(*f), i, i+1)
	}
	return i >= 0
}
