package reader

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

func footprintOf(t *testing.T, src Source, q query.Query) footprint {
	var f footprint
	_, err := Query(context.Background(), src, &f, request(t, q))
	require.NoError(t, err)
	return f
}

func TestRecorderIsToldWhatAReadDependedOn(t *testing.T) {
	u := fixtureU()
	table := mustTable(u, "users")
	byAge, _ := table.Index("by_age")
	base := query.Select().From("users")

	point := footprintOf(t, u, base.Where(query.Eq("id", 42)))
	require.Len(t, point.points, 1)
	require.Empty(t, point.ranges)
	absent := footprintOf(t, u, base.Where(query.Eq("id", 1000)))
	require.Len(t, absent.points, 1)
	none := footprintOf(t, u, base.Where(query.Eq("id", 42)).Limit(0))
	require.Empty(t, none)

	// An index: the interval, so that new rows in it are seen, and the rows.
	indexed := footprintOf(t, u, base.Where(query.Eq("age", 42)))
	require.Len(t, indexed.points, 2)
	require.Len(t, indexed.ranges, 1)
	r := prefixRange(value.Int(42))
	require.Equal(t, byAge.ID, indexed.ranges[0].space)
	require.Equal(t, r, indexed.ranges[0].KeyRange)

	// An index that holds all that is asked for: no rows.
	covered := footprintOf(t, u, query.Select("id", "age").From("users").Where(query.Eq("age", 42)))
	require.Empty(t, covered.points)
	require.Len(t, covered.ranges, 1)

	whole := footprintOf(t, u, base.Where(query.IsNotNull("email")))
	require.Empty(t, whole.points)
	require.Len(t, whole.ranges, 1)
	require.Equal(t, KeyRange{}, whole.ranges[0].KeyRange)

	// A scan that a limit ends: up to the last key examined.
	limited := footprintOf(t, u, base.OrderBy("id", query.Asc).Limit(5))
	require.Equal(t, successor(prefixRange(value.Int(5)).Start), limited.ranges[0].End)
	limited = footprintOf(t, u, base.OrderBy("id", query.Desc).Limit(5))
	require.Equal(t, KeyRange{Start: prefixRange(value.Int(94)).Start}, limited.ranges[0].KeyRange)
}

func TestRowByKey(t *testing.T) {
	u := fixtureU()
	table := mustTable(u, "users")
	row := make(value.Row, 4)
	version, ok := GetRow(u, nil, table, []value.Value{value.Int(3)}, row)
	require.True(t, ok)
	require.EqualValues(t, 1, version)
	require.Equal(t, value.Row{value.Int(3), value.Text("u3"), value.Int(21), value.Text("u3@example.com")}, row)
	_, ok = GetRow(u, nil, table, []value.Value{value.Int(-3)}, row)
	require.False(t, ok)
}

// prefixRange returns the range of the keys that begin with the given values.
func prefixRange(values ...value.Value) KeyRange {
	prefix := value.AppendKeyRow(nil, values...)
	return KeyRange{Start: prefix, End: value.PrefixEnd(prefix)}
}
