package ensemble_test

import (
	"cmp"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// Each rule is shown a repository of one or two files that breaks it, and one beside it that does not.
func TestHouseRulesCanFail(t *testing.T) {
	const zab = "// Package zab is.\npackage zab\n"
	for _, c := range []struct {
		name string
		file string // "" for zab/x.go
		text string // without package clause: a documented package of the directory's name
		want string // a substring of the only fault, or "" for none
	}{
		{"clean", "", "// F is.\nfunc F() {}", ""},

		{"go", "", "func f() { go f() }", "pure: go statement"},
		{"go in the shell", "x.go", "func f() { go f() }", ""},
		{"go in a test", "zab/x_test.go", "func f() { go f() }", ""},
		{"select", "", "func f() { select {} }", "pure: select"},
		{"sync", "", `import _ "sync"`, "pure: import of sync"},
		{"sync in a test", "zab/x_test.go", `import _ "sync"`, ""},
		{"sync/atomic", "", `import _ "sync/atomic"`, "pure: import of sync/atomic"},
		{"sync/atomic in datatree", "datatree/x.go", `import _ "sync/atomic"`, ""},
		{"weak in datatree", "datatree/x.go", `import _ "weak"`, ""},
		{"sync in datatree", "datatree/x.go", `import _ "sync"`, "pure: import of sync"},
		{"weak in session", "session/x.go", `import _ "weak"`, "pure: import of weak"},
		{"os", "", `import _ "os"`, "pure: import of os"},
		{"os/exec", "", `import _ "os/exec"`, "pure: import of os/exec"},
		{"net", "", `import _ "net"`, "pure: import of net"},
		{"net/netip", "internal/link/x.go", `import _ "net/netip"`, "pure: import of net/netip"},
		{"crypto/rand", "internal/core/x.go", `import _ "crypto/rand"`, "pure: import of crypto/rand"},
		{"foreign", "", `import _ "example.com/x"`, "pure: import of a foreign module"},

		{"Now", "", `import "time"; var v = time.Now`, "pure: time.Now"},
		{"Now renamed", "", `import clock "time"; var v = clock.Now()`, "pure: time.Now"},
		{"Since", "", `import "time"; func f(t time.Time) time.Duration { return time.Since(t) }`, "pure: time.Since"},
		{"After", "", `import "time"; var v = time.After(1)`, "pure: time.After"},
		{"Sleep", "", `import "time"; func f() { time.Sleep(1) }`, "pure: time.Sleep"},
		{"NewTimer", "", `import "time"; var v = time.NewTimer(1)`, "pure: time.NewTimer"},
		{"Timer", "", `import "time"; var v *time.Timer`, "pure: time.Timer"},
		{"Duration", "", `import "time"; var v = 3 * time.Second; var w time.Duration`, ""},
		{"dot import", "", `import . "time"; var v = Now()`, "dot import"},

		{"rand v1", "", `import "math/rand"; var v = rand.Int()`, "pure: rand.Int uses"},
		{"rand v2", "", `import "math/rand/v2"; var v = rand.N(4)`, "pure: rand.N uses"},
		{"rand as a value", "", `import r "math/rand/v2"; var v = r.Uint64`, "pure: rand.Uint64 uses"},
		{"rand seeded", "", `import "math/rand/v2"; var v = rand.New(rand.NewPCG(1, 2)).Int()`, ""},

		{"map", "", "func f(m map[int]int) { for range m {} }", "pure: range over a map"},
		{"map, excused", "", "func f(m map[int]int) { for range m { // any order: a sum\n} }", ""},
		{"map, no reason", "", "func f(m map[int]int) { for range m { // any order:\n} }", "pure: range over a map"},
		{"map, excused elsewhere", "", "// any order: no\nfunc f(m map[int]int) { for range m { \n} }", "pure: range over a map"},
		{"map, named", "", "type set map[int]bool\nfunc f(m *struct{ s []set }) { for range m.s[0] {} }", "pure: range over a map"},
		{"map, returned", "", "func g() (m map[int]int) { return }\nfunc f() { x := g(); for range x {} }", "pure: range over a map"},
		{"map, generic", "", "func f[M ~map[K]V, K comparable, V any](m M) { for range m {} }", "pure: range over a map"},
		{"map, from the library", "", `import "maps"; func f(m map[int]int) { for range maps.Clone(m) {} }`, "pure: range over a map"},
		{"maps.Keys", "", `import "maps"; func f(m map[int]int) { for range maps.Keys(m) {} }`, "pure: maps.Keys"},
		{"maps.Keys sorted", "", `import ("maps"; "slices"); func f(m map[int]int) { for range slices.Sorted(maps.Keys(m)) {} }`, ""},
		{"slice", "", "func f(m []map[int]int) { for range m {} }", ""},
		{"unknown", "", "func f() { for range missing {} }", "pure: range over what"},
		{"map in the shell", "x.go", "func f(m map[int]int) { for range m {} }", ""},

		{"quorum to zab", "quorum/x.go", `import _ "` + module + `/zab"`, "against the arrows: quorum imports zab"},
		{"zab to datatree", "", `import _ "` + module + `/datatree"`, "against the arrows"},
		{"zab to root", "", `import _ "` + module + `"`, "against the arrows: zab imports ."},
		{"zab to quorum", "", `import _ "` + module + `/quorum"`, ""},
		{"election to zab", "election/x.go", `import _ "` + module + `/zab"`, ""},
		{"election to session", "election/x.go", `import _ "` + module + `/session"`, "against the arrows"},
		{"session to datatree", "session/x.go", `import _ "` + module + `/datatree"`, "against the arrows"},
		{"datatree to session", "datatree/x.go", `import _ "` + module + `/session"`, "against the arrows"},
		{"datatree to Zxid", "datatree/x.go", `import "` + module + `/zab"; var v zab.Zxid`, ""},
		{"datatree to Leader", "datatree/x.go", `import "` + module + `/zab"; var v zab.Leader`, "datatree uses zab.Leader"},
		{"core to wire", "internal/core/x.go", `import _ "` + module + `/internal/wire"`, "against the arrows"},
		{"link to zab", "internal/link/x.go", `import _ "` + module + `/zab"`, "against the arrows"},
		{"wire to core", "internal/wire/x.go", `import _ "` + module + `/internal/core"`, ""},
		{"wire to wal", "internal/wire/x.go", `import _ "` + module + `/internal/wal"`, "against the arrows"},
		{"wal to core", "internal/wal/x.go", `import _ "` + module + `/internal/core"`, "against the arrows"},
		{"snapshot to core", "snapshot/x.go", `import _ "` + module + `/internal/core"`, "against the arrows"},
		{"vfs to core", "internal/vfs/x.go", `import _ "` + module + `/internal/core"`, "against the arrows"},
		{"transport to zab", "transport/x.go", `import _ "` + module + `/zab"`, "against the arrows"},
		{"tcp to zab", "transport/tcp/x.go", `import _ "` + module + `/zab"`, "against the arrows"},
		{"tcp to transport", "transport/tcp/x.go", `import _ "` + module + `/transport"`, ""},
		{"example to core", "examples/a/x.go", `import _ "` + module + `/internal/core"`, "against the arrows"},
		{"example to root and zab", "examples/a/x.go", `import (_ "` + module + `"; _ "` + module + `/zab")`, ""},
		{"recipe to wal", "recipe/x.go", `import _ "` + module + `/internal/wal"`, "against the arrows"},
		{"ensembletest to sim", "ensembletest/x.go", `import _ "` + module + `/internal/sim"`, "against the arrows"},
		{"root to sim", "x.go", `import _ "` + module + `/internal/sim"`, "against the arrows"},
		{"root to script", "x.go", `import _ "` + module + `/internal/script"`, "against the arrows"},
		{"root to crashtest", "x.go", `import _ "` + module + `/internal/crashtest"`, "against the arrows"},
		{"root's test to crashtest", "x_test.go", `import _ "` + module + `/internal/crashtest"`, ""},
		{"command to script", "cmd/a/x.go", `import _ "` + module + `/internal/script"`, "against the arrows"},
		{"root to core", "x.go", `import _ "` + module + `/internal/core"`, ""},
		{"no row", "internal/util/x.go", "", "no row in the table"},

		{"package comment", "snapshot/x.go", "package snapshot", "no package comment"},
		{"package comment of a test", "snapshot/x_test.go", "package snapshot", ""},
		{"panic", "x.go", `func f() { panic("") }`, "library: panic"},
		{"panic in a test", "x_test.go", `func f() { panic("") }`, ""},
		{"panic in an example", "examples/a/x.go", `func f() { panic("") }`, ""},
		{"panic in ensembletest", "ensembletest/x.go", `func f() { panic("") }`, "library: panic"},
		{"println", "x.go", "func f() { println() }", "library: println"},
		{"os.Exit", "x.go", `import "os"; func f() { os.Exit(1) }`, "library: os.Exit"},
		{"log", "x.go", `import "log"; func f() { log.Print() }`, "library: log.Print"},
		{"fmt.Println", "x.go", `import "fmt"; func f() { fmt.Println() }`, "library: fmt.Println"},
		{"fmt.Sprint", "x.go", `import "fmt"; var v = fmt.Sprint()`, ""},
		{"fmt.Println in a command", "cmd/a/x.go", `import "fmt"; func f() { fmt.Println() }`, ""},
		{"a command below internal", "internal/gen/x.go", "// Command gen is.\npackage main\nimport \"os\"\nfunc main() { os.Exit(1) }", ""},
		{"slog's default", "x.go", `import "log/slog"; func f() { slog.InfoContext(nil, "") }`, "library: slog.InfoContext"},
		{"slog of the host", "x.go", `import "log/slog"; func f(l *slog.Logger) { l.Info("", slog.Int("a", 1)) }`, ""},
		{"context.Cause", "x.go", `import "context"; var v = context.Cause`, "library: context.Cause"},
		{"context.Cause of a watcher", "watches.go", `import "context"; var v = context.Cause`, ""},
		{"Sleep in a test", "zab/x_test.go", `import "time"; func f() { time.Sleep(1) }`, "sleep in a test"},
		{"Sleep for tests", "ensembletest/x.go", `import "time"; func f() { time.Sleep(1) }`, "sleep in a test"},
		{"func", "", "func F() {}", "no doc comment: F"},
		{"type", "", "type T int", "no doc comment: T"},
		{"method", "", "// T is.\ntype T int\nfunc (t *T) M() {}", "no doc comment: M"},
		{"method of a generic type", "", "// T is.\ntype T[K, V any] struct{}\nfunc (t *T[K, V]) M() {}", "no doc comment: M"},
		{"method with its comment", "", "// T is.\ntype T int\n// M does.\nfunc (T) M() {}", ""},
		{"method of what is not exported", "", "type t int\nfunc (t) M() {}\nfunc (t) m() {}", ""},
		{"method of an interface", "", "// I is.\ntype I interface { M() }", "no doc comment: M"},
		{"method of an interface, with its line", "", "// I is.\ntype I interface {\nM() // M does.\n}", ""},
		{"embedded interface", "", "// I is.\ntype I interface { error }", ""},
		{"var", "", "var a, V int", "no doc comment: V"},
		{"const", "", "const (\na = 1\nC = 2\n)", "no doc comment: C"},
		{"const group", "", "// Some.\nconst (\nA = 1\nC = 2\n)", ""},
		{"const with its line", "", "const (\nA = 1 // A is one.\n)", ""},
		{"only a directive", "", "//go:noinline\nfunc F() {}", "no doc comment: F"},
		{"func in a test", "zab/x_test.go", "func F() {}", ""},

		{"bench", "bench/x.go", "func F() { panic(1) }", ""},
		{"testdata", "zab/testdata/x.go", "func F() { panic(1) }", ""},
		{"another module", "tools/x.go", "func F() { panic(1) }", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo := fstest.MapFS{
				"zab/zxid.go":   {Data: []byte(zab + "// Zxid is.\ntype Zxid uint64\n")},
				"zab/leader.go": {Data: []byte("package zab\n// Leader is.\ntype Leader int\n")},
				"tools/go.mod":  {Data: []byte("module example.com/tools\n")},
			}
			name, text := cmp.Or(c.file, "zab/x.go"), c.text
			if !strings.Contains(text, "package ") {
				pkg := path.Base(path.Dir(name))
				if pkg == "." {
					pkg = "ensemble"
				}
				text = "// Package " + pkg + " is.\npackage " + pkg + "\n" + text
			}
			repo[name] = &fstest.MapFile{Data: []byte(text)}
			faults, err := check(repo)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(faults) > 0:
				t.Errorf("faults where there are none: %q", faults)
			case c.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.want)):
				t.Errorf("faults %q, want one with %q", faults, c.want)
			}
		})
	}
}
