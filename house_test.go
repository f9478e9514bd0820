package ensemble_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// The house rules, checked over the syntax trees of the whole repository except testdata and modules of their own (bench).
// The table of packages is the one in the design document; a package without a row here is itself a fault.
//
// To add a rule, add it to check and a snippet that breaks it to TestHouseRulesCanFail.

const module = "github.com/ensemble-go/ensemble"

// arrows says which packages of this module each package may import. "." is the root; a row ending in "/..." is for
// everything below it; "public" stands for every package that is neither internal, an example nor a command, and "any" for every
// package but internal/sim.
var arrows = []struct{ pkg, may string }{
	{"quorum", ""},
	{"internal/mutant", ""}, // a constant in a normal build
	{"zab", "internal/mutant quorum"},
	{"election", "internal/mutant zab quorum"},
	{"session", "internal/mutant zab quorum"},
	{"datatree", "internal/mutant zab quorum"},
	{"internal/core", "internal/mutant election session datatree zab quorum"},
	{"internal/link", "internal/mutant quorum"},
	{"internal/wire", "zab election internal/core quorum internal/link"},
	{"internal/script", ""}, // imported by tests only
	{"internal/vfs", ""},
	{"internal/wal", "internal/mutant internal/vfs zab quorum"},
	{"snapshot", "internal/mutant internal/vfs zab quorum"},
	{"internal/durable", "internal/core internal/mutant internal/wal snapshot zab"},
	{"internal/sim", "any"},
	{"transport", "quorum"},
	{"transport/...", "transport quorum"},
	{"recipe/...", "public"},
	{"recipe", "public"},
	{"internal/disk", "internal/vfs"},
	{"ensembletest", ". transport internal/disk internal/vfs"}, // the public API, and a disk for each member
	{"examples/...", "public"},
	{"cmd/...", "any"},
	{".", "any"},
}

var pure = strings.Fields("quorum zab election datatree session internal/core internal/link")

// notPure are the packages of the standard library that bring in time, chance, I/O or concurrency. A name ending in / is
// for everything below it.
var notPure = strings.Fields(`
	sync sync/ os os/ io/ioutil net net/ syscall syscall/ context runtime runtime/ weak
	log log/ crypto/rand hash/maphash plugin testing testing/ database/`)

// alsoPure are exceptions to notPure: readers of the tree meet its one writer without a lock.
var alsoPure = map[string][]string{"datatree": {"sync/atomic", "runtime", "weak"}}

// timeless are the names of package time that read no clock and start no timer.
var timeless = strings.Fields(`
	Duration Nanosecond Microsecond Millisecond Second Minute Hour ParseDuration
	Time Unix UnixMilli UnixMicro RFC3339 RFC3339Nano UTC`)

// seeded are the names of math/rand and math/rand/v2 that do not touch the global source.
var seeded = strings.Fields("New NewPCG NewChaCha8 NewSource NewZipf Rand Source Source64 PCG ChaCha8 Zipf")

func TestHouseRules(t *testing.T) {
	faults, err := check(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// house is what check knows while it works.
type house struct {
	fset   *token.FileSet
	fsys   fs.FS
	dirs   map[string]*dir
	faults []string
}

// dir is a directory with Go files.
type dir struct {
	name  string // relative to the root, "." for the root
	files []*file
	types *types.Package // once imported
	info  types.Info
	busy  bool // being imported
}

type file struct {
	*ast.File
	name string
	test bool
	// imports maps the local name of each import to its path.
	imports map[string]string
}

func check(fsys fs.FS) ([]string, error) {
	h := &house{fset: token.NewFileSet(), fsys: fsys, dirs: map[string]*dir{}}
	if err := h.load(); err != nil {
		return nil, err
	}
	for _, d := range h.dirs { // any order: the faults are sorted
		h.checkArrows(d)
		h.checkPackageComment(d)
		if slices.Contains(pure, d.name) {
			h.checkPure(d)
		}
		for _, f := range d.files {
			h.checkFile(d, f)
		}
	}
	slices.Sort(h.faults)
	return slices.Compact(h.faults), nil
}

func (h *house) load() error {
	return fs.WalkDir(h.fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if name != "." && (base[0] == '.' || base[0] == '_') {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			if name == "." {
				return nil
			}
			if _, err := fs.Stat(h.fsys, name+"/go.mod"); err == nil || name == "bench" || base == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(h.fsys, name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(h.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := &file{File: tree, name: name, test: strings.HasSuffix(name, "_test.go"), imports: map[string]string{}}
		for _, spec := range tree.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			local := path.Base(p)
			if local == "v2" {
				local = path.Base(path.Dir(p))
			}
			if p == module {
				local = "ensemble"
			}
			if spec.Name != nil {
				local = spec.Name.Name
			}
			f.imports[local] = p
			if local == "." {
				h.fault(spec, "dot import: %s", p)
			}
		}
		d := h.dirs[path.Dir(name)]
		if d == nil {
			d = &dir{name: path.Dir(name)}
			h.dirs[d.name] = d
		}
		d.files = append(d.files, f)
		return nil
	})
}

func (h *house) fault(at ast.Node, format string, args ...any) {
	p := h.fset.Position(at.Pos())
	h.faults = append(h.faults, fmt.Sprintf("%s:%d: ", p.Filename, p.Line)+fmt.Sprintf(format, args...))
}

// ours returns the directory of a package of this module.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func below(name, root string) bool { return name == root || strings.HasPrefix(name, root+"/") }

func isPublic(name string) bool {
	return !slices.Contains(strings.Split(name, "/"), "internal") && !below(name, "examples") && !below(name, "cmd")
}

func (h *house) checkArrows(d *dir) {
	row := slices.IndexFunc(arrows, func(a struct{ pkg, may string }) bool {
		root, all := strings.CutSuffix(a.pkg, "/...")
		return a.pkg == d.name || all && strings.HasPrefix(d.name, root+"/")
	})
	for _, f := range d.files {
		if row < 0 && f.isMain() {
			continue // a command, which nothing can import
		}
		if f.test {
			continue // the compiler forbids cycles; beyond that a test may look where it likes
		}
		if row < 0 {
			h.fault(f.Name, "no row in the table of packages: %s", d.name)
			continue
		}
		for _, spec := range f.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			name, isOurs := ours(p)
			if !isOurs {
				continue
			}
			may := arrows[row].may
			ok := slices.Contains(strings.Fields(may), name)
			switch may {
			case "public":
				ok = isPublic(name)
			case "any":
				ok = name != "internal/sim"
			}
			if !ok {
				h.fault(spec, "against the arrows: %s imports %s", d.name, name)
			}
		}
	}
}

func (h *house) checkPackageComment(d *dir) {
	var first *file
	for _, f := range d.files {
		if f.test {
			continue
		}
		if f.Doc != nil {
			return
		}
		if first == nil {
			first = f
		}
	}
	if first != nil {
		h.fault(first.Name, "no package comment: %s", d.name)
	}
}

// checkFile applies the rules that hold everywhere.
func (h *house) checkFile(d *dir, f *file) {
	// A package of tests, like ensembletest, sleeps no more than tests do.
	forTests := f.test || strings.HasSuffix(path.Base(d.name), "test")
	// The simulator is imported by nothing but its own tests, and ends a run that broke an invariant by a panic that it recovers.
	program := f.test || f.isMain() || below(d.name, "examples") || below(d.name, "cmd") || d.name == "internal/sim"
	ast.Inspect(f.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && !program && slices.Contains([]string{"panic", "print", "println"}, id.Name) {
				h.fault(n, "library: %s", id.Name)
			}
		case *ast.SelectorExpr:
			p, name := f.selects(n)
			if p == "time" && name == "Sleep" && forTests {
				h.fault(n, "sleep in a test")
			}
			exits := p == "os" && name == "Exit"
			prints := p == "fmt" && strings.HasPrefix(name, "Print")
			slogs := p == "log/slog" && slices.ContainsFunc([]string{"Debug", "Info", "Warn", "Error", "Log", "Default", "SetDefault"},
				func(s string) bool { return name == s || name == s+"Context" || name == s+"Attrs" })
			if !program && (exits || prints || slogs || p == "log") {
				h.fault(n, "library: %s.%s", path.Base(p), name)
			}
		}
		return true
	})
	if f.test {
		return
	}
	undocumented := func(at *ast.Ident, docs ...*ast.CommentGroup) {
		if at.IsExported() && !slices.ContainsFunc(docs, func(g *ast.CommentGroup) bool { return g.Text() != "" }) {
			h.fault(at, "no doc comment: %s", at.Name)
		}
	}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				undocumented(decl.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					undocumented(spec.Name, decl.Doc, spec.Doc, spec.Comment)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						undocumented(name, decl.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
}

func (f *file) isMain() bool { return f.File.Name.Name == "main" }

// selects returns the import path and name if n is a name of another package. A local variable that shadows an import
// is taken for the import: rename it.
func (f *file) selects(n *ast.SelectorExpr) (importPath, name string) {
	if id, ok := n.X.(*ast.Ident); ok {
		return f.imports[id.Name], n.Sel.Name
	}
	return "", ""
}

// checkPure applies the rules of the pure packages.
func (h *house) checkPure(d *dir) {
	h.typeCheck(d)
	zxidNames := h.zxidNames()
	for _, f := range d.files {
		if f.test {
			continue
		}
		for _, spec := range f.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(p, "/")
			if _, isOurs := ours(p); !isOurs && strings.Contains(first, ".") {
				h.fault(spec, "pure: import of a foreign module: %s", p)
			}
			banned := slices.ContainsFunc(notPure, func(b string) bool { return p == b || b[len(b)-1] == '/' && strings.HasPrefix(p, b) })
			if banned && !slices.Contains(alsoPure[d.name], p) {
				h.fault(spec, "pure: import of %s", p)
			}
		}
		sorted := map[ast.Node]bool{} // calls whose result is sorted at once
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				h.fault(n, "pure: go statement")
			case *ast.SelectStmt:
				h.fault(n, "pure: select")
			case *ast.SelectorExpr:
				switch p, name := f.selects(n); {
				case p == "time" && !slices.Contains(timeless, name):
					h.fault(n, "pure: time.%s", name)
				case (p == "math/rand" || p == "math/rand/v2") && !slices.Contains(seeded, name):
					h.fault(n, "pure: rand.%s uses the global source", name)
				case p == module+"/zab" && d.name == "datatree" && !slices.Contains(zxidNames, name):
					h.fault(n, "against the arrows: datatree uses zab.%s, and may use the names of zab/zxid.go", name)
				}
			case *ast.CallExpr:
				s, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					break
				}
				switch p, name := f.selects(s); {
				case p == "slices" && name == "Sorted" && len(n.Args) == 1:
					sorted[n.Args[0]] = true
				case p == "maps" && slices.Contains([]string{"All", "Keys", "Values"}, name) && !sorted[n] && !h.excused(f, n):
					h.fault(n, "pure: maps.%s in no order", name)
				}
			case *ast.RangeStmt:
				tv, known := d.info.Types[n.X]
				switch {
				case !known || tv.Type == nil || tv.Type == types.Typ[types.Invalid]:
					h.fault(n, "pure: range over what the type checker does not understand")
				case mayBeMap(tv.Type) && !h.excused(f, n):
					h.fault(n, "pure: range over a map")
				}
			}
			return true
		})
	}
}

// excused reports whether the line of n says that order does not matter, and why.
func (h *house) excused(f *file, n ast.Node) bool {
	line := h.fset.Position(n.Pos()).Line
	for _, g := range f.Comments {
		for _, c := range g.List {
			why, ok := strings.CutPrefix(c.Text, "// any order:")
			if ok && strings.TrimSpace(why) != "" && h.fset.Position(c.Pos()).Line == line {
				return true
			}
		}
	}
	return false
}

// mayBeMap reports whether t is a map, or a type parameter or constraint that a map satisfies by its terms.
func mayBeMap(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for i := range u.NumEmbeddeds() {
			if mayBeMap(u.EmbeddedType(i)) {
				return true
			}
		}
	case *types.Union:
		for i := range u.Len() {
			if mayBeMap(u.Term(i).Type()) {
				return true
			}
		}
	}
	return false
}

func (h *house) zxidNames() []string {
	var names []string
	d := h.dirs["zab"]
	if d == nil {
		return nil
	}
	for _, f := range d.files {
		if path.Base(f.name) != "zxid.go" {
			continue
		}
		for _, decl := range f.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil {
					names = append(names, decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names = append(names, spec.Name.Name)
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							names = append(names, n.Name)
						}
					}
				}
			}
		}
	}
	return names
}

// The standard library is read from its source, once for all checks.
var std = struct {
	sync.Mutex
	types.Importer
}{Importer: importer.ForCompiler(token.NewFileSet(), "source", nil)}

// Import implements types.Importer for the type checker.
func (h *house) Import(p string) (*types.Package, error) {
	name, isOurs := ours(p)
	if !isOurs {
		std.Lock()
		defer std.Unlock()
		return std.Import(p)
	}
	d := h.dirs[name]
	if d == nil {
		return nil, fmt.Errorf("no package %s", p)
	}
	if d.busy {
		return nil, fmt.Errorf("import cycle at %s", p)
	}
	h.typeCheck(d)
	return d.types, nil
}

// typeCheck fills d.info as far as it can. Errors are the compiler's to report; what they leave unknown, checkPure reports.
func (h *house) typeCheck(d *dir) {
	if d.types != nil {
		return
	}
	d.busy = true
	defer func() { d.busy = false }()
	d.info.Types = map[ast.Expr]types.TypeAndValue{}
	var files []*ast.File
	for _, f := range d.files {
		if !f.test {
			files = append(files, f.File)
		}
	}
	slices.SortFunc(files, func(a, b *ast.File) int { return cmp.Compare(a.Pos(), b.Pos()) })
	conf := types.Config{Importer: h, Error: func(error) {}}
	d.types, _ = conf.Check(path.Join(module, d.name), h.fset, files, &d.info)
}

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
		{"Sleep in a test", "zab/x_test.go", `import "time"; func f() { time.Sleep(1) }`, "sleep in a test"},
		{"Sleep for tests", "ensembletest/x.go", `import "time"; func f() { time.Sleep(1) }`, "sleep in a test"},
		{"func", "", "func F() {}", "no doc comment: F"},
		{"type", "", "type T int", "no doc comment: T"},
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
