// Apidump prints the exported surface of the public packages of this module, one declaration a line, sorted.
//
//	go run ./internal/apidump > api.txt
//
// The file api.txt at the root is that output for the present state; a change of the surface changes the file.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	if err := run(os.Stdout, patterns); err != nil {
		fmt.Fprintln(os.Stderr, "apidump:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, patterns []string) error {
	paths, imp, err := load(patterns)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("no public package matches %s", strings.Join(patterns, " "))
	}
	var lines []string
	for _, path := range paths {
		pkg, err := imp.Import(path)
		if err != nil {
			return err
		}
		lines = append(lines, surface(pkg)...)
	}
	slices.Sort(lines)
	_, err = io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// load returns the public packages among those that match, and an importer of their compiled form.
func load(patterns []string) ([]string, types.Importer, error) {
	const format = "{{.ImportPath}}\t{{.Export}}\t{{if not .DepOnly}}{{.Name}}{{end}}"
	args := append([]string{"list", "-export", "-deps", "-f", format, "--"}, patterns...)
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	export := map[string]string{}
	var paths []string
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return nil, nil, fmt.Errorf("go list printed %q", line)
		}
		export[f[0]] = f[1]
		if name := f[2]; name != "" && name != "main" && f[1] != "" && !internal(f[0]) {
			paths = append(paths, f[0])
		}
	}
	lookup := func(path string) (io.ReadCloser, error) {
		file, ok := export[path]
		if !ok {
			return nil, fmt.Errorf("go list named no compiled form of %s", path)
		}
		return os.Open(file)
	}
	return paths, importer.ForCompiler(token.NewFileSet(), "gc", lookup), nil
}

// internal reports whether only this module can import the package.
func internal(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "internal")
}
