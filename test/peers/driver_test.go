package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/test/peers/adapter"
	"github.com/empyrealapp/aedb-go/test/peers/cases"
)

// TestMain lets the test's own binary be the process in which a case is prepared.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		os.Exit(child(os.Args[2]))
	}
	os.Exit(m.Run())
}

// Every case runs on every peer it suits, on a tiny store, and finds the work
// done.
func TestEveryCaseOnEveryPeerDoesItsWork(t *testing.T) {
	for _, c := range cases.All() {
		for _, p := range adapter.All() {
			if !c.For(p) {
				continue
			}
			s, closeAndRemove, err := sample(t.TempDir(), p)
			require.NoError(t, err)
			suits := c.Suits(s)
			closeAndRemove()
			if !suits {
				continue
			}
			t.Run(c.Name+"/"+p.Name, func(t *testing.T) {
				o := order{Case: c.Name, Peer: p.Name, Dir: t.TempDir(), Entries: 1000, Duration: 5 * time.Millisecond}
				r, err := o.carryOut()
				require.NoError(t, err)
				require.Positive(t, r.Operations)
				if c.Name != "size" { // what a few entries weigh is lost in the noise
					require.Positive(t, r.Value)
				}
			})
		}
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-format", "html"}, {"-rounds", "0"}, {"-case", "("}, {"-peer", "("}, {"-entries", "1"}} {
		_, err := parse(args)
		require.Error(t, err, "%v", args)
	}
	o, err := parse([]string{"-short", "-rounds", "5"})
	require.NoError(t, err)
	require.Equal(t, 5, o.Rounds)
	require.Equal(t, 100_000, o.Entries)
}
