package record

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// table returns a table whose key is (b, a), with a plain and a unique index over
// (c, b), and a default for d.
func table(t testing.TB) *catalog.Table {
	nine := value.Int(9)
	columns := []catalog.ColumnSpec{
		{Name: "a", Kind: value.KindInteger}, {Name: "b", Kind: value.KindText},
		{Name: "c", Kind: value.KindText, Nullable: true}, {Name: "d", Kind: value.KindInteger, Nullable: true, Default: &nine},
	}
	c := catalog.New()
	for _, s := range []catalog.Statement{
		catalog.CreateProject{Project: "p"},
		catalog.CreateTable{
			Project: "p", Scope: "app", Table: "t", Columns: columns, PrimaryKey: []string{"b", "a"},
			Indexes: []catalog.IndexSpec{
				{Name: "plain", Columns: []string{"c", "b"}}, {Name: "unique", Columns: []string{"c", "b"}, Unique: true},
			},
		},
	} {
		var err error
		c, _, err = c.Apply(s, 0)
		require.NoError(t, err)
	}
	out, err := c.Table("p", "app", "t")
	require.NoError(t, err)
	return out
}

func anyRow(t *rapid.T) value.Row {
	row := value.Row{
		value.Int(rapid.Int64().Draw(t, "a")), value.Text(rapid.String().Draw(t, "b")), value.Null(), value.Null(),
	}
	if rapid.Bool().Draw(t, "with c") {
		row[2] = value.Text(rapid.String().Draw(t, "c"))
	}
	if rapid.Bool().Draw(t, "with d") {
		row[3] = value.Int(rapid.Int64().Draw(t, "d"))
	}
	return row
}

func TestRowsComeBackFromTheirEntries(t *testing.T) {
	tbl := table(t)
	rapid.Check(t, func(t *rapid.T) {
		full := anyRow(t)
		key := AppendRowKeyOf([]byte("x"), tbl, full)[1:]
		require.Equal(t, AppendRowKey(nil, tbl.KeyOf(full)), key)
		row := Row{Table: tbl, Key: key, Data: AppendRow(nil, tbl, full)}
		require.NoError(t, row.Data.Validate())
		dirty := value.Row{value.Int(1), value.Int(1), value.Int(1), value.Int(1), value.Int(1)}
		require.Equal(t, full, row.Values(dirty))
		for p := range full {
			require.Equal(t, full[p], row.Column(p))
		}
	})
}

// A unique entry without Null is the values alone, so that a second row meets it;
// any other holds the row's key too.
func TestBorrowedColumnsAreThoseOfTheRow(t *testing.T) {
	tbl := table(t)
	rapid.Check(t, func(t *rapid.T) {
		full := anyRow(t)
		r := Row{Table: tbl, Key: AppendRowKeyOf(nil, tbl, full), Data: AppendRow(nil, tbl, full)}
		whole := make(value.Row, len(full))
		r.BorrowAll(whole)
		require.Equal(t, full, whole)
		positions := rapid.SliceOf(rapid.IntRange(0, len(full)-1)).Draw(t, "positions")
		some := make(value.Row, len(positions))
		r.BorrowEach(some, positions)
		for i, p := range positions {
			require.Equal(t, full[p], some[i])
			require.Equal(t, full[p], r.Borrow(p))
		}
	})
}

func TestIndexEntriesLeadToTheirRow(t *testing.T) {
	tbl := table(t)
	rapid.Check(t, func(t *rapid.T) {
		full := anyRow(t)
		key := AppendRowKeyOf(nil, tbl, full)
		at := func(p int) value.Value { return full[p] }
		values := value.AppendKeyRow(nil, full[2], full[1])
		for _, x := range tbl.Indexes {
			e := Index(x, at, key)
			require.Equal(t, x.Unique && !full[2].IsNull(), e.Exclusive)
			if e.Exclusive {
				require.Equal(t, values, e.Key)
			} else {
				require.Equal(t, append(values[:len(values):len(values)], key...), e.Key)
				require.Empty(t, e.Value)
			}
			got, err := IndexedRowKey(x, e.Key, e.Value)
			require.NoError(t, err)
			require.Equal(t, key, got)
		}
	})
	_, err := IndexedRowKey(tbl.Indexes[0], []byte{0xff}, nil)
	require.ErrorIs(t, err, errs.ErrIntegrity)
}

func TestAColumnAddedLaterReadsAsItsDefault(t *testing.T) {
	tbl := table(t)
	row := Row{
		Table: tbl, Key: AppendRowKey(nil, []value.Value{value.Text("b"), value.Int(1)}),
		Data: value.AppendRow(nil, []value.Cell{{ID: 3, Value: value.Text("c")}}),
	}
	require.Equal(t, value.Int(9), row.Column(3))
	whole := value.Row{value.Int(1), value.Text("b"), value.Text("c"), value.Int(9)}
	require.Equal(t, whole, row.Values(nil))
	borrowed := make(value.Row, 4)
	row.BorrowAll(borrowed)
	require.Equal(t, whole, borrowed)
}

func TestDamagedRowsReadAsNull(t *testing.T) {
	row := Row{Table: table(t), Key: []byte{0xff}, Data: []byte{9}}
	dirty := value.Row{value.Int(1), value.Int(1), value.Int(1), value.Int(1)}
	require.Equal(t, value.Row{value.Null(), value.Null(), value.Null(), value.Int(9)}, row.Values(dirty))
	require.True(t, row.Column(0).IsNull())
	require.True(t, row.Column(1).IsNull())
	require.True(t, row.Borrow(0).IsNull())
	borrowed := make(value.Row, 4)
	row.BorrowAll(borrowed)
	require.Equal(t, row.Values(nil), borrowed)
}

func TestKeyValueEntriesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		created := rapid.Uint64().Draw(t, "created")
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		buf := AppendNewKV(nil, payload)
		PlaceKV(buf, rapid.Uint64().Draw(t, "placed before"))
		placed := PlaceKV(buf, created)
		require.Equal(t, AppendKV(nil, created, payload), placed)
		require.True(t, bytes.Equal(payload, buf[KVRoom:]), "the payload stays where it is")
		got, rest, err := SplitKV(placed)
		require.NoError(t, err)
		require.Equal(t, created, got)
		require.True(t, bytes.Equal(payload, rest))
	})
	for _, bad := range [][]byte{nil, {0x80}, bytes.Repeat([]byte{0xff}, 11)} {
		_, _, err := SplitKV(bad)
		require.ErrorIs(t, err, errs.ErrIntegrity)
	}
}

func TestIdempotencyRecordsComeBack(t *testing.T) {
	want := Idempotency{Seq: 7, Micros: -9, Fingerprint: [32]byte{1, 31: 2}}
	raw := AppendIdempotency(nil, want)
	got, err := ParseIdempotency(raw)
	require.NoError(t, err)
	require.Equal(t, want, got)
	want.Replies = []byte("told")
	got, err = ParseIdempotency(AppendIdempotency(nil, want))
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = ParseIdempotency(raw[1:])
	require.ErrorIs(t, err, errs.ErrIntegrity)

	seq, key, err := SplitIdempotencyAge(AppendIdempotencyAge(nil, 9, []byte("k")))
	require.NoError(t, err)
	require.Equal(t, uint64(9), seq)
	require.Equal(t, "k", string(key))
	_, _, err = SplitIdempotencyAge(nil)
	require.ErrorIs(t, err, errs.ErrIntegrity)
}

func TestIdempotencyNamespacesDoNotMeet(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range [][]byte{
		IdempotencyKey("", false, [16]byte{}), IdempotencyKey("", true, [16]byte{}),
		IdempotencyKey("a", false, [16]byte{}), IdempotencyKey("a", true, [16]byte{}),
		IdempotencyKey("b", true, [16]byte{}), IdempotencyKey("a", true, [16]byte{1}),
		IdempotencyKey("a\x00", true, [16]byte{}), IdempotencyKey("a\x01", true, [16]byte{}),
	} {
		require.Len(t, k, 32)
		require.False(t, seen[string(k)])
		seen[string(k)] = true
	}
	require.Equal(t, IdempotencyKey("a", true, [16]byte{1}), IdempotencyKey("a", true, [16]byte{1}))
}

func FuzzIndexedRowKey(f *testing.F) {
	x := table(f).Indexes[0]
	f.Add([]byte{1, 1}, []byte(nil))
	f.Fuzz(func(t *testing.T, key, val []byte) {
		if rest, err := IndexedRowKey(x, key, val); err == nil && len(val) == 0 {
			require.LessOrEqual(t, len(rest), len(key))
		}
	})
}
