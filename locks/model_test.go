package locks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/locks"
)

// TestTryLockAgreesWithAMapOfHolders drives a few guards on a few keys, and
// compares with who ought to hold what.
func TestTryLockAgreesWithAMapOfHolders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const guardCount = 3
		m := locks.New(locks.Limits{}, 0)
		guards := make([]*locks.Guard, guardCount)
		for i := range guards {
			guards[i] = m.Guard(context.Background())
		}
		held := map[string]map[int]locks.Mode{}
		var last locks.Token
		free := func(object string, who int, mode locks.Mode) bool {
			for other, theirs := range held[object] {
				if other != who && (mode == locks.Exclusive || theirs == locks.Exclusive) {
					return false
				}
			}
			return true
		}
		take := func(object string, who int, mode locks.Mode) {
			if held[object] == nil {
				held[object] = map[int]locks.Mode{}
			}
			if mine, ok := held[object][who]; !ok || mine == locks.Shared {
				held[object][who] = mode
			}
		}
		who := rapid.IntRange(0, guardCount-1)
		object := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		mode := rapid.SampledFrom([]locks.Mode{locks.Exclusive, locks.Shared})
		t.Repeat(map[string]func(*rapid.T){
			"try": func(t *rapid.T) {
				g, o, md := who.Draw(t, "guard"), object.Draw(t, "object"), mode.Draw(t, "mode")
				mine, had := held[o][g]
				token, ok, err := guards[g].TryLock(key(o), md)
				require.NoError(t, err)
				require.Equal(t, free(o, g, md), ok)
				if !ok {
					return
				}
				if fresh := !had || mine == locks.Shared && md == locks.Exclusive; fresh {
					require.Greater(t, token, last)
					last = token
				}
				take(o, g, md)
			},
			"unlock": func(t *rapid.T) {
				g, o := who.Draw(t, "guard"), object.Draw(t, "object")
				guards[g].Unlock(key(o))
				delete(held[o], g)
			},
			"release": func(t *rapid.T) {
				g := who.Draw(t, "guard")
				guards[g].Release()
				guards[g] = m.Guard(context.Background())
				for _, holders := range held {
					delete(holders, g)
				}
			},
			"": func(t *rapid.T) {
				total := 0
				for _, o := range []string{"a", "b", "c", "d"} {
					require.Equal(t, len(held[o]) > 0, m.IsLocked(key(o)))
					total += len(held[o])
					for g, guard := range guards {
						_, holds := held[o][g]
						require.Equal(t, holds, slices.Contains(guard.Keys(), key(o)))
					}
				}
				require.Equal(t, total, m.Stats().Held)
				require.Equal(t, int64(total), m.Reserved())
			},
		})
	})
}

func TestLockAllInOppositeOrdersNeverDeadlocks(t *testing.T) {
	m := newManager(t, locks.Limits{})
	p, q := locks.Want{Key: key("p")}, locks.Want{Key: key("q")}
	var callers sync.WaitGroup
	for _, wants := range [][]locks.Want{{p, q}, {q, p}} {
		callers.Go(func() {
			for range 50 {
				g := m.Guard(t.Context())
				if err := g.LockAll(t.Context(), wants...); err != nil {
					t.Error(err)
				}
				g.Release()
			}
		})
	}
	callers.Wait()
	require.Zero(t, m.Stats().Timeouts)
}

// TestSectionsExcludeEachOtherUnderLoad has many goroutines take random sets of
// locks, with contexts that end at random and releases from beside, and checks
// in each section that nobody is in it who must not be.
func TestSectionsExcludeEachOtherUnderLoad(t *testing.T) {
	const goroutines, rounds, objects = 16, 300, 6
	m := newManager(t, locks.Limits{})
	// inside counts the shared holders of an object; an exclusive one adds many.
	var inside [objects]atomic.Int64
	const many = 1 << 32
	// fence is the last token of an exclusive section; its lock guards it.
	var fence [objects]locks.Token

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var running sync.WaitGroup
	for n := range goroutines {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for range rounds {
				wants := map[int]locks.Mode{}
				var asked []locks.Want
				for range 1 + random.IntN(3) {
					object, mode := random.IntN(objects), locks.Mode(random.IntN(2))
					if earlier, ok := wants[object]; !ok || earlier == locks.Shared {
						wants[object] = mode
					}
					asked = append(asked, locks.Want{Key: key(fmt.Sprint(object)), Mode: mode})
				}
				ctx, cancel := context.WithCancel(t.Context())
				g := m.Guard(t.Context())
				var beside sync.WaitGroup
				switch random.IntN(4) {
				case 0:
					beside.Go(cancel)
				case 1:
					doomed := m.Guard(ctx)
					beside.Go(cancel)
					if err := doomed.LockAll(t.Context(), asked...); err != nil && errs.CodeOf(err) != errs.CodeCanceled {
						t.Error(err)
					}
					beside.Wait()
					doomed.Release()
				}
				if err := g.LockAll(ctx, asked...); err == nil {
					for object, mode := range wants {
						if mode == locks.Shared {
							if inside[object].Add(1) >= many {
								t.Error("a shared section beside an exclusive one")
							}
							continue
						}
						if inside[object].Add(many) != many {
							t.Error("an exclusive section beside another")
						}
						token, _ := g.Token(key(fmt.Sprint(object)))
						if token <= fence[object] {
							t.Error("a token did not rise")
						}
						fence[object] = token
					}
					for object, mode := range wants {
						inside[object].Add(map[locks.Mode]int64{locks.Shared: -1, locks.Exclusive: -many}[mode])
					}
				} else if code := errs.CodeOf(err); code != errs.CodeCanceled {
					t.Error(err)
				}
				g.Release()
				cancel()
				beside.Wait()
			}
		})
	}
	running.Wait()
	require.Zero(t, m.Stats().Timeouts)
}

func TestCloseUnderLoadEndsEveryCallerAndKeepsNothing(t *testing.T) {
	m := newManager(t, locks.Limits{})
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for {
				g := m.Guard(t.Context())
				err := g.LockAll(t.Context(), locks.Want{Key: key("a")}, locks.Want{Key: key("b"), Mode: locks.Shared})
				g.Release()
				if err != nil {
					if errs.CodeOf(err) != errs.CodeUnavailable {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	for m.Stats().Acquired < 1000 {
		runtime.Gosched()
	}
	m.Close()
	running.Wait()
}
