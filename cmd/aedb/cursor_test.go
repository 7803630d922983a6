package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// pages scans a table part by part, each with an opening of its own, and returns the
// rows in JSON.
func pages(t *testing.T, args ...string) (rows []string) {
	t.Helper()
	for cursor := ""; ; {
		page := decoded[rowsAnswer](t, append([]string{"scan", "--cursor", cursor}, args...)...)
		for _, row := range page.Rows {
			rows = append(rows, fmt.Sprintf("%s", row))
		}
		require.Equal(t, page.Truncated, page.Cursor != "")
		if cursor = page.Cursor; cursor == "" {
			return rows
		}
	}
}

// keyed makes tables whose primary keys are of every kind, alone and together.
func keyed(t *testing.T) (dir string, tables []string) {
	t.Helper()
	wide := func(kind value.Kind, text string) aedb.Value {
		v, err := value.Parse(kind, text)
		require.NoError(t, err)
		return v
	}
	values := map[value.Kind][]aedb.Value{
		aedb.TypeBoolean:   {value.Bool(false), value.Bool(true)},
		aedb.TypeU8:        {value.U8(0), value.U8(7), value.U8(255)},
		aedb.TypeU64:       {value.U64(0), value.U64(1 << 63), value.U64(1<<64 - 1)},
		aedb.TypeInteger:   {value.Int(-1 << 63), value.Int(-1), value.Int(0), value.Int(1<<63 - 1)},
		aedb.TypeFloat:     {value.Float(-1e300), value.Float(-0.5), value.Float(0), value.Float(1e-300), value.Float(2)},
		aedb.TypeU256:      {wide(value.KindU256, "1"), wide(value.KindU256, "340282366920938463463374607431768211456")},
		aedb.TypeI256:      {wide(value.KindI256, "-340282366920938463463374607431768211456"), wide(value.KindI256, "0")},
		aedb.TypeTimestamp: {value.Timestamp(-5), value.Timestamp(5)},
		aedb.TypeText:      {value.Text(""), value.Text("a"), value.Text("a\x00"), value.Text("aa"), value.Text("é")},
		aedb.TypeJSON:      {value.JSON("1"), value.JSON(`"x"`), value.JSON("{}")},
		aedb.TypeBlob:      {value.Blob(nil), value.Blob([]byte{0}), value.Blob([]byte{0, 255}), value.Blob([]byte{1})},
	}
	dir = people(t)
	inStore(t, dir, func(ctx context.Context, app *aedb.Scope) {
		for kind, all := range values {
			name := "by_" + strings.ToLower(kind.String())
			tables = append(tables, name)
			_, err := app.Commit(ctx, app.CreateTable(name, aedb.TableSpec{
				Columns:    []aedb.ColumnSpec{aedb.Column("n", aedb.TypeInteger), aedb.Column("k", kind), aedb.Column("l", kind)},
				PrimaryKey: []string{"l", "n", "k"},
			}))
			require.NoError(t, err)
			for _, k := range all {
				for _, l := range all {
					for n := range int64(2) {
						_, err := app.Commit(ctx, app.Insert(name, aedb.Row{aedb.Int(n), k, l}))
						require.NoError(t, err)
					}
				}
			}
		}
	})
	return dir, tables
}

func TestScanGoesOnBehindItsCursorInAnotherProcess(t *testing.T) {
	dir, tables := keyed(t)
	for _, name := range append(tables, "people") {
		args := []string{"--data-dir", dir, "--table", name}
		whole := pages(t, append(args, "--limit", "1000")...)
		require.NotEmpty(t, whole)
		for _, limit := range []string{"1", "3", "8"} {
			require.Equal(t, whole, pages(t, append(args, "--limit", limit)...), "%s by %s", name, limit)
		}
	}
	ofText := []string{"--data-dir", dir, "--table", "by_text", "--columns", "k", "--where", "n = 1 or l = 'a'"}
	require.Equal(t, pages(t, append(ofText, "--limit", "1000")...), pages(t, append(ofText, "--limit", "2")...),
		"the cursor does not need its columns printed, and keeps to the condition")
}

func TestCursorOfAScanOutlivesItsRow(t *testing.T) {
	dir := people(t)
	args := []string{"scan", "--data-dir", dir, "--table", "people", "--limit", "1", "--columns", "name"}
	out := succeeds(t, args...)
	require.Regexp(t, `; more follow\ncursor [0-9a-f]+\n\z`, out)
	cursor := strings.TrimSpace(out[strings.LastIndex(out, " "):])
	first := decoded[rowsAnswer](t, args...)
	require.Equal(t, cursor, first.Cursor)
	require.Equal(t, []string{"name"}, first.Columns)
	inStore(t, dir, func(ctx context.Context, app *aedb.Scope) {
		_, err := app.Commit(ctx, app.DeleteWhere("people", query.Eq("id", 1)))
		require.NoError(t, err)
	})
	next := decoded[rowsAnswer](t, append(slices.Clone(args), "--cursor", cursor)...)
	require.Equal(t, `"Bob"`, string(next.Rows[0][0]))
}

func TestCursorOfAnotherTableIsRefused(t *testing.T) {
	dir, _ := keyed(t)
	cursor := decoded[rowsAnswer](t, "scan", "--data-dir", dir, "--table", "by_text", "--limit", "1").Cursor
	for _, bad := range []string{cursor, cursor[:len(cursor)-2], "0", "zz", "01", cursor + "01"} {
		fails(t, exitUsage, "usage", []string{"--cursor", "by_u64"}, "scan", "--data-dir", dir, "--table", "by_u64", "--cursor", bad)
	}
	fails(t, exitUsage, "usage", []string{"exclude"}, "scan", "--data-dir", dir, "--table", "by_text", "--cursor", cursor, "--offset", "1")
}
