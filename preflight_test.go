package aedb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
)

func envelope(mutations ...aedb.Mutation) aedb.Envelope { return aedb.Envelope{Mutations: mutations} }

// valueAt returns the value under a key, nil if there is none.
func valueAt(t testing.TB, app *aedb.Scope, key string) []byte {
	e, _, err := app.KV().Get(context.Background(), []byte(key))
	require.NoError(t, err)
	return e.Value
}

func TestFact12AConcurrentSetOfAPlannedKeyIsAConflict(t *testing.T) {
	app, ctx := openApp(t), t.Context()
	for name, change := range map[string]aedb.Mutation{
		"set":    app.KvSet([]byte("k"), []byte("newer")),
		"remove": app.KvDel([]byte("k")),
	} {
		commit(t, app, app.KvSet([]byte("k"), []byte("old")))
		plan, err := app.Plan(ctx, envelope(app.KvSet([]byte("k"), []byte("planned"))))
		require.NoError(t, err, name)
		commit(t, app, change)
		want := valueAt(t, app, "k")
		_, err = app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
		require.ErrorIs(t, err, aedb.ErrConflict, name)
		require.Equal(t, aedb.AdviceReread, aedb.AdviceOf(err))
		require.Equal(t, want, valueAt(t, app, "k"), "the newer state stays")
	}
	// Without a change between, a plan commits, also one that is old, but once.
	plan, err := app.Plan(ctx, envelope(app.KvSet([]byte("k"), []byte("planned"))))
	require.NoError(t, err)
	commit(t, app, app.KvSet([]byte("other"), nil))
	_, err = app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
	require.NoError(t, err)
	_, err = app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrConflict)
}

func TestFact13AConcurrentChangeOfAPlannedRowIsAConflict(t *testing.T) {
	app, ctx := openJobs(t, 3), t.Context()
	key := []aedb.Value{aedb.Int(1)}
	for name, m := range map[string]aedb.Mutation{
		"upsert": app.Upsert("jobs", job(1)),
		"delete": app.Delete("jobs", aedb.Int(1)),
		"fields": app.UpdateFields("jobs", key, aedb.Set("tries", aedb.Int(7))),
		"cell":   app.CellAdd("jobs", key, "paid", aedb.U256(uint256.NewInt(1)), aedb.RejectLimit),
		"where":  app.UpdateWhere("jobs", query.Eq("id", 1), query.Assign("tries", query.Lit(7))),
		"all":    app.DeleteWhere("jobs", query.Gt("priority", 0)),
	} {
		plan, err := app.Plan(ctx, envelope(m))
		require.NoError(t, err, name)
		commit(t, app, app.UpdateFields("jobs", key, aedb.Set("owner", aedb.Text("somebody"))))
		_, err = app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
		require.ErrorIs(t, err, aedb.ErrConflict, name)
	}
	row, _, err := app.Row(ctx, "jobs", key...)
	require.NoError(t, err)
	require.Equal(t, aedb.Text("somebody"), row[2])
	require.Equal(t, aedb.Int(0), row[3])
}

func TestFact27APlanReliesOnWhatItReplacesAndNothingElse(t *testing.T) {
	app, ctx := openJobs(t, 3), t.Context()
	commit(t, app, app.KvSetU64([]byte("n"), 100), app.KvSetU256([]byte("w"), uint256.NewInt(100)), app.KvSet([]byte("k"), nil))
	n, w, k, key := []byte("n"), []byte("w"), []byte("k"), []aedb.Value{aedb.Int(1)}
	one := uint256.NewInt(1)
	type reads struct{ keys, rows, bands, prefix int }
	for name, c := range map[string]struct {
		m    aedb.Mutation
		want reads
	}{
		"set":                 {app.KvSet(k, nil), reads{keys: 1}},
		"del":                 {app.KvDel(k), reads{keys: 1}},
		"sub":                 {app.KvSubU64(n, 1, aedb.TreatAsZero, aedb.RejectLimit), reads{keys: 1}},
		"sub wide":            {app.KvSubU256(w, one, aedb.TreatAsZero, aedb.RejectLimit), reads{keys: 1}},
		"sub no-op":           {app.KvSubU64(n, 1, aedb.TreatAsZero, aedb.NoOp), reads{}},
		"add":                 {app.KvAddU64(n, 1, aedb.TreatAsZero, aedb.RejectLimit), reads{}},
		"add wide":            {app.KvAddU256(w, one, aedb.TreatAsZero, aedb.Saturate), reads{}},
		"set number":          {app.KvSetU64(n, 5), reads{}},
		"max":                 {app.KvMaxU64(n, 200, aedb.TreatAsZero), reads{}},
		"min":                 {app.KvMinU256(w, one, aedb.TreatAsZero), reads{}},
		"signed":              {app.KvAddI64([]byte("i"), -1, aedb.TreatAsZero, nil, nil), reads{}},
		"counter":             {app.CounterAdd([]byte("c"), 1, 8, 3), reads{}},
		"event":               {app.EmitEvent("jobs", "1", "{}"), reads{}},
		"definition":          {app.CreateIndex("jobs", aedb.IndexSpec{Name: "by_owner", Columns: []string{"owner"}}), reads{}},
		"check":               {aedb.Check(app.KeyExists(k, true), app.CountCompare("jobs", query.Expr{}, aedb.Eq, 3)), reads{}},
		"guarded set":         {aedb.If(app.KvSet(k, nil), app.CountCompare("jobs", query.Expr{}, aedb.Eq, 3)), reads{keys: 1}},
		"insert":              {app.Insert("jobs", job(9)), reads{rows: 1}},
		"upserts":             {app.UpsertBatch("jobs", []aedb.Row{job(1), job(2)}), reads{rows: 2}},
		"insert by columns":   {app.InsertInto("jobs", []string{"tries", "priority", "paid", "id"}, aedb.Row{aedb.Int(0), aedb.Int(1), aedb.U256(one), aedb.Int(9)}), reads{rows: 1}},
		"insert or":           {app.InsertOr("jobs", aedb.OnConflict{Action: aedb.KeepRow}, job(1)), reads{}},
		"fields":              {app.UpdateFields("jobs", key, aedb.Set("tries", aedb.Int(1))), reads{rows: 1}},
		"delete":              {app.Delete("jobs", key...), reads{rows: 1}},
		"cell":                {app.CellAdd("jobs", key, "paid", aedb.U256(one), aedb.RejectLimit), reads{rows: 1}},
		"where the key is":    {app.DeleteWhere("jobs", query.Eq("id", 1)), reads{bands: 1, prefix: 1}},
		"where the key is in": {app.DeleteWhere("jobs", query.In("id", 0, 2)), reads{bands: 2, prefix: 2}},
		"where the key is up": {app.DeleteWhere("jobs", query.Gt("id", 1)), reads{bands: 1}},
		"where by an index":   {app.UpdateWhere("jobs", query.Eq("priority", 99), query.Assign("tries", query.Lit(1))), reads{bands: 1}},
		"where nothing is":    {app.DeleteWhere("jobs", query.And(query.Eq("id", 1), query.Eq("id", 2))), reads{}},
		"claim":               {app.ClaimOne("jobs", "by_priority", query.IsNull("owner"), query.Assign("owner", query.Lit("w"))), reads{bands: 1}},
	} {
		plan, err := app.Plan(ctx, envelope(c.m))
		require.NoError(t, err, name)
		set := plan.Envelope.ReadSet
		got := reads{keys: len(set.Keys), rows: len(set.Rows), bands: len(set.RowRanges)}
		for _, b := range set.RowRanges {
			got.prefix += len(b.Prefix)
		}
		require.Equal(t, c.want, got, name)
		require.Empty(t, set.KeyRanges, name)
		require.Equal(t, plan.SnapshotSeq, plan.Envelope.BaseSeq)
	}
	// What commutes may change between.
	plan, err := app.Plan(ctx, envelope(
		app.KvAddU64(n, 1, aedb.TreatAsZero, aedb.RejectLimit),
		aedb.Check(app.KeyCompare(n, aedb.FormUnsigned, aedb.Lt, []byte{0, 0, 0, 0, 0, 0, 1, 0})),
	))
	require.NoError(t, err)
	commit(t, app, app.KvAddU64(n, 10, aedb.TreatAsZero, aedb.RejectLimit))
	_, err = app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
	require.NoError(t, err)
	require.EqualValues(t, 111, u64At(t, app, "n"))
}

func TestFact35ANumberOfTheWrongLengthIsFoundByPreflightAndCommit(t *testing.T) {
	app, ctx := openApp(t), t.Context()
	commit(t, app, app.KvSet([]byte("k"), []byte{1, 2, 3}))
	add := envelope(app.KvAddU256([]byte("k"), uint256.NewInt(1), aedb.TreatAsZero, aedb.RejectLimit))
	_, preflight := app.Preflight(ctx, add)
	_, committed := app.CommitEnvelope(ctx, add, aedb.Visible)
	for _, err := range []error{preflight, committed} {
		require.ErrorIs(t, err, aedb.ErrValidation)
		require.ErrorContains(t, err, "length")
	}
}

func TestFact66PreflightTellsWhatTheCommitWouldAndReservesNothing(t *testing.T) {
	app, ctx := openJobs(t, 2), t.Context()
	commit(t, app, app.KvSetU64([]byte("n"), 5))
	key := []aedb.Value{aedb.Int(1)}
	for name, c := range map[string]struct {
		code errs.Code
		at   int // of the mutation at fault, or -1
		env  aedb.Envelope
	}{
		"underflow": {errs.CodeUnderflow, 1, envelope(
			app.KvSubU64([]byte("n"), 4, aedb.TreatAsZero, aedb.RejectLimit), app.KvSubU64([]byte("n"), 2, aedb.TreatAsZero, aedb.RejectLimit))},
		"overflow":  {errs.CodeOverflow, 0, envelope(app.KvAddU64([]byte("n"), 1<<64-1, aedb.TreatAsZero, aedb.RejectLimit))},
		"duplicate": {errs.CodeDuplicatePrimaryKey, 2, envelope(app.KvSet(nil, nil), app.Insert("jobs", job(7)), app.Insert("jobs", job(7)))},
		"limit":     {errs.CodeLimitExceeded, 1, envelope(app.KvSet(nil, nil), app.KvSet(make([]byte, 2000), nil))},
		"column":    {errs.CodeUnknownColumn, 0, envelope(app.UpdateFields("jobs", key, aedb.Set("colour", aedb.Int(1))))},
		"row":       {errs.CodeRowNotFound, 0, envelope(app.UpdateFields("jobs", []aedb.Value{aedb.Int(8)}, aedb.Set("tries", aedb.Int(1))))},
		"bounds":    {errs.CodeOverflow, 0, envelope(app.KvAddI64([]byte("n"), 1<<63-1, aedb.TreatAsZero, nil, nil))},
		"check":     {errs.CodeAssertionFailed, 1, envelope(app.KvSetU64([]byte("n"), 1), aedb.Check(app.KeyExists([]byte("n"), false)))},
		"assertion": {errs.CodeAssertionFailed, -1, aedb.Envelope{
			Assertions: []aedb.Assertion{app.RowExists("jobs", key, false)}, Mutations: []aedb.Mutation{app.KvSet(nil, nil)}}},
		"stale": {errs.CodeConflict, -1, aedb.Envelope{
			ReadSet: aedb.ReadSet{Keys: []aedb.KeyRead{app.KeyRead([]byte("n"), 1)}}, Mutations: []aedb.Mutation{app.KvSet(nil, nil)}}},
		"nothing": {errs.CodeValidation, -1, envelope()},
	} {
		preview, err := app.Preflight(ctx, c.env)
		require.Equal(t, c.code, aedb.CodeOf(err), "%s: %v", name, err)
		require.NotZero(t, preview.SnapshotSeq)
		var at *aedb.MutationError
		require.Equal(t, c.at >= 0, errors.As(err, &at), name)
		if at != nil {
			require.Equal(t, c.at, at.Index, name)
		}
		_, err = app.CommitWithPreflight(ctx, c.env, aedb.Visible)
		require.Equal(t, c.code, aedb.CodeOf(err), "errors keep their codes")
		_, err = app.CommitEnvelope(ctx, c.env, aedb.Visible)
		require.Equal(t, c.code, aedb.CodeOf(err), "the commit says the same")
		require.Equal(t, c.at >= 0, errors.As(err, &at), name)
	}
	preview, err := app.Preflight(ctx, envelope(app.KvSubU64([]byte("n"), 5, aedb.TreatAsZero, aedb.RejectLimit), app.Insert("jobs", job(7))))
	require.NoError(t, err)
	require.Equal(t, 2, preview.Affected, "index entries do not count")
	require.EqualValues(t, 0, preview.Replies[0].Value.AsU64())
	require.EqualValues(t, 5, u64At(t, app, "n"), "nothing has changed")

	// What was fine is refused when the table has changed.
	fields := envelope(app.UpdateFields("jobs", key, aedb.Set("tries", aedb.Int(1))))
	_, err = app.Preflight(ctx, fields)
	require.NoError(t, err)
	commit(t, app, app.DropTable("jobs"))
	_, err = app.Preflight(ctx, fields)
	require.ErrorIs(t, err, aedb.ErrTableNotFound)
}

func TestAPlanCoversWhatItMakesItself(t *testing.T) {
	app, ctx := openJobs(t, 1), t.Context()
	again := aedb.TableSpec{
		Columns:    []aedb.ColumnSpec{aedb.Column("a", aedb.TypeText), aedb.Column("b", aedb.TypeText)},
		PrimaryKey: []string{"a", "b"},
	}
	row := aedb.Row{aedb.Text("x"), aedb.Text("y")}
	result, err := app.CommitWithPreflight(ctx, envelope(
		app.Delete("jobs", aedb.Int(0)),
		app.DropTable("jobs"), app.CreateTable("jobs", again), app.Insert("jobs", row), app.DeleteWhere("jobs", query.Eq("a", "z")),
		app.CreateTable("other", again), app.Insert("other", row),
	), aedb.Durable)
	require.NoError(t, err)
	require.GreaterOrEqual(t, result.DurableSeq, result.CommitSeq)
	got, _, err := app.Row(ctx, "jobs", row...)
	require.NoError(t, err)
	require.Equal(t, row, got)
}

func TestAPlanKeepsWhatTheEnvelopeBrought(t *testing.T) {
	app, ctx := openApp(t), t.Context()
	commit(t, app, app.KvSet([]byte("a"), nil))
	preview, err := app.Preflight(ctx, envelope(app.KvSet([]byte("b"), nil)))
	require.NoError(t, err)
	key := aedb.IdempotencyKey{7}
	keys := make([]aedb.KeyRead, 1, 8)
	keys[0] = app.KeyRead([]byte("a"), preview.SnapshotSeq)
	env := aedb.Envelope{
		IdempotencyKey: &key, WriteClass: aedb.Economic, ReadSet: aedb.ReadSet{Keys: keys},
		Mutations: []aedb.Mutation{app.KvSet([]byte("b"), nil)},
	}
	plan, err := app.Plan(ctx, env)
	require.NoError(t, err)
	require.Len(t, plan.Envelope.ReadSet.Keys, 2)
	require.Empty(t, keys[:2][1].Key, "the caller's room is not written to")
	require.Equal(t, env.WriteClass, plan.Envelope.WriteClass)
	commit(t, app, app.KvSet([]byte("a"), nil))
	_, err = app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrConflict)
}

// drawMutation draws mutations on a few keys and on rows 0 to 6 of "jobs". The
// first so many kinds rely on what they replace; the others commute.
func drawMutation(app *aedb.Scope, kinds int) *rapid.Generator[aedb.Mutation] {
	return rapid.Custom(func(r *rapid.T) aedb.Mutation {
		id := rapid.Int64Range(0, 6).Draw(r, "id")
		k := fmt.Appendf(nil, "k%d", id%3)
		switch rapid.IntRange(0, kinds-1).Draw(r, "kind") {
		case 0:
			return app.KvSubU64(k, uint64(id), aedb.TreatAsZero, aedb.RejectLimit)
		case 1:
			return app.KvSet(k, make([]byte, id+id%2*7)) // at times a number
		case 2:
			return app.KvDel(k)
		case 3:
			return app.Insert("jobs", job(id))
		case 4:
			return app.Delete("jobs", aedb.Int(id))
		case 5:
			return app.UpdateFields("jobs", []aedb.Value{aedb.Int(id)}, aedb.Set("tries", aedb.Int(id)))
		case 6:
			return app.DeleteWhere("jobs", query.Gt("id", id))
		case 7:
			return app.UpdateWhere("jobs", query.Eq("id", id), query.Assign("tries", query.Add(query.Col("tries"), query.Lit(1))))
		case 8:
			return app.UpdateWhere("jobs", query.Eq("priority", 100-id), query.Assign("tries", query.Add(query.Col("tries"), query.Lit(1))))
		case 9:
			return app.ClaimOne("jobs", "by_priority", query.IsNull("owner"), query.Assign("owner", query.Lit("w")))
		case 10:
			return app.KvAddU64(k, uint64(id), aedb.MissingPolicy(id%2), aedb.RejectLimit)
		case 11:
			return app.KvSetU64(k, uint64(id))
		}
		return aedb.Check(app.CountCompare("jobs", query.Expr{}, aedb.Gt, uint64(id/2)))
	})
}

const relying, allKinds = 10, 13

// TestPreflightAndCommitAgree lets both answer random envelopes on the same state.
func TestPreflightAndCommitAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		app := openJobs(t, 4)
		for range rapid.IntRange(1, 8).Draw(r, "envelopes") {
			env := envelope(rapid.SliceOfN(drawMutation(app, allKinds), 1, 4).Draw(r, "mutations")...)
			plan, foreseen := app.Plan(t.Context(), env)
			if foreseen == nil {
				env = plan.Envelope
			}
			result, err := app.CommitEnvelope(t.Context(), env, aedb.Visible)
			require.Equal(r, aedb.CodeOf(foreseen), aedb.CodeOf(err), "foreseen %v, got %v", foreseen, err)
			require.Equal(r, plan.Replies, result.Replies)
		}
	})
}

// TestAPlanThatCommitsDoesWhatItTold has others commit between the plan and its
// commit: that is a conflict, or it finds everything as the plan did.
func TestAPlanThatCommitsDoesWhatItTold(t *testing.T) {
	committed, conflicts := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		app := openJobs(t, 4)
		for range rapid.IntRange(1, 8).Draw(r, "plans") {
			plan, err := app.Plan(t.Context(), envelope(rapid.SliceOfN(drawMutation(app, relying), 1, 3).Draw(r, "planned")...))
			if err != nil {
				continue
			}
			between := rapid.SliceOfN(drawMutation(app, allKinds), 0, 2).Draw(r, "between")
			if len(between) > 0 {
				_, _ = app.Commit(t.Context(), between...) // may be refused
			}
			result, err := app.CommitEnvelope(t.Context(), plan.Envelope, aedb.Visible)
			if errors.Is(err, aedb.ErrConflict) {
				conflicts++
				continue
			}
			require.NoError(r, err)
			committed++
			for i := range result.Replies { // the versions are of another commit
				require.Equal(r, plan.Replies[i].Affected, result.Replies[i].Affected)
				require.Equal(r, plan.Replies[i].Value, result.Replies[i].Value)
				require.Equal(r, plan.Replies[i].Rows, result.Replies[i].Rows)
			}
		}
	})
	require.Positive(t, committed)
	require.Positive(t, conflicts)
}

func BenchmarkPreflight(b *testing.B) {
	app := openApp(b)
	load := make([]aedb.Mutation, 10_000)
	for i := range load {
		load[i] = app.KvSetU64(fmt.Appendf(nil, "key-%05d", i), 1<<40)
	}
	commit(b, app, load...)
	key := []byte("key-05000")
	env := envelope(app.KvSubU64(key, 1, aedb.RejectMissing, aedb.RejectLimit))
	for name, f := range map[string]func() error{
		"preflight": func() error { _, err := app.Preflight(b.Context(), env); return err },
		"planned commit": func() error {
			_, err := app.CommitWithPreflight(b.Context(), env, aedb.Visible)
			return err
		},
		"commit": func() error { _, err := app.CommitEnvelope(b.Context(), env, aedb.Visible); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestARetryWithPreflightIsADuplicateThoughItFindsItsOwnTraces(t *testing.T) {
	app, ctx, key := openJobs(t, 1), t.Context(), aedb.NewIdempotencyKey()
	env := func(m aedb.Mutation, assertions ...aedb.Assertion) aedb.Envelope {
		return aedb.Envelope{IdempotencyKey: &key, Assertions: assertions, Mutations: []aedb.Mutation{m}}
	}
	insert := env(app.Insert("jobs", job(7)), app.KeyExists([]byte("k"), false))
	first, err := app.CommitWithPreflight(ctx, insert, aedb.Visible)
	require.NoError(t, err)
	require.Equal(t, aedb.Applied, first.Outcome)

	again := func(finality aedb.Finality) {
		t.Helper()
		r, err := app.CommitWithPreflight(ctx, insert, finality)
		require.NoError(t, err)
		require.Equal(t, aedb.Duplicate, r.Outcome)
		require.Equal(t, first.CommitSeq, r.CommitSeq)
	}
	again(aedb.Visible)
	commit(t, app, app.KvSet([]byte("k"), nil), app.DropTable("jobs"))
	again(aedb.Durable)

	_, err = app.CommitWithPreflight(ctx, env(app.Delete("jobs", aedb.Int(7))), aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrIdempotencyMismatch)
	key = aedb.NewIdempotencyKey()
	_, err = app.CommitWithPreflight(ctx, insert, aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrTableNotFound)
	_, err = app.CommitWithPreflight(ctx, env(app.KvSet([]byte("k"), nil), app.KeyExists([]byte("k"), false)), aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrAssertionFailed)
}
