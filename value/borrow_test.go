package value

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// within reports whether the content of a value lies in the memory of b.
func within(v Value, b []byte) bool {
	p, base := uintptr(unsafe.Pointer(unsafe.StringData(v.str))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return len(v.str) > 0 && p >= base && p < base+uintptr(len(b))
}

func TestBorrowedValuesEqualDecodedOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
		row := EncodedRow(b)
		open := row.Open()
		for id := range ColumnID(20) {
			want, wantOK := row.Column(id)
			got, ok := open.Borrow(id)
			require.Equal(t, wantOK, ok)
			require.Equal(t, want, got)
		}
		want, wantRest, wantErr := DecodeKey(b)
		got, rest, err := BorrowKey(b)
		require.Equal(t, wantErr == nil, err == nil)
		require.Equal(t, wantRest, rest)
		require.Equal(t, want, got)
	})
}

func TestBorrowedContentIsThatOfTheBytes(t *testing.T) {
	for _, v := range []Value{Text("some text"), JSON(`{"a":1}`), Blob([]byte{1, 2, 3})} {
		key := AppendKey(nil, v)
		got, rest, err := BorrowKey(key)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, v, got)
		require.True(t, within(got, key))
		require.False(t, within(got.Clone(), key))
		require.Equal(t, v, got.Clone())

		row := EncodedRow(AppendRow(nil, []Cell{{1, Int(7)}, {2, v}}))
		open := row.Open()
		got, ok := open.Borrow(2)
		require.True(t, ok)
		require.Equal(t, v, got)
		require.True(t, within(got, row))
		c := Row{Int(7), got}.Clone()
		require.Equal(t, Row{Int(7), v}, c)
		require.False(t, within(c[1], row))
	}
}

func TestWhatKeysEscapeIsNotBorrowed(t *testing.T) {
	v := Text("a\x00b")
	for _, key := range [][]byte{AppendKey(nil, v), AppendKeyDesc(nil, v), AppendKeyDesc(nil, Text("plain"))} {
		want, _, err := DecodeKey(key)
		require.NoError(t, err)
		got, _, err := BorrowKey(key)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.False(t, within(got, key))
	}
}

func TestBorrowingDoesNotAllocate(t *testing.T) {
	key := AppendKeyRow(nil, Text("some text"), Int(5))
	row := EncodedRow(AppendRow(nil, []Cell{{1, Text("some text")}, {2, Int(-5)}}))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, rest, _ := BorrowKey(key)
		_, _, _ = BorrowKey(rest)
		open := row.Open()
		_, _ = open.Borrow(1)
		_, _ = open.Borrow(2)
	}))
}
