package aedb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exported returns the exported names of a package, methods as Type.Method.
func exported(t *testing.T, dir string) map[string]bool {
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				owner := ""
				if d.Recv != nil {
					typ := d.Recv.List[0].Type
					if p, ok := typ.(*ast.StarExpr); ok {
						typ = p.X
					}
					if id, ok := typ.(*ast.Ident); ok {
						owner = id.Name + "."
					}
				}
				names[owner+d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, id := range s.Names {
							names[id.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// TestTheMapOfNamesNamesWhatExists keeps the right column of docs/api-map.md in
// step with the code.
func TestTheMapOfNamesNamesWhatExists(t *testing.T) {
	page, err := os.ReadFile("docs/api-map.md")
	require.NoError(t, err)
	ours, queries := exported(t, "."), exported(t, "query")
	span, found := regexp.MustCompile("`([^`]+)`"), 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		require.Len(t, cells, 2, line)
		for _, m := range span.FindAllStringSubmatch(cells[1], -1) {
			found++
			switch name, ofQuery := strings.CutPrefix(m[1], "query."); {
			case ofQuery:
				require.True(t, queries[name], "query.%s", name)
			case strings.HasPrefix(name, "errors."): // the standard library's
			default:
				require.True(t, ours[name], name)
			}
		}
	}
	require.Greater(t, found, 80)
}
