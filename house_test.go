package ensemble_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The house rules, checked over the syntax trees of the whole repository except testdata and modules of their own (bench).
// The table of packages says exactly what the picture in ARCHITECTURE.md shows; a package without a row here is itself a fault.
//
// To add a rule, add it to check and a snippet that breaks it to TestHouseRulesCanFail.

const module = "github.com/ensemble-go/ensemble"

// arrows says which packages of this module each package may import. "." is the root; a row ending in "/..." is for
// everything below it; "public" stands for every package that is neither internal, an example nor a command, and "any" for every
// package but those that only tests import.
var arrows = []struct{ pkg, may string }{
	{"quorum", ""},
	{"internal/mutant", ""}, // a constant in a normal build
	{"internal/msgpack", ""},
	{"internal/byid", ""},
	{"zab", "internal/mutant quorum"},
	{"election", "internal/mutant zab quorum"},
	{"session", "internal/byid internal/mutant zab quorum"},
	{"datatree", "internal/msgpack internal/mutant zab quorum"},
	{"internal/core", "internal/byid internal/mutant election session datatree zab quorum"},
	{"internal/link", "internal/mutant quorum"},
	{"internal/wire", "internal/msgpack zab election internal/core quorum internal/link"},
	{"internal/script", ""},
	{"internal/crashtest", "internal/mutant internal/vfs"},
	{"internal/vfs", ""},
	{"internal/wal", "internal/mutant internal/vfs zab quorum"},
	{"snapshot", "internal/mutant internal/vfs zab quorum"},
	{"internal/durable", "internal/core internal/mutant internal/vfs internal/wal quorum snapshot zab"},
	{"internal/golden", "datatree zab"},
	{"internal/sim", "any"},
	{"transport", "quorum"},
	{"transport/...", "transport quorum"},
	{"recipe/...", "public"},
	{"recipe", "public"},
	{"internal/disk", "internal/vfs"},
	{"internal/ext4", ""},                                      // imported by tests only
	{"ensembletest", ". transport internal/disk internal/vfs"}, // the public API, and a disk for each member
	{"examples/...", "public"},
	{"cmd/...", "any"},
	{".", "any"},
}

// onlyTests are imported by tests alone: they bring the flags of package testing into whatever links them.
var onlyTests = strings.Fields("internal/sim internal/script internal/crashtest internal/golden")

var pure = strings.Fields("quorum zab election datatree session internal/core internal/link internal/msgpack internal/byid")

// notPure are the packages of the standard library that bring in time, chance, I/O or concurrency. A name ending in / is
// for everything below it.
var notPure = strings.Fields(`
	sync sync/ os os/ io/ioutil net net/ syscall syscall/ context runtime runtime/ weak
	log log/ crypto/rand hash/maphash plugin testing testing/ database/`)

// alsoPure are exceptions to notPure: readers of the tree meet its one writer without a lock, and net/netip does nothing but parse addresses.
var alsoPure = map[string][]string{"datatree": {"sync/atomic", "runtime", "weak", "net/netip"}}

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

// Every package that a host may import shows how, with an example that is run.
func TestHouseExamples(t *testing.T) {
	h := &house{fset: token.NewFileSet(), fsys: os.DirFS("."), dirs: map[string]*dir{}}
	if err := h.load(); err != nil {
		t.Fatal(err)
	}
	for name, d := range h.dirs {
		var tests []*ast.File
		for _, f := range d.files {
			if f.test {
				tests = append(tests, f.File)
			}
		}
		if isPublic(name) && !slices.ContainsFunc(doc.Examples(tests...), func(e *doc.Example) bool { return e.Output != "" || e.EmptyOutput }) {
			t.Errorf("no example that is run: %s", name)
		}
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
				ok = !slices.Contains(onlyTests, name)
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
			if p == "context" && name == "Cause" && !program && f.name != "watches.go" {
				h.fault(n, "library: context.Cause where ctx.Err is promised")
			}
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
			if decl.Recv == nil || ast.IsExported(receiver(decl)) {
				undocumented(decl.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					undocumented(spec.Name, decl.Doc, spec.Doc, spec.Comment)
					if i, ok := spec.Type.(*ast.InterfaceType); ok && spec.Name.IsExported() {
						for _, m := range i.Methods.List {
							for _, name := range m.Names { // none: it is embedded
								undocumented(name, m.Doc, m.Comment)
							}
						}
					}
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						undocumented(name, decl.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
}

// receiver returns the name of the type whose method it is.
func receiver(m *ast.FuncDecl) string {
	t := m.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
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
