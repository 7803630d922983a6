package aedb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
)

func TestCounterIsSummedAndItsShardsAreNotAmongTheKeys(t *testing.T) {
	app, ctx := openApp(t), t.Context()
	sum, shards, err := app.KV().Counter(ctx, []byte("visits"))
	require.NoError(t, err)
	require.Zero(t, sum)
	require.Zero(t, shards)
	for i := range uint32(20) {
		_, err = app.Commit(ctx, app.CounterAdd([]byte("visits"), 2, 4, i), app.KvSet([]byte{'a' + byte(i)}, nil))
		require.NoError(t, err)
	}
	sum, shards, err = app.KV().Counter(ctx, []byte("visits"))
	require.NoError(t, err)
	require.EqualValues(t, 40, sum)
	require.Equal(t, 4, shards)
	n := 0
	for e, err := range app.KV().Scan(ctx, aedb.Range{Limit: 20}) {
		require.NoError(t, err)
		require.Len(t, e.Key, 1)
		n++
	}
	require.Equal(t, 20, n)

	// What was read of a counter, a transaction depends on.
	racing := true
	require.NoError(t, app.Update(ctx, func(tx *aedb.Tx) error {
		sum, _, err := tx.KV().Counter(ctx, []byte("visits"))
		if err != nil {
			return err
		}
		if racing {
			racing = false
			_, err = app.Commit(ctx, app.CounterAdd([]byte("visits"), 2, 4, 1))
			require.NoError(t, err)
		}
		return tx.Set([]byte("seen"), []byte{byte(sum)})
	}))
	e, _, err := app.KV().Get(ctx, []byte("seen"))
	require.NoError(t, err)
	require.Equal(t, []byte{42}, e.Value)
}

func TestRepliesComeBackInTheResult(t *testing.T) {
	app, ctx := openApp(t), t.Context()
	for i := range uint64(3) {
		r, err := app.Commit(ctx, app.KvSet([]byte("k"), nil), app.KvMaxU64([]byte("n"), 10+i, aedb.TreatAsZero))
		require.NoError(t, err)
		require.Len(t, r.Replies, 1)
		require.Equal(t, 1, r.Replies[0].Mutation)
		require.Equal(t, 10+i, r.Replies[0].Value.AsU64())
		require.Equal(t, r.CommitSeq, r.Replies[0].Version)
	}
}
