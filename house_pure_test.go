package ensemble_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

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
