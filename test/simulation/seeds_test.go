package simulation

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// events is the length of a history.
const events = 500

// kept are seeds that have once shown something, with what it was.
var kept = []struct {
	seed uint64
	what string
}{}

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

func TestEveryHistoryKeepsThePromises(t *testing.T) {
	if s := os.Getenv("AEDB_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "AEDB_SEED")
		w, err := simulate(seed, true)
		requireSound(t, seed, w, err)
		t.Logf("AEDB_SEED=%d\n%v", seed, &w.trace)
		return
	}
	seeds := uint64(1000)
	switch {
	case os.Getenv("AEDB_LONG") != "":
		seeds = 100_000
	case testing.Short():
		seeds = 150
	}
	met := map[string]int{}
	for seed := range seeds {
		w, err := simulate(seed, false)
		requireSound(t, seed, w, err)
		for what, n := range w.met {
			met[what] += n
		}
	}
	t.Log(met)
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
