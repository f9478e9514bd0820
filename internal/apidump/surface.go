package main

import (
	"fmt"
	"go/types"
	"strings"
)

// surface returns what pkg exports, a line for each constant, variable, function, type, field and method.
func surface(pkg *types.Package) []string {
	d := &dump{pkg: pkg}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		if obj := scope.Lookup(name); obj.Exported() {
			d.object(obj)
		}
	}
	return d.lines
}

type dump struct {
	pkg   *types.Package
	lines []string
}

func (d *dump) add(format string, args ...any) {
	d.lines = append(d.lines, d.pkg.Path()+": "+fmt.Sprintf(format, args...))
}

// name qualifies what other packages declare, by their name.
func (d *dump) name(p *types.Package) string {
	if p == d.pkg {
		return ""
	}
	return p.Name()
}

func (d *dump) str(t types.Type) string { return types.TypeString(t, d.name) }

// signature is that of a function without the word func.
func (d *dump) signature(f types.Object) string { return strings.TrimPrefix(d.str(f.Type()), "func") }

func (d *dump) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		d.add("const %s %s = %s", obj.Name(), d.str(obj.Type()), obj.Val().ExactString())
	case *types.Var:
		d.add("var %s %s", obj.Name(), d.str(obj.Type()))
	case *types.Func:
		d.add("func %s%s", obj.Name(), d.signature(obj))
	case *types.TypeName:
		d.typeName(obj)
	}
}

func (d *dump) typeName(obj *types.TypeName) {
	if !obj.IsAlias() {
		d.members(obj.Name(), obj.Type(), "")
		return
	}
	t := types.Unalias(obj.Type())
	named, ok := t.(*types.Named)
	if ok && named.Obj().Pkg() != nil && (internal(named.Obj().Pkg().Path()) || !named.Obj().Exported()) {
		// Nobody else shows what this name stands for.
		d.members(obj.Name(), t, "= ")
		return
	}
	d.add("type %s = %s", obj.Name(), d.str(t))
}

// members prints the type t under the given name, with its exported fields and methods, promoted ones included.
func (d *dump) members(name string, t types.Type, sign string) {
	var params string
	if named, ok := t.(*types.Named); ok {
		params = d.typeParams(named)
	}
	switch u := t.Underlying().(type) {
	case *types.Struct:
		d.add("type %s%s %sstruct", name, params, sign)
		for f := range u.Fields() {
			switch {
			case !f.Exported():
			case f.Embedded():
				d.add("type %s embeds %s", name, d.str(f.Type()))
			default:
				d.add("type %s field %s %s", name, f.Name(), d.str(f.Type()))
			}
		}
	case *types.Interface:
		if !u.IsMethodSet() { // a constraint: a union, or comparable
			d.add("type %s%s %s%s", name, params, sign, d.str(u))
			return
		}
		sealed := ""
		for m := range u.Methods() {
			if m.Exported() {
				d.add("type %s method %s%s", name, m.Name(), d.signature(m))
			} else {
				sealed = ", sealed"
			}
		}
		d.add("type %s%s %sinterface%s", name, params, sign, sealed)
		return
	default:
		d.add("type %s%s %s%s", name, params, sign, d.str(u))
	}

	value := types.NewMethodSet(t)
	for sel := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		m := sel.Obj()
		if !m.Exported() {
			continue
		}
		recv := "*" + name
		if value.Lookup(m.Pkg(), m.Name()) != nil {
			recv = name
		}
		d.add("method (%s) %s%s", recv, m.Name(), strings.TrimPrefix(d.str(sel.Type()), "func"))
	}
}

func (d *dump) typeParams(t *types.Named) string {
	var list []string
	for p := range t.TypeParams().TypeParams() {
		list = append(list, p.Obj().Name()+" "+d.str(p.Constraint()))
	}
	if list == nil {
		return ""
	}
	return "[" + strings.Join(list, ", ") + "]"
}
