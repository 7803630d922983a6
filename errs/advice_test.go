package errs_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
)

// declared returns the values of all constants of a type, or the codes of all
// sentinels, in a file of the package.
func declared(t *testing.T, file string, visit func(name string, spec *ast.ValueSpec)) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && (g.Tok == token.CONST || g.Tok == token.VAR) {
			for _, s := range g.Specs {
				spec := s.(*ast.ValueSpec)
				visit(spec.Names[0].Name, spec)
			}
		}
	}
}

// codes returns every code by the name of its constant.
func codes(t *testing.T) map[string]errs.Code {
	t.Helper()
	out := map[string]errs.Code{}
	declared(t, "code.go", func(name string, spec *ast.ValueSpec) {
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			out[name] = errs.Code(text)
		}
	})
	require.Greater(t, len(out), 40)
	return out
}

func TestEveryCodeHasASentinelHereAndAtTheFrontDoor(t *testing.T) {
	sentinels, front := map[string]bool{}, map[string]bool{}
	declared(t, "sentinel.go", func(name string, spec *ast.ValueSpec) {
		field := spec.Values[0].(*ast.UnaryExpr).X.(*ast.CompositeLit).Elts[0].(*ast.KeyValueExpr)
		sentinels["Code"+strings.TrimPrefix(name, "Err")] = true
		require.Equal(t, "Code"+strings.TrimPrefix(name, "Err"), field.Value.(*ast.Ident).Name)
	})
	declared(t, "../errors.go", func(name string, _ *ast.ValueSpec) { front["Code"+strings.TrimPrefix(name, "Err")] = true })
	for name := range codes(t) {
		require.True(t, sentinels[name], name)
		require.True(t, front[name], name)
	}
}

// TestEveryCodeIsInTheTableWithItsClassAndAdvice keeps docs/errors.md in step.
func TestEveryCodeIsInTheTableWithItsClassAndAdvice(t *testing.T) {
	page, err := os.ReadFile("../docs/errors.md")
	require.NoError(t, err)
	rows := map[errs.Code][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| ([a-z_]+) \\| (.+) \\|$").FindAllStringSubmatch(string(page), -1) {
		rows[errs.Code(m[1])] = m[2:]
	}
	for name, code := range codes(t) {
		row, ok := rows[code]
		require.True(t, ok, "%s, %q, has no row", name, code)
		require.Equal(t, code.Class().String(), row[0], "class of %s", code)
		require.Equal(t, code.Advice().String(), row[1], "advice for %s", code)
		delete(rows, code)
	}
	require.Empty(t, rows, "rows without a code")
}

func TestAdviceTellsAnUnknownOutcomeFromNoEffect(t *testing.T) {
	for code, want := range map[errs.Code]errs.Advice{
		errs.CodeQueueFull: errs.RetrySame, errs.CodeTimeout: errs.RetrySame,
		errs.CodeOutcomeUnknown: errs.LookUp, errs.CodeIndeterminate: errs.LookUp,
		errs.CodeConflict: errs.Reread, errs.CodeAssertionFailed: errs.Reread, errs.CodeSnapshotExpired: errs.Reread,
		errs.CodeUnavailable: errs.Wait, errs.CodeUnderflow: errs.Fix, errs.CodeScanBoundExceeded: errs.Fix,
		errs.CodePermissionDenied: errs.Stop, errs.CodeIntegrity: errs.Stop,
	} {
		require.Equal(t, want, errs.AdviceOf(fmt.Errorf("outer: %w", errs.New(code, "x"))), code)
	}
	require.Equal(t, errs.Stop, errs.AdviceOf(errors.New("unforeseen")))
	full := errs.Exceeded("request bytes", "max_commit_queue_bytes", 2, 1)
	full.Code = errs.CodeQueueFull
	require.Equal(t, errs.Fix, errs.AdviceOf(full), "no room is ever enough for it")
	seen := map[string]bool{}
	for a := errs.Stop; a <= errs.Fix; a++ {
		require.False(t, seen[a.String()], "%s", a)
		seen[a.String()] = true
	}
}
