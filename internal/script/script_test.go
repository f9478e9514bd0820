package script

import (
	"strings"
	"testing"
)

func TestRetell(t *testing.T) {
	text := "# A story.\none  two\n# of two lines\nthree\n----\nold\n\nfour\n----\nnothing"
	n := 0
	got := retell(text, func(d [][]string) string {
		n++
		var lines []string
		for _, f := range d {
			lines = append(lines, strings.Join(f, "+"))
		}
		return strings.Join(lines, "\n") + "\n"
	})
	want := "# A story.\none  two\n# of two lines\nthree\n----\none+two\nthree\n\nfour\n----\nfour\n"
	if got != want || n != 2 {
		t.Errorf("%d cases\n%s\nwant\n%s", n, got, want)
	}
	if again := retell(got, func(d [][]string) string { return "x" }); strings.Contains(again, "+") {
		t.Errorf("what was expected is kept:\n%s", again)
	}
}

func TestDiffer(t *testing.T) {
	got := differ("a\n\nb\nc\nd\n", "a\n\nb\nx\nd\n")
	if want := "b\n--- got, from line 4\nc\nd\n\n--- want\nx\nd\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := differ("a", "a\nb"); got != "a\n--- got, from line 2\n\n--- want\nb" {
		t.Errorf("%q", got)
	}
}

func TestParseMember(t *testing.T) {
	for word, want := range map[string]Member{ // any order: each by itself
		"7": {ID: 7}, "0x10": {ID: 16}, "4o": {ID: 4, Observer: true}, "1@2*3": {ID: 1, Group: 2, Weight: 3},
		"1*3@2": {ID: 1, Group: 2, Weight: 3}, "2o@1": {ID: 2, Observer: true, Group: 1}, "1@-1*-2": {ID: 1, Group: -1, Weight: -2},
	} {
		if got := ParseMember(t, word); got != want {
			t.Errorf("%s: %+v, want %+v", word, got, want)
		}
	}
}

func TestTake(t *testing.T) {
	f := []string{"a", "b", "c"}
	rest := f
	if !Take(&rest, "b") || Take(&rest, "b") || strings.Join(rest, "") != "ac" || strings.Join(f, "") != "abc" {
		t.Error(f, rest)
	}
}
