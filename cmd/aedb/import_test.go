package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/cmd/aedb/importer"
	"github.com/empyrealapp/aedb-go/query"
)

func TestImportReadsEveryFormatToTheSameRows(t *testing.T) {
	const csv = "id,word,score,ok\n" +
		"1,plain,1.5,true\n" +
		"2,\"tab\there, \"\"quotes\"\" and a\nline break\",-2,false\n" +
		"3,,1e3,true\n"
	tsv := "id\tword\tscore\tok\n" +
		"1\tplain\t1.5\ttrue\n" +
		"2\t\"tab\there, \"\"quotes\"\" and a\nline break\"\t-2\tfalse\n" +
		"3\t\t1e3\ttrue\n"
	const jsonl = `{"id":1,"word":"plain","score":1.5,"ok":true}` + "\n\n" +
		`{"ok":false,"score":-2,"word":"tab\there, \"quotes\" and a\nline break","id":2}` + "\n" +
		`{"id":3,"word":"","score":1e3,"ok":true}`
	for name, content := range map[string]string{
		"a.csv": csv, "a.tsv": tsv, "a.jsonl": jsonl, "a.txt": csv, "b.txt": tsv, "c.txt": jsonl,
		"a.csv.gz": gzipped(t, csv), "packed": gzipped(t, jsonl), "mark.csv": "\ufeff" + csv, "dos.csv": strings.ReplaceAll(csv, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out := succeeds(t, "import", file(t, name, content), "--data-dir", dir, "--table", "words", "--create", "--primary-key", "id")
			require.Contains(t, out, "3 rows in 1 batches")
			inStore(t, dir, func(ctx context.Context, app *aedb.Scope) {
				page, err := app.Query(ctx, query.Select("id", "word", "score", "ok").From("words").Limit(10))
				require.NoError(t, err)
				require.Equal(t, []aedb.Row{
					{aedb.Int(1), aedb.Text("plain"), aedb.Float(1.5), aedb.Bool(true)},
					{aedb.Int(2), aedb.Text("tab\there, \"quotes\" and a\nline break"), aedb.Float(-2), aedb.Bool(false)},
					{aedb.Int(3), aedb.Text(""), aedb.Float(1000), aedb.Bool(true)},
				}, page.Rows)
			})
		})
	}
}

func TestImportReadsStandardInput(t *testing.T) {
	dir := t.TempDir()
	o := runWith(context.Background(), strings.NewReader("k\tv\na\t1\n"),
		"import", "-", "--data-dir", dir, "--table", "t", "--create", "--primary-key", "k")
	require.Equal(t, exitOK, o.code, o.stderr)
	require.Equal(t, "a,1\n", rows(t, dir, "t", "k"))
}

func TestImportMakesTheTableAsTold(t *testing.T) {
	dir := t.TempDir()
	path := file(t, "t.csv", "a,b,c,d\n1,2,?,2026-01-02T03:04:05Z\n1,3,x,2026-01-02T03:04:06Z\n")
	args := []string{"import", path, "--data-dir", dir, "--project", "p", "--scope", "s", "--table", "t", "--create",
		"--primary-key", "a,b", "--types", "b=U64,d=Timestamp", "--nullable", "d", "--null", "?",
		"--unique", "by_d=d", "--index", "c+d", "--index", "b"}
	succeeds(t, args...)
	db, err := aedb.OpenNoAuth(dir, aedb.DefaultConfig())
	require.NoError(t, err)
	info, err := db.NoAuth().Scope("p", "s").Describe("t")
	require.NoError(t, err)
	require.NoError(t, db.Close(context.Background()))
	require.Equal(t, []aedb.ColumnSpec{
		aedb.Column("a", aedb.TypeInteger), aedb.Column("b", aedb.TypeU64),
		aedb.NullableColumn("c", aedb.TypeText), aedb.NullableColumn("d", aedb.TypeTimestamp),
	}, info.Columns)
	require.Equal(t, []string{"a", "b"}, info.PrimaryKey)
	require.Equal(t, 2, info.Rows)
	indexes := map[string]aedb.IndexInfo{}
	for _, x := range info.Indexes {
		require.Equal(t, 2, x.Entries)
		indexes[x.Name] = x
	}
	require.Equal(t, aedb.IndexSpec{Name: "by_d", Columns: []string{"d"}, Unique: true}, indexes["by_d"].IndexSpec)
	require.Equal(t, aedb.IndexSpec{Name: "idx_c_d", Columns: []string{"c", "d"}}, indexes["idx_c_d"].IndexSpec)
	require.Equal(t, aedb.IndexSpec{Name: "idx_b", Columns: []string{"b"}}, indexes["idx_b"].IndexSpec)

	// Made once, the same table is left as it is, and another one is refused.
	fails(t, exitFailed, "duplicate_primary_key", []string{"--mode upsert"}, args...)
	succeeds(t, append(args, "--mode", "upsert")...)
	fails(t, exitFailed, "table_already_exists", nil, append(args, "--mode", "upsert", "--index", "d")...)
}

func TestImportFillsColumnsThatTheFileLacks(t *testing.T) {
	dir := t.TempDir()
	inStore(t, dir, func(ctx context.Context, app *aedb.Scope) {
		_, err := app.Session().CreateProject(ctx, "demo")
		require.NoError(t, err)
		seven := aedb.Int(7)
		_, err = app.Commit(ctx, app.CreateTable("t", aedb.TableSpec{PrimaryKey: []string{"k"}, Columns: []aedb.ColumnSpec{
			aedb.Column("k", aedb.TypeText), {Name: "d", Kind: aedb.TypeInteger, Default: &seven}, aedb.NullableColumn("n", aedb.TypeText),
		}}))
		require.NoError(t, err)
	})
	succeeds(t, "import", file(t, "t.csv", "n,k\nx,1\n"), "--data-dir", dir, "--table", "t")
	succeeds(t, "import", file(t, "t.jsonl", `{"k":"2"}`+"\n"+`{"k":"3","d":8,"n":"y"}`), "--data-dir", dir, "--table", "t")
	require.Equal(t, "1,7,x\n2,7,\n3,8,y\n", rows(t, dir, "t", "k"))
}

func TestImportTakesPartOfTheFile(t *testing.T) {
	dir := t.TempDir()
	path := file(t, "t.csv", "k\n1\n2\n3\n4\n5\n")
	out := succeeds(t, "import", path, "--data-dir", dir, "--table", "t", "--create", "--primary-key", "k", "--skip", "1", "--limit", "3", "--batch-size", "2")
	require.Contains(t, out, "3 rows in 2 batches")
	require.Equal(t, "2\n3\n4\n", rows(t, dir, "t", "k"))
}

// objects are rows in JSON Lines.
func objects(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":%d,\"s\":\"x%d\"}\n", i, i)
	}
	return b.String()
}

func TestImportNamesTheLineAndColumnThatDoNotFit(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		b.WriteString("id,n,s\n")
		for i := range 1500 {
			fmt.Fprintf(&b, "%d,%d,x%d\n", i, i, i)
		}
		return b.String() + last
	}
	for _, c := range []struct {
		name, file, content string
		code                string
		words               []string
	}{
		{"a text among numbers", "t.csv", many("1500,many,x\n"), "validation", []string{"t.csv line 1502, column n", "Integer"}},
		{"a number out of range", "t.csv", many("1500,99999999999999999999,x\n"), "validation", []string{"line 1502, column n", "out of range"}},
		{"after a line break in quotes", "t.csv", many("1500,1,\"a\nb\"\n1501,?,x\n"), "validation", []string{"line 1504, column n"}},
		{"too few fields", "t.csv", many("1500,1\n"), "validation", []string{"line 1502", "wrong number of fields"}},
		{"a stray quote", "t.csv", many("1500,1,a\"b\n"), "validation", []string{"line 1502", "byte 9"}},
		{"an open quote in the sample", "t.csv", "id,n,s\n1,1,\"\n", "validation", []string{"line"}},
		{"not UTF-8", "t.csv", many("1500,1,\xff\n"), "validation", []string{"line 1502, column s", "UTF-8"}},
		{"a duplicate within a batch", "t.csv", many("1500,1,x\n7,1,y\n1501,1,z\n"), "duplicate_primary_key", []string{"t.csv line 1503"}},
		{"a value taken in a unique index", "t.csv", many("1500,1,ok\n1501,1,x7\n1502,1,x9\n"), "unique_violation", []string{"t.csv line 1503", "idx_s"}},
		{"no JSON object", "t.jsonl", "{\"id\":1,\"n\":1,\"s\":\"\"}\n[2]\n", "validation", []string{"t.jsonl line 2"}},
		{"a member twice", "t.jsonl", "{\"id\":1,\"n\":1,\"s\":\"\",\"n\":2}\n", "validation", []string{"t.jsonl line 1", "twice"}},
		{"an unknown member", "t.jsonl", objects(importer.SampleRows) + "\n{\"id\":2,\"n\":1}\n", "unknown_column", []string{"line 1002, column n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := run("import", file(t, c.file, c.content), "--data-dir", t.TempDir(), "--table", "t", "--create", "--primary-key", "id", "--unique", "s",
				"--callers", "1") // with more, it may be the other one of two rows that is refused
			requireFailure(t, o, exitFailed, c.code, c.words...)
		})
	}
}

func TestImportRefusesNullWhereTheColumnHasNone(t *testing.T) {
	dir := people(t)
	fails(t, exitFailed, "not_null_violation", []string{"line 3, column name", "--nullable"},
		"import", file(t, "more.csv", "id,name\n4,Zoe\n5,-\n"), "--data-dir", dir, "--table", "people", "--null", "-")
	fails(t, exitFailed, "not_null_violation", []string{"line 2, column name"},
		"import", file(t, "more.csv", "id\n4\n"), "--data-dir", dir, "--table", "people")
	fails(t, exitFailed, "unknown_column", []string{"line 2, column nick"},
		"import", file(t, "more.csv", "id,nick\n4,x\n"), "--data-dir", dir, "--table", "people")
	require.Equal(t, "1,Ada,36\n2,Bob,\n3,\"Eve \"\"E\"\", x\",41\n", rows(t, dir, "people", "id"))
}

func TestImportThatIsRefusedBeforeItBegins(t *testing.T) {
	dir := people(t)
	none := filepath.Join(t.TempDir(), "none")
	path := file(t, "a.csv", "id,name\n9,x\n")
	to := []string{"--data-dir", dir, "--table", "people"}
	for _, c := range []struct {
		name string
		exit int
		code string
		args []string
	}{
		{"no data dir", exitUsage, "usage", []string{path, "--table", "t"}},
		{"no table", exitUsage, "usage", []string{path, "--data-dir", dir}},
		{"no file", exitUsage, "usage", to},
		{"an unknown flag", exitUsage, "usage", append([]string{path, "--nope"}, to...)},
		{"no primary key", exitUsage, "usage", append([]string{path, "--create"}, to...)},
		{"bad format", exitUsage, "usage", append([]string{path, "--format", "xml"}, to...)},
		{"bad gzip", exitUsage, "usage", append([]string{path, "--gzip", "maybe"}, to...)},
		{"bad mode", exitUsage, "usage", append([]string{path, "--mode", "merge"}, to...)},
		{"bad finality", exitUsage, "usage", append([]string{path, "--finality", "soon"}, to...)},
		{"bad durability", exitUsage, "usage", append([]string{path, "--durability", "some"}, to...)},
		{"bad level", exitUsage, "usage", append([]string{path, "--log-level", "loud"}, to...)},
		{"bad type", exitUsage, "usage", append([]string{path, "--create", "--primary-key", "id", "--types", "id=Number"}, to...)},
		{"bad batch", exitUsage, "usage", append([]string{path, "--batch-size", "0"}, to...)},
		{"bad callers", exitUsage, "usage", append([]string{path, "--callers", "0"}, to...)},
		{"bad skip", exitUsage, "usage", append([]string{path, "--skip", "-1"}, to...)},
		{"index without create", exitUsage, "usage", append([]string{path, "--index", "a"}, to...)},
		{"resume without journal", exitUsage, "usage", append([]string{path, "--resume"}, to...)},
		{"resume to insert", exitUsage, "usage", append([]string{path, "--resume", "--journal", "j", "--mode", "insert"}, to...)},
		{"journal of what is not durable", exitUsage, "usage", append([]string{path, "--journal", "j", "--finality", "visible"}, to...)},
		{"missing file", exitFailed, "validation", append([]string{path + "x"}, to...)},
		{"empty file", exitFailed, "validation", append([]string{file(t, "e.csv", "")}, to...)},
		{"a column twice", exitFailed, "validation", append([]string{file(t, "e.csv", "a,a\n")}, to...)},
		{"not gzip", exitFailed, "validation", append([]string{path, "--gzip", "yes"}, to...)},
		{"type of no column", exitFailed, "unknown_column", []string{path, "--data-dir", none, "--table", "t", "--create", "--primary-key", "id", "--types", "x=Text"}},
		{"null in no column", exitFailed, "unknown_column", []string{path, "--data-dir", none, "--table", "t", "--create", "--primary-key", "id", "--nullable", "x"}},
		{"missing table", exitFailed, "table_not_found", []string{path, "--data-dir", dir, "--table", "t"}},
		{"missing project", exitFailed, "project_not_found", []string{path, "--data-dir", dir, "--table", "t", "--project", "p"}},
		{"missing scope", exitFailed, "scope_not_found", []string{path, "--data-dir", dir, "--table", "t", "--scope", "s"}},
		{"missing store", exitUnavailable, "no_store", []string{path, "--data-dir", none, "--table", "t"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fails(t, c.exit, c.code, nil, append([]string{"import"}, c.args...)...)
			require.NoDirExists(t, none)
		})
	}
}

// counting is a CSV of numbered rows, which calls a function on its way.
type counting struct {
	rows  int // 0 is endless
	after int
	then  func()

	made int // lines, the header included
	rest string
}

func (c *counting) Read(p []byte) (int, error) {
	if c.rest == "" {
		if c.rows > 0 && c.made > c.rows {
			return 0, io.EOF
		}
		c.rest = fmt.Sprintf("%d,row %d\n", c.made, c.made)
		if c.made == 0 {
			c.rest = "id,text\n"
		}
		if c.made++; c.made == c.after {
			c.then()
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func TestImportThatIsInterruptedKeepsWhatItReports(t *testing.T) {
	dir, journal := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	ctx, interrupt := context.WithCancel(context.Background())
	args := []string{"import", "-", "--data-dir", dir, "--table", "t", "--create", "--primary-key", "id",
		"--batch-size", "10", "--journal", journal}
	o := runWith(ctx, &counting{after: 5000, then: interrupt}, args...)
	requireFailure(t, o, exitInterrupted, "interrupted", "--resume")
	var reported int
	_, err := fmt.Sscanf(o.stderr, "error: interrupted after %d rows", &reported)
	require.NoError(t, err)
	require.Positive(t, reported)
	require.Equal(t, reported, strings.Count(rows(t, dir, "t", "id"), "\n"))

	// Resumed, it does the rest and no more.
	const total = 6000
	o = runWith(context.Background(), &counting{rows: total}, append(args, "--resume")...)
	require.Equal(t, exitOK, o.code, o.stderr)
	require.Contains(t, o.stdout, fmt.Sprintf("%d rows (%d listed in the journal)", total-reported, reported))
	var want strings.Builder
	for i := 1; i <= total; i++ {
		fmt.Fprintf(&want, "%d,row %d\n", i, i)
	}
	require.Equal(t, want.String(), rows(t, dir, "t", "id"))
}

func TestImportContinuesOnlyItsOwnJournal(t *testing.T) {
	dir, journal := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	path := file(t, "t.csv", "id,text\n1,a\n2,b\n3,c\n")
	args := func(dir, table, path string, more ...string) []string {
		return append([]string{"import", path, "--data-dir", dir, "--table", table, "--create", "--primary-key", "id",
			"--batch-size", "1", "--callers", "1", "--journal", journal}, more...)
	}
	succeeds(t, args(dir, "t", path, "--limit", "2")...)
	content, err := os.ReadFile(journal)
	require.NoError(t, err)
	lines := strings.Split(string(content), "\n")
	require.Len(t, lines, 4)
	require.Regexp(t, `^1 1 \d+$`, lines[1])
	require.Regexp(t, `^2 2 \d+$`, lines[2])

	fails(t, exitFailed, "validation", []string{"exists already", "--resume"}, args(dir, "t", path)...)
	fails(t, exitFailed, "validation", []string{"not the journal of this import"}, args(dir, "u", path, "--resume")...)
	fails(t, exitFailed, "validation", []string{"not the journal of this import"}, args(dir, "t", file(t, "t.csv", "id,text\n1,aa\n"), "--resume")...)
	fails(t, exitFailed, "validation", []string{"not the journal of this import"}, args(t.TempDir(), "t", path, "--resume")...)

	require.NoError(t, os.WriteFile(journal, append(content, "3 3"...), 0o600)) // cut off while it was written
	require.Contains(t, succeeds(t, args(dir, "t", path, "--resume")...), "1 rows (2 listed in the journal)")
	require.Equal(t, "1,a\n2,b\n3,c\n", rows(t, dir, "t", "id"))

	require.NoError(t, os.WriteFile(journal, append(content, "3 x 9\n"...), 0o600))
	fails(t, exitFailed, "validation", []string{"line 4"}, args(dir, "t", path, "--resume")...)
	require.NoError(t, os.WriteFile(journal, append(content, "3 3 999\n"...), 0o600))
	fails(t, exitFailed, "validation", []string{"lost history"}, args(dir, "t", path, "--resume")...)
}
