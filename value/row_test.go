package value

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
)

// drawCells draws the cells of a row, of either form.
func drawCells(t *rapid.T) []Cell {
	ids := rapid.Uint32Range(0, 30)
	if rapid.Bool().Draw(t, "sparse") {
		ids = rapid.Uint32()
	}
	var cells []Cell
	id := uint64(0)
	for range rapid.IntRange(0, 14).Draw(t, "n") {
		id += uint64(ids.Draw(t, "gap"))
		if id > math.MaxUint32 {
			break
		}
		v := drawAny(t)
		if rapid.IntRange(0, 19).Draw(t, "large") == 0 {
			v = Text(strings.Repeat("x", maxNarrowContent))
		}
		cells = append(cells, Cell{ID: ColumnID(id), Value: v})
		id++
	}
	return cells
}

func TestRowReadsEachColumnAsAFullDecodeDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cells := drawCells(t)
		dst := []byte("before")
		row := EncodedRow(AppendRow(dst, cells)[len(dst):])
		require.NoError(t, row.Validate())
		got, err := row.Cells(nil)
		require.NoError(t, err)
		require.Equal(t, cells, got)

		present := map[ColumnID]bool{}
		for _, c := range cells {
			present[c.ID] = true
			v, ok := row.Column(c.ID)
			require.True(t, ok)
			require.Equal(t, c.Value, v)
			kind, raw, ok := row.Bytes(c.ID)
			require.True(t, ok)
			require.Equal(t, c.Value.Kind(), kind)
			if kind >= KindText {
				require.Equal(t, c.Value.str, string(raw))
			}
		}
		for _, c := range cells {
			for _, id := range []ColumnID{c.ID - 1, c.ID + 1} {
				_, ok := row.Column(id)
				require.Equal(t, present[id], ok)
			}
		}
	})
}

func TestRowTellsNullFromAbsent(t *testing.T) {
	row := EncodedRow(AppendRow(nil, []Cell{{ID: 2, Value: Null()}, {ID: 4, Value: Int(0)}}))
	v, ok := row.Column(2)
	require.True(t, ok)
	require.True(t, v.IsNull())
	for _, id := range []ColumnID{0, 1, 3, 5, math.MaxUint32} {
		_, ok = row.Column(id)
		require.False(t, ok)
	}
}

// The bytes are the on-disk format: a change here needs a new version of it.
func TestRowBytes(t *testing.T) {
	for name, c := range map[string]struct {
		cells []Cell
		want  []byte
	}{
		"empty":     {nil, []byte{1, 0}},
		"zero":      {[]Cell{{1, Int(0)}}, []byte{1, 1, 1, 0, 0x40}},
		"small":     {[]Cell{{1, Int(-2)}, {2, U64(256)}}, []byte{1, 2, 1, 1, 0x40, 2, 3, 0x30, 3, 0, 1}},
		"float":     {[]Cell{{1, Float(1.5)}}, []byte{1, 1, 1, 2, 0x80, 0x3F, 0xF8}},
		"null":      {[]Cell{{1, Null()}, {2, Text("ab")}}, []byte{1, 2, 1, 0, 0, 2, 2, 0x90, 'a', 'b'}},
		"unsigned":  {[]Cell{{1, mustParse(t, KindU256, "65280")}}, []byte{1, 1, 1, 2, 0x50, 0xFF, 0}},
		"signed -1": {[]Cell{{1, mustParse(t, KindI256, "-1")}}, []byte{1, 1, 1, 1, 0x60, 0xFF}},
		"signed":    {[]Cell{{1, mustParse(t, KindI256, "128")}}, []byte{1, 1, 1, 2, 0x60, 0, 0x80}},
		"wide":      {[]Cell{{256, Bool(true)}}, []byte{2, 1, 0, 0, 0, 1, 0, 0, 0x10, 0, 1, 0, 0, 1}},
	} {
		require.Equal(t, c.want, AppendRow(nil, c.cells), name)
	}
}

func TestRowOfManyColumnsOrBytesIsWide(t *testing.T) {
	many := make([]Cell, maxNarrowCells+1)
	for i := range many {
		many[i] = Cell{ID: ColumnID(i), Value: U8(uint8(i))}
	}
	require.EqualValues(t, rowNarrow, AppendRow(nil, many[:maxNarrowCells])[0])
	full := Text(strings.Repeat("x", maxNarrowContent))
	require.EqualValues(t, rowNarrow, AppendRow(nil, []Cell{{1, full}})[0])
	for _, cells := range [][]Cell{many, {{1, full}, {2, U8(1)}}} {
		row := EncodedRow(AppendRow(nil, cells))
		require.EqualValues(t, rowWide, row[0])
		require.NoError(t, row.Validate())
	}
}

func TestRowDamagedIsRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"no bytes":            {},
		"form alone":          {1},
		"unknown form":        {3, 0},
		"directory cut":       {1, 2, 1, 0, 0},
		"wide count too high": {2, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0},
		"wide header cut":     {2, 0, 0},
		"content cut":         {1, 1, 1, 1, 0x20},
		"content left over":   {1, 1, 1, 1, 0x20, 5, 5},
		"ends go back":        {1, 2, 1, 1, 0x20, 2, 0, 0x20, 5},
		"ids equal":           {1, 2, 1, 0, 0x20, 1, 0, 0x20},
		"kind unknown":        {1, 1, 1, 0, 0xC0},
		"null with content":   {1, 1, 1, 1, 0, 5},
		"high zero byte":      {1, 1, 1, 2, 0x30, 5, 0},
		"boolean 2":           {1, 1, 1, 1, 0x10, 2},
		"u8 of two bytes":     {1, 1, 1, 2, 0x20, 0, 1},
		"negative zero":       {1, 1, 1, 1, 0x80, 0x80},
		"u256 with zero":      {1, 1, 1, 1, 0x50, 0},
		"i256 with sign":      {1, 1, 1, 2, 0x60, 0xFF, 0x80},
		"i256 zero":           {1, 1, 1, 1, 0x60, 0},
		"wide without need":   {2, 0, 0, 0, 0},
	} {
		row := EncodedRow(b)
		require.ErrorIs(t, row.Validate(), errs.ErrDecode, name)
		_, err := row.Cells(nil)
		require.ErrorIs(t, err, errs.ErrDecode, name)
	}
}

func TestRowColumnDoesNotAllocateForNumbers(t *testing.T) {
	row := EncodedRow(AppendRow(nil, benchCells()))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		row.Column(1)
		row.Column(5)
		row.Bytes(8)
	}))
}

// ascending reports whether the columns of a row, which may be damaged, are in order.
func ascending(r *OpenRow) bool {
	for i := 1; i < r.n; i++ {
		if r.id(i) <= r.id(i-1) {
			return false
		}
	}
	return true
}

func FuzzRow(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add(AppendRow(nil, benchCells()), uint32(3))
	f.Add(AppendRow(nil, []Cell{{256, Bool(true)}, {1 << 20, Null()}}), uint32(256))
	f.Add([]byte{1, 3, 2, 0, 0x10, 9, 0, 0x10, 3, 0, 0x10}, uint32(3)) // ids out of order
	f.Fuzz(func(t *testing.T, b []byte, id uint32) {
		row := EncodedRow(b)
		open := row.Open()
		for i := range ColumnID(16) {
			want, wantOK := row.Column(i)
			got, ok := open.Borrow(i)
			if ascending(&open) { // a search in what is in no order finds it by chance
				require.Equal(t, wantOK, ok)
				require.Equal(t, want, got)
			}
		}
		v, ok := row.Column(ColumnID(id))
		cells, err := row.Cells(nil)
		if err != nil {
			require.ErrorIs(t, err, errs.ErrDecode)
			return
		}
		require.Equal(t, b, AppendRow(nil, cells))
		for _, c := range cells {
			got, found := row.Column(c.ID)
			require.True(t, found)
			require.Equal(t, c.Value, got)
			if c.ID == ColumnID(id) {
				require.True(t, ok)
				require.Equal(t, c.Value, v)
			}
		}
	})
}
