package aedb_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestCommitOnceAppliesOnceAlsoAfterARestart(t *testing.T) {
	ctx := t.Context()
	cfg := followed()
	db, app := openWith(t, cfg)
	key, add := aedb.NewIdempotencyKey(), func(app *aedb.Scope) aedb.Envelope {
		return aedb.Envelope{
			Assertions: []aedb.Assertion{app.KeyExists([]byte("n"), false)}, // would fail the second time
			Mutations:  []aedb.Mutation{app.KvAddU64([]byte("n"), 25, aedb.TreatAsZero, aedb.RejectLimit)},
		}
	}
	first, err := app.CommitOnce(ctx, key, add(app), aedb.Durable)
	require.NoError(t, err)
	require.Equal(t, aedb.Applied, first.Outcome)
	for range 2 {
		again, err := app.CommitOnce(ctx, key, add(app), aedb.Visible)
		require.NoError(t, err)
		require.Equal(t, aedb.Duplicate, again.Outcome)
		require.Equal(t, first.CommitSeq, again.CommitSeq)
		require.NoError(t, db.Close(ctx))
		db, app = openWith(t, cfg)
	}
	require.EqualValues(t, 25, u64At(t, app, "n"))
	other := add(app)
	other.Mutations = []aedb.Mutation{app.KvDel([]byte("n"))}
	_, err = app.CommitOnce(ctx, key, other, aedb.Visible)
	require.ErrorIs(t, err, aedb.ErrIdempotencyMismatch)
	require.NoError(t, db.Close(ctx))
}

func TestCommitOnceRefusesWhatCouldHappenTwice(t *testing.T) {
	ctx := t.Context()
	refused := func(app *aedb.Scope, key aedb.IdempotencyKey, spoil func(*aedb.Envelope)) {
		t.Helper()
		env := envelope(app.KvSet([]byte("k"), nil))
		spoil(&env)
		_, err := app.CommitOnce(ctx, key, env, aedb.Visible)
		require.ErrorIs(t, err, aedb.ErrValidation)
		require.Equal(t, aedb.AdviceFix, aedb.AdviceOf(err))
	}
	app, key := openApp(t), aedb.NewIdempotencyKey()
	asItIs := func(*aedb.Envelope) {}
	refused(app, aedb.IdempotencyKey{}, asItIs)
	refused(app, key, func(e *aedb.Envelope) { other := aedb.NewIdempotencyKey(); e.IdempotencyKey = &other })
	refused(app, key, func(e *aedb.Envelope) { e.ReadSet.Keys = []aedb.KeyRead{app.KeyRead([]byte("k"), 0)} })
	env := envelope(app.KvSet([]byte("k"), nil))
	env.IdempotencyKey = &key
	_, err := app.CommitOnce(ctx, key, env, aedb.Visible)
	require.NoError(t, err)

	cfg := followed()
	cfg.FS, cfg.IdempotencyCommits, cfg.IdempotencyAge = vfs.NewMem(), 0, 0
	db, forgetful := openWith(t, cfg)
	refused(forgetful, key, asItIs)
	require.NoError(t, db.Close(context.Background()))
}
