// Package history checks what many callers see of one store: that there is one
// order of commits and reads which explains every answer, also across power
// losses, and that transactions, tickets, snapshots and figures keep their
// promises while others are at work.
//
// Stores live in a simulated file system, so that power can be lost at any
// point. Every random choice hangs on a seed, which is the name of the subtest.
// AEDB_LONG=1 runs many more seeds.
package history

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dir is where the store of a test lives within its file system.
const dir = "store"

// seeds returns the seeds for a test that makes random choices.
func seeds() []uint64 {
	n := 3
	switch {
	case os.Getenv("AEDB_LONG") != "":
		n = 200
	case testing.Short():
		n = 1
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i) + 1
	}
	return out
}

// scale shortens a test under -short.
func scale(n int) int {
	if testing.Short() {
		return max(1, n/4)
	}
	return n
}

// open opens the store in a file system, and closes it at the end of the test if
// the test has not.
func open(t testing.TB, fsys vfs.FS, tune ...func(*aedb.Config)) *aedb.DB {
	t.Helper()
	cfg := aedb.DefaultConfig()
	cfg.FS = fsys
	cfg.Logger = aedb.Zerolog(zerolog.Nop())
	for _, f := range tune {
		f(&cfg)
	}
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the tests that care close it themselves
	return db
}

// openApp opens a store that has the scope every test works in.
func openApp(t testing.TB, fsys vfs.FS, tune ...func(*aedb.Config)) (*aedb.DB, *aedb.Scope) {
	t.Helper()
	db := open(t, fsys, tune...)
	_, err := db.NoAuth().CreateProject(t.Context(), "p")
	require.NoError(t, err)
	return db, db.NoAuth().Scope("p", "app")
}

// reopen opens a store that has been left before.
func reopen(t testing.TB, fsys vfs.FS, tune ...func(*aedb.Config)) (*aedb.DB, *aedb.Scope) {
	t.Helper()
	db := open(t, fsys, tune...)
	return db, db.NoAuth().Scope("p", "app")
}

func durability(d aedb.Durability) func(*aedb.Config) {
	return func(c *aedb.Config) { c.Durability = d }
}

var modes = []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered}

// forEachMode runs a test in every durability mode.
func forEachMode(t *testing.T, f func(t *testing.T, mode aedb.Durability)) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) { f(t, mode) })
	}
}

func forEachSeed(t *testing.T, f func(t *testing.T, seed uint64)) {
	for _, seed := range seeds() {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { f(t, seed) })
	}
}

// number is the stored form of arithmetic: 8 big-endian bytes.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func key(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }

// add is the mutation that adds to a number.
func add(app *aedb.Scope, k []byte, n uint64) aedb.Mutation {
	return app.KvAddU64(k, n, aedb.TreatAsZero, aedb.RejectLimit)
}

// readNumber returns a stored number; a key that is not there counts as 0.
func readNumber(ctx context.Context, kv aedb.KV, k []byte, opts ...aedb.ReadOption) (uint64, error) {
	e, found, err := kv.Get(ctx, k, opts...)
	if err != nil || !found {
		return 0, err
	}
	if len(e.Value) != 8 {
		return 0, fmt.Errorf("key %s holds %d bytes", k, len(e.Value))
	}
	return binary.BigEndian.Uint64(e.Value), nil
}

func mustNumber(t testing.TB, kv aedb.KV, k []byte, opts ...aedb.ReadOption) uint64 {
	t.Helper()
	n, err := readNumber(context.Background(), kv, k, opts...)
	require.NoError(t, err)
	return n
}

// updateNumber reads and writes a number within a transaction.
func updateNumber(ctx context.Context, tx *aedb.Tx, k []byte, change func(uint64) uint64) error {
	n, err := readNumber(ctx, tx.KV(), k)
	if err != nil {
		return err
	}
	return tx.Set(k, number(change(n)))
}
