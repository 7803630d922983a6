package aedb_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

func TestAListOfMutationsIsOneCommit(t *testing.T) {
	app, ctx := openJobs(t, 0), t.Context()
	list := []aedb.Mutation{app.InsertBatch("jobs", []aedb.Row{job(0), job(1), job(2)}), app.EmitEvent("jobs", "made", "{}")}
	for i := range 100 {
		list = append(list, app.KvSet(fmt.Appendf(nil, "k%02d", i%50), []byte{byte(i)}))
	}
	result, err := app.Commit(ctx, list...)
	require.NoError(t, err)
	n := 0
	for e, err := range app.KV().Prefix(ctx, []byte("k")) {
		require.NoError(t, err)
		require.Equal(t, result.CommitSeq, e.Version)
		require.Equal(t, []byte{byte(50 + n)}, e.Value, "the later write to a key wins")
		n++
	}
	require.Equal(t, 50, n)
	_, version, err := app.Row(ctx, "jobs", aedb.Int(2))
	require.NoError(t, err)
	require.Equal(t, result.CommitSeq, version)

	// All or nothing, whatever kinds there are.
	list = append([]aedb.Mutation{app.DeleteWhere("jobs", query.Expr{}), app.KvSet([]byte("new"), nil)}, list...)
	list = append(list, app.Insert("jobs", job(2)))
	_, err = app.Commit(ctx, list...)
	require.ErrorIs(t, err, aedb.ErrDuplicatePrimaryKey)
	var at *aedb.MutationError
	require.ErrorAs(t, err, &at)
	require.Equal(t, len(list)-1, at.Index)
	require.Nil(t, valueAt(t, app, "new"))
	next, err := app.Commit(ctx, app.KvSet([]byte("new"), nil))
	require.NoError(t, err)
	require.Equal(t, result.CommitSeq+1, next.CommitSeq, "a refusal takes no seq")

	for _, empty := range []aedb.Envelope{{}, envelope(app.InsertBatch("jobs", nil)), envelope(app.UpsertBatch("jobs", nil))} {
		_, err = app.CommitEnvelope(ctx, empty, aedb.Visible)
		require.ErrorIs(t, err, aedb.ErrValidation)
	}
}
