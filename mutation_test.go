package aedb_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
)

// jobs is a table of a queue: rows that somebody claims, in the order of a
// priority.
var jobs = aedb.TableSpec{
	Columns: []aedb.ColumnSpec{
		aedb.Column("id", aedb.TypeInteger), aedb.Column("priority", aedb.TypeInteger),
		aedb.NullableColumn("owner", aedb.TypeText), aedb.Column("tries", aedb.TypeInteger), aedb.Column("paid", aedb.TypeU256),
	},
	PrimaryKey: []string{"id"},
	Indexes:    []aedb.IndexSpec{{Name: "by_priority", Columns: []string{"priority"}}},
}

func job(id int64) aedb.Row {
	return aedb.Row{aedb.Int(id), aedb.Int(100 - id), aedb.Null(), aedb.Int(0), aedb.U256(uint256.NewInt(0))}
}

// openJobs opens a store in memory with the table "jobs" and n rows in it.
func openJobs(t testing.TB, n int) *aedb.Scope {
	app := openApp(t)
	do := []aedb.Mutation{app.CreateTable("jobs", jobs)}
	for id := range n {
		do = append(do, app.Insert("jobs", job(int64(id))))
	}
	commit(t, app, do...)
	return app
}

// together calls f at the same time, n times, and returns how often it succeeded.
func together(n int, f func(i int) error) int {
	var wg sync.WaitGroup
	var succeeded atomic.Int64
	for i := range n {
		wg.Go(func() {
			if f(i) == nil {
				succeeded.Add(1)
			}
		})
	}
	wg.Wait()
	return int(succeeded.Load())
}

func u64At(t testing.TB, app *aedb.Scope, key string) uint64 {
	e, ok, err := app.KV().Get(context.Background(), []byte(key))
	require.NoError(t, err)
	require.True(t, ok)
	return binary.BigEndian.Uint64(e.Value)
}

func TestFact9SixtyFourConcurrentAddsMakeSixtyFour(t *testing.T) {
	app := openJobs(t, 0)
	add := func(int) error {
		_, err := app.Commit(t.Context(), app.KvAddU64([]byte("n"), 1, aedb.TreatAsZero, aedb.RejectLimit))
		return err
	}
	require.Equal(t, 64, together(64, add))
	require.Equal(t, uint64(64), u64At(t, app, "n"))
}

func TestFact24OfThirtyTwoCompareAndSetsOneWins(t *testing.T) {
	app := openJobs(t, 0)
	commit := func(m aedb.Mutation) error {
		_, err := app.Commit(t.Context(), m)
		return err
	}
	key, open := []byte("door"), []byte("open")
	require.NoError(t, commit(app.KvSetIfAbsent(key, open)))
	require.ErrorIs(t, commit(app.KvSetIfAbsent(key, open)), errs.ErrAssertionFailed)
	require.Equal(t, 1, together(32, func(int) error {
		return commit(aedb.If(app.KvSet(key, []byte("closed")), app.KeyEquals(key, open)))
	}))
	e, _, err := app.KV().Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, 1, together(32, func(i int) error {
		return commit(app.KvCompareAndSwap(key, fmt.Append(nil, i), e.Version))
	}))
	require.ErrorIs(t, commit(app.KvDelIf(key, open)), errs.ErrAssertionFailed)
}

func TestFact26AFloorUnderConcurrentSubtractions(t *testing.T) {
	app := openJobs(t, 0)
	_, err := app.Commit(t.Context(), app.KvSetU64([]byte("n"), 32))
	require.NoError(t, err)
	zero := make([]byte, 8)
	require.Equal(t, 31, together(64, func(int) error {
		_, err := app.Commit(t.Context(),
			app.KvSubU64([]byte("n"), 1, aedb.TreatAsZero, aedb.NoOp),
			aedb.Check(app.KeyCompare([]byte("n"), aedb.FormUnsigned, aedb.Gt, zero)),
		)
		return err
	}))
	require.Equal(t, uint64(1), u64At(t, app, "n"))
}

func TestFact45ConcurrentClaimsTakeARowEach(t *testing.T) {
	const rows, claims = 20, 30
	app := openJobs(t, rows)
	require.Equal(t, claims, together(claims, func(i int) error {
		_, err := app.Commit(t.Context(), app.ClaimOne("jobs", "by_priority", query.IsNull("owner"),
			query.Assign("owner", query.Lit(fmt.Sprint("worker ", i))),
			query.Assign("tries", query.Add(query.Col("tries"), query.Lit(1))),
		))
		return err
	}), "to find nothing is no failure")
	_, err := app.Commit(t.Context(), aedb.Check(
		app.CountCompare("jobs", query.IsNotNull("owner"), aedb.Eq, rows),
		app.SumCompare("jobs", "tries", query.Expr{}, aedb.Eq, aedb.Int(rows)),
	))
	require.NoError(t, err)
}

func TestRowsAreWrittenByEveryBuilder(t *testing.T) {
	app := openJobs(t, 3)
	key := []aedb.Value{aedb.Int(1)}
	paid := func(n uint64) aedb.Value { return aedb.U256(uint256.NewInt(n)) }
	least, greatest := int64(-3), int64(3)
	commit := func(code errs.Code, mutations ...aedb.Mutation) {
		t.Helper()
		_, err := app.Commit(t.Context(), mutations...)
		require.Equal(t, code, errs.CodeOf(err), "%v", err)
	}
	commit("",
		app.CellAdd("jobs", key, "paid", paid(9), aedb.RejectLimit), app.CellSub("jobs", key, "paid", paid(2), aedb.RejectLimit),
		aedb.Check(app.ColumnCompare("jobs", key, "paid", aedb.Eq, paid(7))),
		app.InsertOr("jobs", aedb.OnConflict{Action: aedb.UpdateRow, Set: []query.Assignment{
			query.Assign("priority", query.Add(query.Col("priority"), query.Proposed("priority"))),
		}}, job(1), job(4)),
		aedb.Check(app.ColumnCompare("jobs", key, "priority", aedb.Eq, aedb.Int(198))),
		app.UpdateWhere("jobs", query.Gt("priority", 99), query.Assign("owner", query.Lit("x"))),
		app.DeleteWhere("jobs", query.IsNull("owner")),
		aedb.Check(app.CountCompare("jobs", query.Expr{}, aedb.Eq, 2)),
		app.KvMaxU64([]byte("n"), 5, aedb.TreatAsZero), app.KvMinU64([]byte("n"), 3, aedb.RejectMissing),
		app.KvSetU256([]byte("w"), uint256.NewInt(4)), app.KvMaxU256([]byte("w"), uint256.NewInt(9), aedb.RejectMissing),
		app.KvMinU256([]byte("w"), uint256.NewInt(8), aedb.RejectMissing),
		app.KvAddI64([]byte("i"), -3, aedb.TreatAsZero, &least, &greatest),
		app.CounterAdd([]byte("c"), 1, 8, 3),
	)
	require.Equal(t, uint64(3), u64At(t, app, "n"))
	commit(errs.CodeUnderflow, app.KvSetU64([]byte("n"), 77), app.CellSub("jobs", key, "paid", paid(8), aedb.RejectLimit))
	require.Equal(t, uint64(3), u64At(t, app, "n"), "1: nothing of a failed envelope is visible")
	commit(errs.CodeRowNotFound, app.DeleteWhere("jobs", query.Expr{}), app.CellSub("jobs", key, "paid", paid(1), aedb.RejectLimit))
	commit(errs.CodeValidation, app.KvAddI64([]byte("i"), -1, aedb.TreatAsZero, &least, &greatest))
}
