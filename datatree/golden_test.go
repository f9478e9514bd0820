package datatree_test

import (
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/golden"
)

// The traces in testdata/golden are what Apache ZooKeeper 3.8 answered; FORMAT.md describes them. They are replayed on a tree that prepares and applies, with
// its watches, and on one that only applies. differences.tsv says which steps we answer in another way, and why: no others may differ, and those must.

var goldenDir = flag.String("golden", "testdata/golden", "the `directory` with the traces")

func TestGolden(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(*goldenDir, "*.jsonl*"))
	known, err := golden.Differences("testdata/golden/differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var compared, differing, steps, recorded, followed int
	skipped := map[string]int{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".jsonl")
		t.Run(name, func(t *testing.T) {
			checks := 0
			var last *datatree.Tree
			g, err := golden.File(file, known[name], func(h *golden.Header) golden.Subject {
				return golden.NewTrees(h, func(tree *datatree.Tree) error {
					last = tree
					if checks++; checks%16 == 0 && tree.Digest() != datatree.Recompute(tree.View()) {
						return errors.New("the digest is not that of what is there")
					}
					return nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			if last.Digest() != datatree.Recompute(last.View()) {
				t.Error("the digest is not that of what is there")
			}
			for _, fault := range g.Faults {
				t.Error(fault)
			}
			compared += g.Compared
			differing += g.Differing
			steps += g.Steps
			followed += g.Followed
			if !strings.HasPrefix(name, "basic-") {
				recorded += g.Compared
			}
			for why, n := range g.Skipped {
				skipped[why] += n
			}
			t.Logf("%d steps: %d compared, %d of them differ, skipped %v, followed %d", g.Steps, g.Compared, g.Differing, g.Skipped, g.Followed)
		})
		delete(known, name)
	}
	t.Logf("%d traces, %d steps: %d compared, %d of them differ, skipped %v, %d of them followed", len(files), steps, compared, differing, skipped, followed)
	t.Logf("of the directed, random and tree traces %d compared", recorded)
	if recorded < 28200 {
		t.Errorf("only %d steps compared: are the traces there?", recorded)
	}
	if followed < 7 {
		t.Errorf("only %d steps followed that are not compared and changed the recorded tree", followed)
	}
	for name := range known {
		t.Errorf("differences.tsv speaks of %s, which is not there", name)
	}
}
