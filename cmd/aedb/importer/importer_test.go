package importer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func records(t require.TestingT, content string, format Format) (*Records, []string, error) {
	s, err := OpenSource("-", strings.NewReader(content), format, DetectGzip)
	require.NoError(t, err)
	return NewRecords(s)
}

func TestFormatIsFoundByNameElseByFirstLine(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          Format
	}{
		{"a.tsv", "{", TSV}, {"a.TAB", "", TSV}, {"a.csv.gz", "a\tb", CSV}, {"a.jsonl", "", JSONL}, {"a.ndjson.gz", "", JSONL},
		{"a", " {\"a\":1}", JSONL}, {"a", "a\tb\n", TSV}, {"a", "a,b\nc\td", CSV}, {"a.json", "{}", JSONL}, {"a", "", CSV},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
		s, err := OpenSource(path, nil, Auto, DetectGzip)
		require.NoError(t, err)
		require.Equal(t, c.want, s.Format, "%s %q", c.name, c.content)
		require.EqualValues(t, len(c.content), s.Size)
		_, err = io.Copy(io.Discard, s.data)
		require.NoError(t, err)
		require.EqualValues(t, len(c.content), s.BytesRead())
		require.NoError(t, s.Close())
	}
}

func TestTypesAreThoseThatKeepWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		values string // one a line, in a column of CSV
		want   aedb.Type
	}{
		{"1\n-2\n0", aedb.TypeInteger},
		{"9223372036854775807\n-9223372036854775808", aedb.TypeInteger},
		{"9223372036854775808", aedb.TypeText},
		{"9007199254740993\n1.5", aedb.TypeText},
		{"1\n2.5\n-3e8", aedb.TypeFloat},
		{"007", aedb.TypeText},
		{"-0", aedb.TypeText},
		{"+1", aedb.TypeText},
		{"0x10", aedb.TypeText},
		{"1.", aedb.TypeText},
		{"NaN", aedb.TypeText},
		{"1e999", aedb.TypeText},
		{"1\n\"\"", aedb.TypeText},
		{"true\nfalse", aedb.TypeBoolean},
		{"true\n1", aedb.TypeText},
		{"True", aedb.TypeText},
		{"", aedb.TypeText},
	} {
		r, header, err := records(t, "k,c\n"+addKey(c.values), CSV)
		require.NoError(t, err)
		sample, err := r.Peek(SampleRows)
		require.NoError(t, err)
		columns, err := Schema{Header: header}.Columns(sample)
		require.NoError(t, err)
		require.Equal(t, c.want, columns[1].Kind, c.values)
		require.False(t, columns[1].Nullable)
	}
}

func addKey(values string) string {
	if values == "" {
		return ""
	}
	return "k," + strings.ReplaceAll(values, "\n", "\nk,") + "\n"
}

func TestTypesOfJSONFollowItsValues(t *testing.T) {
	r, header, err := records(t, `{"b":true,"i":1,"f":1,"s":"x","j":{"a":[1]},"mixed":1,"n":null,"digits":"12"}
{"b":false,"i":-2,"f":1.5,"s":"true","j":[],"mixed":"one","n":null,"digits":"13","late":1}`, JSONL)
	require.NoError(t, err)
	require.Nil(t, header)
	sample, err := r.Peek(SampleRows)
	require.NoError(t, err)
	columns, err := Schema{}.Columns(sample)
	require.NoError(t, err)
	require.Equal(t, []aedb.ColumnSpec{
		aedb.Column("b", aedb.TypeBoolean), aedb.Column("i", aedb.TypeInteger), aedb.Column("f", aedb.TypeFloat),
		aedb.Column("s", aedb.TypeText), aedb.Column("j", aedb.TypeJSON), aedb.Column("mixed", aedb.TypeJSON),
		aedb.NullableColumn("n", aedb.TypeText), aedb.Column("digits", aedb.TypeText), aedb.NullableColumn("late", aedb.TypeInteger),
	}, columns)
	first, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, sample[0], first, "what was peeked at is read again")
}

func TestRecordsTellRowAndLine(t *testing.T) {
	r, _, err := records(t, "a,b\n1,\"x\ny\"\n\n2,z\n", CSV)
	require.NoError(t, err)
	var places []string
	for rec, err := r.Next(); !errors.Is(err, io.EOF); rec, err = r.Next() {
		require.NoError(t, err)
		places = append(places, fmt.Sprintf("row %d at line %d", rec.Row, rec.Line))
	}
	require.Equal(t, []string{"row 1 at line 2", "row 2 at line 5"}, places)
}

func TestJournalCoversExactlyTheRowsThatItLists(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	rapid.Check(t, func(t *rapid.T) {
		require.NoError(t, os.RemoveAll(path))
		j, err := CreateJournal(path, "title")
		require.NoError(t, err)
		var want [200]bool
		var last uint64
		for seq := range uint64(rapid.IntRange(0, 30).Draw(t, "batches")) {
			first := rapid.IntRange(1, 150).Draw(t, "first")
			end := first + rapid.IntRange(0, 20).Draw(t, "more")
			require.NoError(t, j.Add(first, end, seq+1))
			for row := first; row <= end; row++ {
				want[row] = true
			}
			last = seq + 1
		}
		require.NoError(t, j.Close())
		j, err = ResumeJournal(path, "title")
		require.NoError(t, err)
		for row := range want {
			require.Equal(t, want[row], j.Covers(row), "row %d", row)
		}
		require.Equal(t, last, j.LastSeq())
		require.NoError(t, j.Close())
	})
}

func TestJournalIsCutBackToItsLastWholeLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	whole := "title\n1 5 1\n6 9 2\n"
	for cut := range len(whole) + 1 {
		require.NoError(t, os.WriteFile(path, []byte(whole[:cut]), 0o600))
		j, err := ResumeJournal(path, "title")
		require.NoError(t, err)
		require.Equal(t, cut >= len("title\n1 5 1\n"), j.Covers(5), "cut at %d", cut)
		require.Equal(t, cut == len(whole), j.Covers(6), "cut at %d", cut)
		require.NoError(t, j.Add(10, 10, 3))
		require.NoError(t, j.Close())
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		lines := max(1, strings.Count(whole[:cut], "\n"))
		require.Equal(t, strings.Join(strings.SplitAfter(whole, "\n")[:lines], "")+"10 10 3\n", string(content))
	}
}

func TestFileThatIsNoJournalOfTheImportIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for _, content := range []string{"notes", "notes\n", "titles\n1 2 3\n4", "title\n1 2 3 4\n5", "title\n2 1 3\n5", "title\n01 2 3\n"} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		for _, open := range []func(string, string) (*Journal, error){CreateJournal, ResumeJournal} {
			_, err := open(path, "title")
			require.ErrorIs(t, err, aedb.ErrValidation, content)
		}
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(left))
	}
}

// FuzzRecords proves that no file makes a reader panic, lose count or invent
// columns.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("a,b\n1,\"x\ny\"\n"), uint8(0))
	f.Add([]byte("a\tb\n1\t2\n"), uint8(1))
	f.Add([]byte("{\"a\":{\"b\":[1,null]}}\n\n{}"), uint8(2))
	f.Add([]byte("\x1f\x8b\x08"), uint8(0))
	f.Fuzz(func(t *testing.T, content []byte, format uint8) {
		s, err := OpenSource("-", strings.NewReader(string(content)), []Format{CSV, TSV, JSONL}[format%3], DetectGzip)
		if err != nil {
			return
		}
		r, header, err := NewRecords(s)
		if err != nil {
			return
		}
		line := 0
		for row := 1; ; row++ {
			rec, err := r.Next()
			if err != nil {
				require.Error(t, err)
				return
			}
			require.Equal(t, row, rec.Row)
			require.Greater(t, rec.Line, line)
			require.Len(t, rec.Cells, len(rec.Columns))
			if header != nil {
				require.Equal(t, header, rec.Columns)
			}
			line = rec.Line
			for _, c := range rec.Cells {
				classify(c)
			}
		}
	})
}

// FuzzJournal proves that a damaged journal is refused or read, and stays usable.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("title\n1 2 3\n"))
	f.Add([]byte("title\n2 1 3\n"))
	f.Add([]byte("titl"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		j, err := ResumeJournal(path, "title")
		if err != nil {
			return
		}
		require.NoError(t, j.Add(7, 8, 9))
		require.NoError(t, j.Close())
		j, err = ResumeJournal(path, "title")
		require.NoError(t, err)
		require.True(t, j.Covers(7) && j.Covers(8))
		require.NoError(t, j.Close())
	})
}
