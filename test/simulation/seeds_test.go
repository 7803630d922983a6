package simulation

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// events is the length of a history, without those that bring it to rest.
const events = 500

// kept are seeds that have shown a defect: of the engine, or one that was put into it
// to see whether they would.
var kept = []struct {
	seed uint64
	what string
}{
	{47, "a refusal behind a volatile commit is never answered"},
	{0, "put in: the directory is not synced at a rotation"},
	{3, "put in: the fsyncer is not told of what must be synced"},
	{4, "put in: an opening does not write again what may be in the cache alone"},
	{14, "put in: the header of a segment is not synced"},
	{17, "put in: frames claim that more is durable than is"},
	{80, "put in: a sync that failed is tried again"},
	{137, "put in: the directory is not synced after the manifest"},
}

// simulate runs the history of a seed.
func simulate(seed uint64, verbose bool) (w *world, err error) {
	w = newWorld(seed)
	w.trace.all = verbose
	defer func() {
		if p := recover(); p != nil {
			panic(fmt.Sprintf("AEDB_SEED=%d: %v\n%v", seed, p, &w.trace))
		}
	}()
	err = w.run(events)
	return w, err
}

func requireSound(t *testing.T, seed uint64, w *world, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("AEDB_SEED=%d: %v\n%v", seed, err, &w.trace)
	}
}

// number returns the number in a variable of the environment.
func number(t *testing.T, name string) (n uint64, set bool) {
	s := os.Getenv(name)
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err, name)
	return n, true
}

func TestEveryHistoryKeepsThePromises(t *testing.T) {
	first, one := number(t, "AEDB_SEED")
	seeds := uint64(1000)
	switch {
	case os.Getenv("AEDB_LONG") != "":
		seeds = 50_000
	case one:
		w, err := simulate(first, true)
		requireSound(t, first, w, err)
		t.Logf("AEDB_SEED=%d\n%v", first, &w.trace)
		return
	case testing.Short():
		seeds = 150
	}
	met := map[string]int{}
	for seed := first; seed < first+seeds; seed++ {
		w, err := simulate(seed, false)
		requireSound(t, seed, w, err)
		for what, n := range w.met {
			met[what] += n
		}
	}
	t.Log(met)
	for _, what := range []string{
		"answered ", "answered conflict", "answered assertion_failed", "answered unique_violation",
		"answered idempotency_mismatch", "answered canceled", "answered unavailable", "answered indeterminate",
		"broken down", "closed", "killed", "failed to open", "checkpoint damaged",
		"killed in the middle", "power lost", "power lost in the middle", "power lost while opening",
	} {
		require.Positive(t, met[what], "no history has met %q", what)
	}
}

func TestKeptSeedsKeepThePromises(t *testing.T) {
	for _, k := range kept {
		t.Run(k.what, func(t *testing.T) {
			w, err := simulate(k.seed, false)
			requireSound(t, k.seed, w, err)
		})
	}
}

func TestASeedRepeatsItsHistory(t *testing.T) {
	for seed := range uint64(20) {
		first, err := simulate(seed, false)
		requireSound(t, seed, first, err)
		second, err := simulate(seed, false)
		requireSound(t, seed, second, err)
		require.Equal(t, first.trace.digest, second.trace.digest, "AEDB_SEED=%d", seed)
		require.Equal(t, first.engine.heads.Visible().Digest(), second.engine.heads.Visible().Digest(), "AEDB_SEED=%d", seed)
	}
}
