package golden

import (
	"slices"
	"testing"
)

// story is a few steps as ZooKeeper would answer them.
func story() []Step {
	ok := Res{Name: "OK"}
	stat := func() *Stat {
		return &Stat{CzxidOrd: 1, MzxidOrd: 1, PzxidOrd: 1, CtimeEqMtime: true, DataLength: 1, EphemeralOwner: -1}
	}
	created, got, set, refused := ok, ok, ok, ok
	created.Ord, created.Path, created.Stat = 1, "/a", stat()
	got.Data, got.Stat = text("x"), stat()
	set.Ord, set.Stat = 2, stat()
	set.Stat.MzxidOrd, set.Stat.Version, set.Stat.CtimeEqMtime = 2, 1, false
	refused.Err, refused.Name = -101, "NoNode"
	return []Step{
		{Op: "open", Res: ok},
		{Op: "create2", Path: "/a", Data: text("x"), Mode: "persistent", Res: created},
		{Op: "get", Path: "/a", Watch: true, Res: got},
		{Op: "set", Path: "/a", Data: text("y"), Version: -1, Res: set, Events: []Event{{0, "NodeDataChanged", "/a"}}},
		{Op: "delete", Path: "/b", Version: -1, Res: refused},
		{Op: "sync", Path: "/", Res: ok},
	}
}

func text(s string) *string {
	b := map[string]string{"x": "eA==", "y": "eQ=="}[s]
	return &b
}

func replay(steps []Step) *Report {
	return Steps(Header{Format: "zk-golden/1", Sessions: 1}, steps, func(h *Header) Subject { return NewTrees(h, nil) })
}

// A replay that finds nothing is worth nothing: whatever is recorded in another way must be found, in its step alone.
func TestDifferencesAreFound(t *testing.T) {
	r := replay(story())
	if len(r.Faults) > 0 || r.Steps != 6 || r.Compared != 5 || r.Skipped["sync"] != 1 {
		t.Fatalf("%+v", r)
	}
	for what, change := range map[string]func(s []Step){
		"path":        func(s []Step) { s[1].Res.Path = "/b" },
		"version":     func(s []Step) { s[3].Res.Stat.Version = 2 },
		"zxid":        func(s []Step) { s[2].Res.Stat.PzxidOrd = 0 },
		"time":        func(s []Step) { s[2].Res.Stat.CtimeEqMtime = false },
		"data":        func(s []Step) { s[2].Res.Data = nil },
		"children":    func(s []Step) { s[2].Res.Children = []string{"b"} },
		"error":       func(s []Step) { s[4].Res.Name = "NoAuth" },
		"no error":    func(s []Step) { s[4].Res = Res{Name: "OK", Ord: 3} },
		"refused":     func(s []Step) { s[2].Res = Res{Err: -101, Name: "NoNode"} },
		"no event":    func(s []Step) { s[3].Events = nil },
		"other event": func(s []Step) { s[3].Events[0].Type = "NodeDeleted" },
		"two events":  func(s []Step) { s[3].Events = append(s[3].Events, s[3].Events[0]) },
	} {
		steps := story()
		change(steps)
		if r := replay(steps); len(r.Faults) != 1 {
			t.Errorf("%s: %q", what, r.Faults)
		}
	}
}

// A step that is known to differ must differ, by a quirk that it shows or that it follows from.
func TestKnownDifferences(t *testing.T) {
	steps := story()
	steps[2].Res.Data = nil
	for _, c := range []struct {
		quirk  string
		known  map[int]Difference
		faults int
	}{
		{"", nil, 1},
		{"a quirk", map[int]Difference{4: {Why: "it is"}}, 0},
		{"", map[int]Difference{4: {Why: "it is"}}, 1},
		{"a quirk", map[int]Difference{4: {Why: "it is"}, 3: {Why: "it is not"}}, 1},
		{"a quirk", map[int]Difference{4: {Why: "it is"}, 7: {Why: "not compared"}}, 1},
	} {
		steps[2].Quirk = c.quirk
		h := Header{Format: "zk-golden/1", Sessions: 1}
		g := newReplayer(h, c.known, func(h *Header) Subject { return NewTrees(h, nil) })
		for _, s := range slices.Clone(steps) {
			g.take(&s)
		}
		if len(g.Faults) != c.faults {
			t.Errorf("%+v: %q", c, g.Faults)
		}
	}
}

// A step that is not compared is carried out if it changed the recorded tree, and that must lead to what was recorded: all that follows is compared with it.
func TestFollowed(t *testing.T) {
	flags := 0
	for what, c := range map[string]struct {
		change           func(s *Step)
		followed, faults int
	}{
		"as recorded":    {func(*Step) {}, 1, 0},
		"nothing done":   {func(s *Step) { s.Res = Res{Err: -8, Name: "BadArguments"} }, 0, 0},
		"another path":   {func(s *Step) { s.Res.Path = "/d" }, 1, 1},
		"refused":        {func(s *Step) { s.Path = "/a" }, 1, 1},
		"another answer": {func(s *Step) { s.Res.Stat.NumChildren = 1 }, 1, 1},
	} {
		s := Step{Op: "create2", Path: "/c", Mode: "persistent", Flags: &flags, Res: Res{Name: "OK", Ord: 3, Path: "/c"}}
		s.Res.Stat = &Stat{CzxidOrd: 3, MzxidOrd: 3, PzxidOrd: 3, CtimeEqMtime: true, EphemeralOwner: -1}
		c.change(&s)
		if r := replay(append(story(), s)); r.Followed != c.followed || len(r.Faults) != c.faults || r.Skipped["raw flags"] != 1 {
			t.Errorf("%s: followed %d, %q", what, r.Followed, r.Faults)
		}
	}
}
