package value

import (
	"testing"

	"github.com/holiman/uint256"
)

// benchCells is a row of twelve columns as an application might have it.
func benchCells() []Cell {
	return []Cell{
		{1, Int(123456)}, {2, Text("alice@example.org")}, {3, Bool(true)}, {4, Null()},
		{5, Timestamp(1_790_000_000_000_000)}, {6, Float(12.5)}, {7, U64(7)},
		{8, JSON(`{"tags":["a","b"]}`)}, {9, U256(uint256.NewInt(1_000_000))},
		{10, Text("active")}, {11, Int(-3)}, {12, U8(4)},
	}
}

func BenchmarkAppendKey(b *testing.B) {
	for _, c := range []struct {
		name string
		v    Value
	}{{"Integer", Int(-5)}, {"Text", Text("alice@example.org")}, {"I256", I256(uint256.NewInt(5))}} {
		b.Run(c.name, func(b *testing.B) {
			dst := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendKey(dst[:0], c.v)
			}
		})
	}
}

func BenchmarkDecodeKey(b *testing.B) {
	for _, c := range []struct {
		name string
		v    Value
	}{{"Integer", Int(-5)}, {"Text", Text("alice@example.org")}} {
		b.Run(c.name, func(b *testing.B) {
			key := AppendKey(nil, c.v)
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = DecodeKey(key)
			}
		})
	}
}

func BenchmarkSkipKey(b *testing.B) {
	key := AppendKey(nil, Text("alice@example.org"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = SkipKey(key)
	}
}

func BenchmarkAppendRow(b *testing.B) {
	cells := benchCells()
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendRow(dst[:0], cells)
	}
	b.ReportMetric(float64(len(dst)), "bytes/row")
}

func BenchmarkColumn(b *testing.B) {
	dense := EncodedRow(AppendRow(nil, benchCells()))
	sparse := benchCells()
	for i := range sparse {
		sparse[i].ID = ColumnID(i * i)
	}
	gaps := EncodedRow(AppendRow(nil, sparse))
	for _, c := range []struct {
		name string
		row  EncodedRow
		id   ColumnID
	}{
		{"Integer", dense, 11}, {"Float", dense, 6}, {"Text", dense, 2}, {"Absent", dense, 13}, {"WithGaps", gaps, 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.row.Column(c.id)
			}
		})
	}
}

func BenchmarkRowBytes(b *testing.B) {
	row := EncodedRow(AppendRow(nil, benchCells()))
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = row.Bytes(8)
	}
}

func BenchmarkCells(b *testing.B) {
	row := EncodedRow(AppendRow(nil, benchCells()))
	var cells []Cell
	b.ReportAllocs()
	for b.Loop() {
		cells, _ = row.Cells(cells[:0])
	}
}

func BenchmarkComparePredicate(b *testing.B) {
	for _, c := range []struct {
		name string
		x, y Value
	}{
		{"Integer", Int(5), Int(6)}, {"IntegerU64", Int(5), U64(6)}, {"IntegerFloat", Int(5), Float(5.5)},
		{"U256Integer", U256(uint256.NewInt(5)), Int(6)}, {"Text", Text("alice"), Text("bob")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ComparePredicate(c.x, c.y)
			}
		})
	}
}
