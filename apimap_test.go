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

// exported returns the exported names of a package, methods as Type.Method, also
// those that a type has from one it embeds.
func exported(t *testing.T, dir string) map[string]bool {
	names, embedded := map[string]bool{}, map[string]string{}
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
						if inner := embeds(s); inner != "" {
							embedded[s.Name.Name] = inner
						}
					case *ast.ValueSpec:
						for _, id := range s.Names {
							names[id.Name] = true
						}
					}
				}
			}
		}
	}
	for outer, inner := range embedded {
		for name := range names {
			if method, ok := strings.CutPrefix(name, inner+"."); ok {
				names[outer+"."+method] = true
			}
		}
	}
	return names
}

// embeds returns the type of the same package that a struct type embeds first, or "".
func embeds(s *ast.TypeSpec) string {
	if of, ok := s.Type.(*ast.StructType); ok && len(of.Fields.List) > 0 && of.Fields.List[0].Names == nil {
		if id, ok := of.Fields.List[0].Type.(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
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
