package tcp

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/abuse.md names is there, in the package that it names, or in this one.
func TestAbuseList(t *testing.T) {
	text, err := os.ReadFile("../../docs/abuse.md")
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.TrimSpace(cells[3]) == "test" {
			continue
		}
		rows++
		dir, named := ".", false
		for _, m := range word.FindAllStringSubmatch(cells[3], -1) {
			if !strings.HasPrefix(m[1], "Test") && !strings.HasPrefix(m[1], "Fuzz") {
				dir = filepath.Join("..", "..", m[1])
				continue
			}
			if named = true; !declared(t, dir, m[1]) {
				t.Errorf("no %s in %s", m[1], dir)
			}
		}
		if !named {
			t.Errorf("no test is named for:%s", cells[1])
		}
	}
	if rows < 16 {
		t.Errorf("%d rows", rows)
	}
	if declared(t, ".", "TestOfNothing") {
		t.Error("a test is found that is not there")
	}
}

func declared(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+test+"(") {
			return true
		}
	}
	return false
}
