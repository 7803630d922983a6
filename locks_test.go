package aedb_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/locks"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestLockTokensRiseAcrossOpeningsAndCloseEndsWaits(t *testing.T) {
	cfg := aedb.DefaultConfig()
	cfg.FS = vfs.NewMem()
	var last locks.Token
	for range 3 {
		db, err := aedb.OpenNoAuth("store", cfg)
		require.NoError(t, err)
		key := db.NoAuth().Scope("shop", "app").LockKey("order-7")
		holder := db.Locks().Guard(t.Context())
		token, err := holder.Lock(t.Context(), key, locks.Exclusive)
		require.NoError(t, err)
		require.Greater(t, token, last)
		last = token
		require.Equal(t, 1, db.OperationalMetrics().Locks.Held)

		waiting := make(chan error, 1)
		go func() {
			guard := db.Locks().Guard(context.Background())
			defer guard.Release()
			_, err := guard.Lock(context.Background(), key, locks.Exclusive)
			waiting <- err
		}()
		require.NoError(t, db.Close(t.Context()))
		require.ErrorIs(t, <-waiting, errs.ErrUnavailable)
		holder.Release()
	}
}

func ExampleDB_Locks() {
	cfg := aedb.DefaultConfig()
	cfg.FS = vfs.NewMem()
	db, err := aedb.OpenNoAuth("store", cfg)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	defer db.Close(ctx)
	app := db.NoAuth().Scope("shop", "app")

	guard := db.Locks().Guard(ctx)
	defer guard.Release()
	// Both, or neither; the order in which they are named does not matter.
	err = guard.LockAll(ctx, locks.Want{Key: app.LockKey("till-2")}, locks.Want{Key: app.LockKey("till-1")})
	fmt.Println(err, db.Locks().IsLocked(app.LockKey("till-1")))
	// Output: <nil> true
}
