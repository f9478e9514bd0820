package sim

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPromises holds docs/promises.md to the code: every message has a row, every row a proof, and every place and proof that is named exists.
func TestPromises(t *testing.T) {
	text := readFile(t, "docs/promises.md")
	span := regexp.MustCompile("`([^`]*)`")
	rows, said := map[string]int{}, map[string]bool{}
	section := ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| --- ") || strings.Contains(cells[len(cells)-1], "proof") {
			continue
		}
		rows[section]++
		first := strings.TrimSpace(cells[0])
		if section == "Messages" {
			word, _, _ := strings.Cut(first, ",")
			said[word] = true
		}
		proofs := span.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(proofs) == 0 {
			t.Errorf("%s: %s has no proof", section, first)
		}
		for _, p := range proofs {
			if err := proof(p[1]); err != nil {
				t.Errorf("%s: %s: %v", section, first, err)
			}
		}
		if len(cells) < 4 {
			continue
		}
		places := span.FindAllStringSubmatch(cells[2], -1)
		if len(places) == 0 {
			t.Errorf("%s: %s has no place", section, first)
		}
		for _, p := range places {
			if err := place(p[1]); err != nil {
				t.Errorf("%s: %s: %v", section, first, err)
			}
		}
	}
	if rows["Messages"] < 20 || rows["Acts"] < 10 || rows["What a host is promised"] < 5 {
		t.Errorf("the tables are not where they were: %v", rows)
	}
	types := regexp.MustCompile(`return new\(\w+\.(\w+)\)`).FindAllStringSubmatch(readFile(t, "internal/wire/wire.go"), -1)
	if len(types) < 20 {
		t.Errorf("%d types of messages", len(types))
	}
	for _, m := range types {
		if !said[m[1]] {
			t.Errorf("%s has no row", m[1])
		}
		delete(said, m[1])
	}
	if len(said) > 0 {
		t.Errorf("these are no messages: %v", said)
	}
	for _, p := range []string{"mutant nothing", "mutant m1", "zab TestNothing", "zab sync.txt: nothing of it", "internal/sim TestScenarios/Nothing", "nowhere TestScenarios", "x"} {
		if proof(p) == nil {
			t.Errorf("%s is taken for a proof", p)
		}
	}
	for _, p := range []string{"zab/leader.go nothing", "zab/nothing.go promise", "zab/leader.go", "zab/leader.go learner"} {
		if place(p) == nil {
			t.Errorf("%s is taken for a place", p)
		}
	}
}

func readFile(t *testing.T, name string) string {
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// proof looks for "mutant NAME", "DIR TestName", "DIR TestName/Sub" or "DIR file.txt: the first words of a story".
func proof(p string) error {
	dir, what, _ := strings.Cut(p, " ")
	if dir == "mutant" {
		for _, at := range []string{"internal/sim", ".", "election", "internal/core", "internal/wal", "snapshot"} {
			b, err := os.ReadFile("../../" + at + "/mutants_test.go")
			if err != nil {
				return err
			}
			if strings.Contains(string(b), `{"`+what+`", `) {
				return nil
			}
		}
		return fmt.Errorf("no mutant %s has a row", what)
	}
	if strings.Contains(what, ".txt: ") {
		return exists(dir, "TestScenarios", what)
	}
	test, sub, _ := strings.Cut(what, "/")
	if test == "" {
		return errors.New("no proof: " + p)
	}
	return exists(dir, test, sub)
}

// place looks for "file.go function".
func place(p string) error {
	file, name, _ := strings.Cut(p, " ")
	b, err := os.ReadFile("../../" + file)
	if err != nil {
		return err
	}
	if name == "" || !regexp.MustCompile(`(?m)^func (\([^)]*\) )?`+name+`\(`).Match(b) {
		return fmt.Errorf("%s has no %s", file, name)
	}
	return nil
}
