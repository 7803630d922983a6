package import_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// sheet is one file of the data set, what is to be made of it, and what is in it.
type sheet struct {
	table    string
	key      []string
	unique   []string // columns of one unique index each
	index    []string // columns of one index each
	integers []string // columns of numbers; the others are text

	path    string
	columns []string
	rows    []aedb.Row
	byKey   map[string]int // position in rows
}

// catalogue returns the two sheets, read without the code under test.
func catalogue(t *testing.T, whole bool) []*sheet {
	t.Helper()
	dir := filepath.Join("..", "..", "cmd", "aedb", "demo", "data")
	if whole {
		found := os.Getenv("AEDB_DATA")
		if found == "" {
			found = filepath.Join("..", "..", "..", "shared", "data")
		}
		if _, err := os.Stat(filepath.Join(found, "packages.tsv.gz")); err == nil {
			dir = found
		} else {
			t.Logf("the whole data is not in %s: taking the cut", found)
		}
	}
	sheets := []*sheet{{
		table: "packages", key: []string{"id"}, unique: []string{"name"}, index: []string{"section", "source"},
		integers: []string{"id", "installed_kib", "download_bytes"},
	}, {
		table: "dependencies", key: []string{"package_id", "kind", "ordinal"}, index: []string{"depends_on"},
		integers: []string{"package_id", "ordinal", "alternative"},
	}}
	for _, s := range sheets {
		s.path = filepath.Join(dir, s.table+".tsv.gz")
		s.load(t)
	}
	return sheets
}

func (s *sheet) load(t *testing.T) {
	t.Helper()
	file, err := os.Open(s.path)
	require.NoError(t, err)
	defer file.Close()
	text, err := gzip.NewReader(file)
	require.NoError(t, err)
	lines := csv.NewReader(text)
	lines.Comma = '\t'
	records, err := lines.ReadAll()
	require.NoError(t, err)
	s.columns, records = records[0], records[1:]
	s.byKey = make(map[string]int, len(records))
	for i, record := range records {
		row := make(aedb.Row, len(record))
		for c, field := range record {
			row[c] = aedb.Text(field)
			if slices.Contains(s.integers, s.columns[c]) {
				var n int64
				_, err := fmt.Sscan(field, &n)
				require.NoError(t, err)
				row[c] = aedb.Int(n)
			}
		}
		s.rows = append(s.rows, row)
		s.byKey[s.keyOf(row)] = i
	}
	require.Len(t, s.byKey, len(records), "the primary key is unique in the file")
}

// position returns the place of a column.
func (s *sheet) position(column string) int { return slices.Index(s.columns, column) }

// keyOf returns the primary key of a whole row as one string.
func (s *sheet) keyOf(row aedb.Row) string {
	parts := make([]string, len(s.key))
	for i, column := range s.key {
		parts[i] = row[s.position(column)].String()
	}
	return strings.Join(parts, "\t")
}

// arguments are the command line that imports the sheet.
func (s *sheet) arguments(dir string, more ...string) []string {
	args := []string{"import", s.path, "--data-dir", dir, "--table", s.table, "--create", "--primary-key", strings.Join(s.key, ",")}
	for _, column := range s.unique {
		args = append(args, "--unique", column)
	}
	for _, column := range s.index {
		args = append(args, "--index", column)
	}
	return append(args, more...)
}

// verify proves that every row in the table is one of the file, equal in every
// field, and that each index has the same rows in its order. It returns which rows
// of the file are there.
func (s *sheet) verify(t *testing.T, app *aedb.Scope) (present []bool) {
	t.Helper()
	ctx := context.Background()
	info, err := app.Describe(s.table)
	require.NoError(t, err)
	for i, c := range info.Columns {
		want := aedb.TypeText
		if slices.Contains(s.integers, c.Name) {
			want = aedb.TypeInteger
		}
		require.Equal(t, aedb.Column(s.columns[i], want), c)
	}
	present = s.scan(t, app, query.Select().From(s.table))
	count := 0
	for _, there := range present {
		if there {
			count++
		}
	}
	require.Equal(t, count, info.Rows)
	require.Len(t, info.Indexes, len(s.unique)+len(s.index))
	for _, x := range info.Indexes {
		require.Equal(t, count, x.Entries)
		require.Equal(t, slices.Contains(s.unique, x.Columns[0]), x.Unique)
		through := query.Select().From(s.table).UseIndex(x.Name).OrderBy(x.Columns[0], query.Asc)
		require.Equal(t, present, s.scan(t, app, through), "rows through index %s", x.Name)
		s.probe(t, ctx, app, x.Columns[0], present)
	}
	return present
}

// scan reads rows by a query and returns which of the file they are. Each must
// equal that of the file and come once, in the order asked for.
func (s *sheet) scan(t *testing.T, app *aedb.Scope, q query.Query) []bool {
	t.Helper()
	seen := make([]bool, len(s.rows))
	sorted := -1
	if len(q.Order) > 0 {
		sorted = s.position(q.Order[0].Column)
	}
	last := ""
	for row, err := range app.Rows(context.Background(), q, aedb.AllowFullScan()) {
		require.NoError(t, err)
		at, known := s.byKey[s.keyOf(row)]
		if !known || !slices.Equal(s.rows[at], row) {
			t.Fatalf("the file has no such row: %v", row)
		}
		if seen[at] {
			t.Fatalf("row %d comes twice", at+1)
		}
		seen[at] = true
		if sorted >= 0 {
			if value := row[sorted].String(); value < last {
				t.Fatalf("%q comes after %q in the order of %s", value, last, s.columns[sorted])
			} else {
				last = value
			}
		}
	}
	return seen
}

// probe looks some values of an indexed column up, present or not, and counts.
func (s *sheet) probe(t *testing.T, ctx context.Context, app *aedb.Scope, column string, present []bool) {
	t.Helper()
	at := s.position(column)
	wanted := map[string]int{}
	for range 50 {
		wanted[s.rows[rand.IntN(len(s.rows))][at].String()] = 0
	}
	for i, row := range s.rows {
		if _, ok := wanted[row[at].String()]; ok && present[i] {
			wanted[row[at].String()]++
		}
	}
	for value, count := range wanted {
		found := 0
		for _, err := range app.Rows(ctx, query.Select(s.key...).From(s.table).Where(query.Eq(column, value))) {
			require.NoError(t, err)
			found++
		}
		require.Equal(t, count, found, "%s = %q", column, value)
	}
}
