package dump_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/dump"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// kinds are those that a column may have.
var kinds = []value.Kind{
	value.KindBoolean, value.KindU8, value.KindU64, value.KindInteger, value.KindFloat, value.KindU256,
	value.KindI256, value.KindTimestamp, value.KindText, value.KindJSON, value.KindBlob,
}

// example returns a small state with one row of every kind, and with keys.
func example(t testing.TB) *state.Image {
	w := state.NewWorking()
	define(t, w, catalog.CreateProject{Project: "p"})
	spec := catalog.CreateTable{Project: "p", Scope: "app", Table: "t", PrimaryKey: []string{"id"}}
	spec.Columns = []catalog.ColumnSpec{{Name: "id", Kind: value.KindInteger}}
	for _, k := range kinds {
		spec.Columns = append(spec.Columns, catalog.ColumnSpec{Name: strings.ToLower(k.String()), Kind: k, Nullable: true})
	}
	define(t, w, spec)
	text, first := value.Text("none\u00e9"), value.U8(200)
	define(t, w, catalog.CreateTable{Project: "p", Scope: "app", Table: "defaults", PrimaryKey: []string{"b", "a"}, Columns: []catalog.ColumnSpec{
		{Name: "a", Kind: value.KindU8, Default: &first}, {Name: "b", Kind: value.KindText, Default: &text},
		{Name: "c", Kind: value.KindBlob, Nullable: true, Default: &value.Value{}},
	}})
	define(t, w, catalog.CreateIndex{Project: "p", Scope: "app", Table: "defaults", Index: catalog.IndexSpec{Name: "by_c_a", Columns: []string{"c", "a"}, Unique: true}})
	table, err := w.Catalog().Table("p", "app", "t")
	require.NoError(t, err)
	scope, err := w.Catalog().Scope("p", "app")
	require.NoError(t, err)
	row := value.Row{
		value.Int(-1), value.Bool(true), value.U8(7), value.U64(1 << 63), value.Int(1 << 60), value.Float(0.1),
		parsed(t, value.KindU256, "340282366920938463463374607431768211456"), parsed(t, value.KindI256, "-5"),
		value.Timestamp(1), value.Text("line\nbreak \u2028"), value.JSON(`{"a":[1]}`), value.Blob([]byte{0, 255}),
	}
	w.Begin(w.Seq()+1, 1000)
	put(w, table, row)
	put(w, table, append(value.Row{value.Int(2)}, make(value.Row, len(kinds))...)) // all Null
	row[0], row[10] = value.Int(3), value.JSON("{\n}")                             // not one line
	put(w, table, row)
	w.Put(scope.ID, []byte("k"), record.AppendKV(nil, 1, []byte("v")))
	w.Put(scope.ID, []byte{0}, record.AppendKV(nil, 1, nil))
	w.Commit()
	return w.Freeze()
}

func parsed(t testing.TB, k value.Kind, text string) value.Value {
	v, err := value.Parse(k, text)
	require.NoError(t, err)
	return v
}

func put(w *state.Working, t *catalog.Table, row value.Row) {
	w.Put(t.ID, record.AppendRowKeyOf(nil, t, row), record.AppendRow(nil, t, row))
}

func define(t testing.TB, w *state.Working, s catalog.Statement) {
	w.Begin(w.Seq()+1, int64(w.Seq()+1))
	next, change, err := w.Catalog().Apply(s, w.Micros())
	require.NoError(t, err)
	for _, e := range change.Entries {
		w.Put(catalog.SpaceCatalog, e.Key, e.Value)
	}
	w.SetCatalog(next)
	w.Commit()
}

func written(t testing.TB, image *state.Image) []byte {
	var out bytes.Buffer
	h, err := dump.Write(context.Background(), &out, image, dump.Origin{Incarnation: "i"}, nil)
	require.NoError(t, err)
	require.Equal(t, image.Seq(), h.Seq)
	return out.Bytes()
}

func TestDumpOfEveryKindOfValueReadsBackAsTheSameState(t *testing.T) {
	image := example(t)
	text := written(t, image)
	require.Equal(t, text, written(t, image), "equal states give equal bytes")
	require.Contains(t, string(text), `"row":[-1,true,7,"9223372036854775808",`)
	require.Contains(t, string(text), `"created":1,"key":"6b","value":"76"}`)
	back, h, err := dump.Read(context.Background(), bytes.NewReader(text), nil)
	require.NoError(t, err)
	require.Equal(t, image.Digest(), back.Digest())
	require.Equal(t, text, written(t, back))
	require.Equal(t, 2, h.Tables)
	require.Equal(t, 3, h.Rows)
	require.Equal(t, 2, h.Keys)
}

func TestDumpGolden(t *testing.T) {
	const name = "testdata/dump.golden.jsonl"
	text := written(t, example(t))
	if *update {
		require.NoError(t, os.WriteFile(name, text, 0o644))
	}
	golden, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(text), "the format has changed")
	back, _, err := dump.Read(context.Background(), bytes.NewReader(golden), nil)
	require.NoError(t, err)
	require.Equal(t, example(t).Digest(), back.Digest())
}

func TestSchemaIsWrittenInWordsUnlessItWouldComeBackOtherwise(t *testing.T) {
	w := example(t).Fork()
	w.Begin(w.Seq()+1, 1)
	table, err := w.Catalog().Table("p", "app", "defaults")
	require.NoError(t, err)
	key, ok := w.Catalog().Definition(table.ID)
	require.True(t, ok)
	stored, _, ok := w.Get(catalog.SpaceCatalog, key)
	require.True(t, ok)
	newer := append(bytes.Clone(stored), 0xf0, 1, 1) // a field of a later version
	w.Put(catalog.SpaceCatalog, key, newer)
	w.Commit()
	image := w.Freeze()
	text := string(written(t, image))
	require.Contains(t, text, `"definition":{"sort":"table","id":66,"name":"t","in":65,`)
	require.Contains(t, text, `"stored":"`+hex.EncodeToString(newer)+`"`)
	back, _, err := dump.Read(context.Background(), strings.NewReader(text), nil)
	require.NoError(t, err)
	require.Equal(t, image.Digest(), back.Digest())
}

func TestDumpOfAnyStateReadsBackAsTheSameState(t *testing.T) {
	base := example(t)
	table, err := base.Catalog().Table("p", "app", "t")
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		w := base.Fork()
		for range rapid.IntRange(0, 5).Draw(rt, "commits") {
			w.Begin(w.Seq()+1, w.Micros()+1)
			for range rapid.IntRange(0, 5).Draw(rt, "writes") {
				space := rapid.SampledFrom([]catalog.SpaceID{table.ID, table.ID + 1, 999, 2, 3}).Draw(rt, "space")
				if space == table.ID && rapid.Bool().Draw(rt, "a row") {
					row := make(value.Row, len(table.Columns))
					row[0] = value.Int(rapid.Int64().Draw(rt, "id"))
					row[9] = value.Text(rapid.String().Draw(rt, "text"))
					row[10] = value.JSON(rapid.SampledFrom([]string{"null", " 1", "[1, 2]", "{", "\"\n\"", "1e5"}).Draw(rt, "json"))
					row[5] = value.Float(rapid.Float64().Draw(rt, "float"))
					put(w, table, row)
					continue
				}
				w.Put(space, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(rt, "key"), rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(rt, "value"))
			}
			w.Commit()
		}
		image := w.Freeze()
		var out bytes.Buffer
		_, err := dump.Write(context.Background(), &out, image, dump.Origin{}, nil)
		require.NoError(rt, err)
		back, _, err := dump.Read(context.Background(), &out, nil)
		require.NoError(rt, err)
		require.Equal(rt, image.Digest(), back.Digest())
	})
}

// A document may be nested as deep as a reader of JSON goes, and a line adds to that.
func TestDeepDocumentsReadBackAsTheSameState(t *testing.T) {
	nested := func(depth int) value.Value {
		v := value.JSON(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		require.NoError(t, value.Check("j", value.KindJSON, false, 1<<20, v))
		return v
	}
	const deepest = 10_000
	for missing := range 6 {
		depth := deepest - missing
		w := state.NewWorking()
		define(t, w, catalog.CreateProject{Project: "p"})
		document := nested(depth)
		define(t, w, catalog.CreateTable{Project: "p", Scope: "app", Table: "t", PrimaryKey: []string{"id"}, Columns: []catalog.ColumnSpec{
			{Name: "id", Kind: value.KindInteger}, {Name: "j", Kind: value.KindJSON, Default: &document},
		}})
		table, err := w.Catalog().Table("p", "app", "t")
		require.NoError(t, err)
		w.Begin(w.Seq()+1, 1000)
		put(w, table, value.Row{value.Int(1), document})
		w.Commit()
		image := w.Freeze()
		back, _, err := dump.Read(context.Background(), bytes.NewReader(written(t, image)), nil)
		require.NoError(t, err, "a document of depth %d", depth)
		require.Equal(t, image.Digest(), back.Digest())
	}
}

func TestEmptyStateHasADump(t *testing.T) {
	image := state.NewWorking().Freeze()
	back, _, err := dump.Read(context.Background(), bytes.NewReader(written(t, image)), nil)
	require.NoError(t, err)
	require.Equal(t, image.Digest(), back.Digest())
}

func TestEveryCutAndEveryChangedByteOfADumpIsNoticed(t *testing.T) {
	text := written(t, example(t))
	for n := range text {
		_, _, err := dump.Read(context.Background(), bytes.NewReader(text[:n]), nil)
		require.Error(t, err, "cut at %d", n)
		changed := bytes.Clone(text)
		changed[n] ^= 1
		_, _, err = dump.Read(context.Background(), bytes.NewReader(changed), nil)
		require.Error(t, err, "changed at %d", n)
	}
	_, _, err := dump.Read(context.Background(), bytes.NewReader(append(text, '\n')), nil)
	require.Equal(t, errs.CodeDecode, errs.CodeOf(err))
}

func TestDumpThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		code errs.Code
	}{
		"nothing":          {"", errs.CodeIntegrity},
		"another file":     {"a,b\n1,2\n", errs.CodeDecode},
		"newer":            {`{"aedb_dump":2}` + "\n", errs.CodeUnavailable},
		"other json":       {"{}\n", errs.CodeDecode},
		"space order":      {`{"aedb_dump":1}` + "\n" + `{"space":0,"entries":0}` + "\n", errs.CodeDecode},
		"many entries":     {`{"aedb_dump":1}` + "\n" + `{"space":9,"entries":9000000000}` + "\n", errs.CodeIntegrity},
		"no key":           {`{"aedb_dump":1}` + "\n" + `{"space":9,"entries":1}` + "\n" + `{"at":1}` + "\n", errs.CodeDecode},
		"not hex":          {`{"aedb_dump":1}` + "\n" + `{"space":9,"entries":1}` + "\n" + `{"at":1,"key":"x"}` + "\n", errs.CodeDecode},
		"schema elsewhere": {`{"aedb_dump":1}` + "\n" + `{"space":9,"entries":1}` + "\n" + `{"at":1,"definition":{"sort":"project"}}` + "\n", errs.CodeDecode},
		"no such object":   {`{"aedb_dump":1}` + "\n" + `{"space":1,"entries":1}` + "\n" + `{"at":1,"definition":{"sort":"view"}}` + "\n", errs.CodeDecode},
		"no such column":   {`{"aedb_dump":1}` + "\n" + `{"space":1,"entries":1}` + "\n" + `{"at":1,"definition":{"sort":"table","primary_key":["x"]}}` + "\n", errs.CodeDecode},
		"no such type":     {`{"aedb_dump":1}` + "\n" + `{"space":1,"entries":1}` + "\n" + `{"at":1,"definition":{"sort":"table","columns":[{"name":"x","type":"Int"}]}}` + "\n", errs.CodeDecode},
		"a false default":  {`{"aedb_dump":1}` + "\n" + `{"space":1,"entries":1}` + "\n" + `{"at":1,"definition":{"sort":"table","columns":[{"name":"x","type":"U8","default":256}]}}` + "\n", errs.CodeDecode},
		"row elsewhere":    {`{"aedb_dump":1}` + "\n" + `{"space":9,"entries":1}` + "\n" + `{"at":1,"row":[]}` + "\n", errs.CodeDecode},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := dump.Read(context.Background(), strings.NewReader(c.text), nil)
			require.Equal(t, c.code, errs.CodeOf(err), "%v", err)
		})
	}
}

func TestFailingFilesAreIOErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := dump.Write(context.Background(), failing{broken}, example(t), dump.Origin{}, nil)
	require.Equal(t, errs.CodeIO, errs.CodeOf(err))
	require.ErrorIs(t, err, broken)
	_, _, err = dump.Read(context.Background(), failing{broken}, nil)
	require.Equal(t, errs.CodeIO, errs.CodeOf(err))
	_, _, err = dump.Read(context.Background(), failing{errs.New(errs.CodeIntegrity, "damaged")}, nil)
	require.Equal(t, errs.CodeIntegrity, errs.CodeOf(err), "who unpacks knows better")
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
func (f failing) Read([]byte) (int, error)  { return 0, f.err }

// FuzzRead proves that no bytes make a reader panic, and that what it accepts is written
// as a dump that it accepts.
func FuzzRead(f *testing.F) {
	f.Add(written(f, example(f)))
	f.Add(written(f, state.NewWorking().Freeze()))
	f.Add([]byte(`{"aedb_dump":1}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		image, _, err := dump.Read(context.Background(), bytes.NewReader(text), nil)
		if err != nil {
			return
		}
		var out bytes.Buffer
		_, err = dump.Write(context.Background(), &out, image, dump.Origin{}, nil)
		require.NoError(t, err)
		_, _, err = dump.Read(context.Background(), io.Reader(&out), nil)
		require.NoError(t, err)
	})
}
