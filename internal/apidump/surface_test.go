package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

const source = `package p

const Limit = 1 << 4
const hidden = 1

type Kind uint8

const First Kind = 0

var ErrGone error

func (Kind) String() string { return "" }
func Open(name string, opts ...func(*Config)) (*Node, error) { return nil, nil }

type Config struct {
	Name  string
	inner int
	_     struct{}
}

type Node struct{ client }
type client struct{ n int }

func (c *client) Get(path string) ([]byte, error) { return nil, nil }
func (c client) Len() int                         { return c.n }
func (c *client) hidden()                         {}
func (n *Node) Close() error                      { return nil }

type Op interface{ op() }
type Reader interface{ Read(p []byte) (n int, err error) }
type Number interface{ ~int | ~uint }
type Value[T any] struct{ v T }

func (v *Value[T]) Load() T { return v.v }
func Map[K comparable, V Number](m map[K]V) {}

type Inner struct{ Config }
type Other = Config
type Lent = client
`

const want = `
p: const First Kind = 0
p: const Limit untyped int = 16
p: func Map[K comparable, V Number](m map[K]V)
p: func Open(name string, opts ...func(*Config)) (*Node, error)
p: method (*Lent) Get(path string) ([]byte, error)
p: method (*Node) Close() error
p: method (*Node) Get(path string) ([]byte, error)
p: method (*Value) Load() T
p: method (Kind) String() string
p: method (Lent) Len() int
p: method (Node) Len() int
p: type Config field Name string
p: type Config struct
p: type Inner embeds Config
p: type Inner struct
p: type Kind uint8
p: type Lent = struct
p: type Node struct
p: type Number interface{~int | ~uint}
p: type Op interface, sealed
p: type Other = Config
p: type Reader interface
p: type Reader method Read(p []byte) (n int, err error)
p: type Value[T any] struct
p: var ErrGone error
`

func TestSurface(t *testing.T) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := new(types.Config).Check("p", fset, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := surface(pkg)
	slices.Sort(got)
	if g, w := strings.Join(got, "\n"), strings.TrimSpace(want); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// The whole way: go list, compiled packages, output.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, []string{"github.com/ensemble-go/ensemble/quorum"}); err != nil {
		t.Fatal(err)
	}
	const line = "github.com/ensemble-go/ensemble/quorum: type ID uint64\n"
	if !strings.Contains(out.String(), line) {
		t.Errorf("no line %q in\n%s", line, out.String())
	}
	if err := run(&out, []string{"github.com/ensemble-go/ensemble/internal/apidump"}); err == nil {
		t.Error("no error for a pattern that matches no public package")
	}
}
